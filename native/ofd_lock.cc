// SPDX-License-Identifier: Apache-2.0
#include "ofd_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "arguments.h"

namespace cxl {

napi_value OfdLock(napi_env env, napi_callback_info info) {
  Arguments<4> arguments(env, info);
  int32_t fd;
  int64_t offset;
  int64_t length;
  bool exclusive;
  if (!arguments.Int32(0, &fd) || !arguments.Int64(1, &offset) || !arguments.Int64(2, &length) ||
      !arguments.Bool(3, &exclusive)) {
    return nullptr;
  }
  // l_pid must be 0 for a lock that belongs to the description and not to the process.
  struct flock range = {};
  range.l_type = exclusive ? F_WRLCK : F_UNLCK;
  range.l_whence = SEEK_SET;
  range.l_start = offset;
  range.l_len = length;
  return Integer(env, fcntl(fd, F_OFD_SETLK, &range) == 0 ? 0 : -errno);
}

}  // namespace cxl
