// SPDX-License-Identifier: Apache-2.0
#include "range_lock.h"

#include <errno.h>
#include <fcntl.h>

#include "../errors.h"

namespace cxl {

Napi::Value LockRange(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsNumber() || !info[1].IsNumber() || !info[2].IsNumber() || !info[3].IsBoolean()) {
    return ThrowTypeError(env, "a lock needs a descriptor, an offset, a length, and its kind");
  }
  // l_pid stays 0, as it must for a lock of the open file description.
  struct flock range = {};
  range.l_type = info[3].As<Napi::Boolean>().Value() ? F_WRLCK : F_UNLCK;
  range.l_whence = SEEK_SET;
  range.l_start = info[1].As<Napi::Number>().Int64Value();
  range.l_len = info[2].As<Napi::Number>().Int64Value();
  const int fd = info[0].As<Napi::Number>().Int32Value();
  return Napi::Number::New(env, fcntl(fd, F_OFD_SETLK, &range) == 0 ? 0 : -errno);
}

}  // namespace cxl
