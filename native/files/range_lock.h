// SPDX-License-Identifier: Apache-2.0
#ifndef NODE_CXL_FILES_RANGE_LOCK_H_
#define NODE_CXL_FILES_RANGE_LOCK_H_

#include <napi.h>

namespace cxl {

// lockRange(fd, offset, length, exclusive): takes the write lock of a byte range without waiting
// (F_OFD_SETLK), or, with `exclusive` false, releases it. 0 or a negative errno; -EAGAIN while
// another open file description has it.
Napi::Value LockRange(const Napi::CallbackInfo& info);

}  // namespace cxl

#endif  // NODE_CXL_FILES_RANGE_LOCK_H_
