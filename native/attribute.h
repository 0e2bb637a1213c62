// SPDX-License-Identifier: Apache-2.0
#ifndef NODE_CXL_ATTRIBUTE_H_
#define NODE_CXL_ATTRIBUTE_H_

#include <node_api.h>

namespace cxl {

// writeAttribute(path, data, settle): one write() of the whole on the control thread, as sysfs
// wants it (`reset` can block). settle(0 or a negative errno).
napi_value WriteAttribute(napi_env env, napi_callback_info info);

}  // namespace cxl

#endif  // NODE_CXL_ATTRIBUTE_H_
