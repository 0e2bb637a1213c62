// SPDX-License-Identifier: Apache-2.0
// Getting hold of a device node, or of a descriptor that somebody else opened.
#ifndef NODE_CXL_DEVICE_FILE_H_
#define NODE_CXL_DEVICE_FILE_H_

#include <node_api.h>

namespace cxl {

// openAfu(path, settle), openCard(path, settle): settle(object or negative errno).
napi_value OpenAfu(napi_env env, napi_callback_info info);
napi_value OpenCard(napi_env env, napi_callback_info info);
// adoptAfu(fd, owned): an object or a negative errno.
napi_value AdoptAfu(napi_env env, napi_callback_info info);

}  // namespace cxl

#endif  // NODE_CXL_DEVICE_FILE_H_
