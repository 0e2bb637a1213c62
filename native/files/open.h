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

}  // namespace cxl

#endif  // NODE_CXL_FILES_OPEN_H_
