// SPDX-License-Identifier: Apache-2.0
// Opening device nodes, and adopting a descriptor that other code opened.
#ifndef NODE_CXL_FILES_OPEN_H_
#define NODE_CXL_FILES_OPEN_H_

#include <napi.h>

namespace cxl {

// open…(path): a promise for an object or a negative errno.
Napi::Value OpenAfu(const Napi::CallbackInfo& info);
Napi::Value OpenCard(const Napi::CallbackInfo& info);
Napi::Value OpenLun(const Napi::CallbackInfo& info);
Napi::Value OpenHost(const Napi::CallbackInfo& info);

// adoptAfu(fd, owned): an object or a negative errno.
Napi::Value AdoptAfu(const Napi::CallbackInfo& info);

// Of a descriptor that the environment holds, from an ioctl's answer.
// takeDescriptor(fd): it is the caller's from now on.
Napi::Value TakeDescriptor(const Napi::CallbackInfo& info);
// closeDescriptor(fd): a promise for 0 or a negative errno.
Napi::Value CloseDescriptor(const Napi::CallbackInfo& info);

}  // namespace cxl

#endif  // NODE_CXL_FILES_OPEN_H_
