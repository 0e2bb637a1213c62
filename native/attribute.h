// SPDX-License-Identifier: Apache-2.0
#ifndef NODE_CXL_ATTRIBUTE_H_
#define NODE_CXL_ATTRIBUTE_H_

#include <node_api.h>

namespace cxl {

// writeAttribute(path, data, settle): one write() of the whole on the control thread, as sysfs
// wants it (`reset` can block). settle(0 or a negative errno).
napi_value WriteAttribute(napi_env env, napi_callback_info info);

// readAttribute(path): the whole file as a Buffer, or a negative errno. At once: what the kernel
// prints of itself does not block. In one step, since a worker may be terminated between any two
// steps of JavaScript, and Node's own reads then leave their descriptor open.
napi_value ReadAttribute(napi_env env, napi_callback_info info);

}  // namespace cxl

#endif  // NODE_CXL_ATTRIBUTE_H_
