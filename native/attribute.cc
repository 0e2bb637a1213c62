// SPDX-License-Identifier: Apache-2.0
#include "attribute.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "arguments.h"
#include "control_thread.h"
#include "environment.h"
#include "text.h"

namespace cxl {
namespace {

class WriteOperation : public Operation {
 public:
  bool Read(napi_env env, napi_value path, napi_value data) {
    return path_.Read(env, path) && data_.Read(env, data);
  }

  void Run() override {
    int fd;
    do {
      fd = open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
      result_ = -errno;
      return;
    }
    ssize_t written;
    do {
      written = write(fd, data_.c_str(), data_.length());
    } while (written < 0 && errno == EINTR);
    if (written < 0) {
      result_ = -errno;
    } else if (static_cast<size_t>(written) != data_.length()) {
      result_ = -EIO;
    }
    close(fd);
  }

  napi_value Answer(napi_env env) override { return Integer(env, result_); }

 private:
  Text path_;
  Text data_;
  int result_ = 0;
};

}  // namespace

napi_value WriteAttribute(napi_env env, napi_callback_info info) {
  Arguments<3> arguments(env, info);
  Environment* environment = Environment::Of(env);
  if (environment == nullptr) return nullptr;
  auto operation = new WriteOperation;
  if (!operation->Read(env, arguments[0], arguments[1])) {
    delete operation;
    return nullptr;
  }
  environment->control().Submit(env, operation, arguments[2]);
  return nullptr;
}

}  // namespace cxl
