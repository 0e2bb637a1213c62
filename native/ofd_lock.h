// SPDX-License-Identifier: Apache-2.0
#ifndef NODE_CXL_OFD_LOCK_H_
#define NODE_CXL_OFD_LOCK_H_

#include <node_api.h>

namespace cxl {

// ofdLock(fd, offset, length, exclusive): takes, or with `exclusive` false lets go of, the
// write lock of a byte range, without waiting (F_OFD_SETLK). 0 or a negative errno, -EAGAIN
// while another open file description has it.
napi_value OfdLock(napi_env env, napi_callback_info info);

}  // namespace cxl

#endif  // NODE_CXL_OFD_LOCK_H_
