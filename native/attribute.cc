// SPDX-License-Identifier: Apache-2.0
#include "attribute.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "arguments.h"
#include "control_thread.h"
#include "environment.h"
#include "open_file.h"
#include "text.h"

namespace cxl {
namespace {

class Contents {
 public:
  Contents() = default;
  ~Contents() { free(bytes_); }
  Contents(const Contents&) = delete;
  Contents& operator=(const Contents&) = delete;

  // 0 or a negative errno.
  int Read(int fd) {
    for (;;) {
      if (length_ == capacity_) Grow();
      ssize_t count = read(fd, bytes_ + length_, capacity_ - length_);
      if (count == 0) return 0;
      if (count > 0) {
        length_ += static_cast<size_t>(count);
      } else if (errno != EINTR) {
        return -errno;
      }
    }
  }

  const char* bytes() const { return bytes_; }
  size_t length() const { return length_; }

 private:
  void Grow() {
    capacity_ = capacity_ == 0 ? 8192 : capacity_ * 2;
    bytes_ = static_cast<char*>(realloc(bytes_, capacity_));
    if (bytes_ == nullptr) abort();
  }

  char* bytes_ = nullptr;
  size_t length_ = 0;
  size_t capacity_ = 0;
};

class WriteOperation : public Operation {
 public:
  bool Read(napi_env env, napi_value path, napi_value data) {
    return path_.Read(env, path) && data_.Read(env, data);
  }

  void Run() override {
    int fd = OpenFile(path_.c_str(), O_WRONLY);
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

napi_value ReadAttribute(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Text path;
  if (!path.Read(env, arguments[0])) return nullptr;
  int fd = OpenFile(path.c_str(), O_RDONLY);
  if (fd < 0) return Integer(env, -errno);
  Contents contents;
  int error = contents.Read(fd);
  close(fd);
  if (error != 0) return Integer(env, error);
  napi_value bytes = nullptr;
  bool copied = Succeeded(
      env, napi_create_buffer_copy(env, contents.length(), contents.bytes(), nullptr, &bytes));
  return copied ? bytes : nullptr;
}

}  // namespace cxl
