// SPDX-License-Identifier: Apache-2.0
#include "sysfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../environment.h"
#include "../errors.h"
#include "../threads/deferred.h"
#include "open_file.h"

namespace cxl {
namespace {

// The first argument. False with an exception pending.
bool ReadPath(const Napi::CallbackInfo& info, std::string* path) {
  if (!info[0].IsString()) {
    ThrowTypeError(info.Env(), "a path is a string");
    return false;
  }
  *path = info[0].As<Napi::String>().Utf8Value();
  return true;
}

// A zero byte would end the path.
bool IsValid(const std::string& path) { return path.find('\0') == std::string::npos; }

// Everything from `offset` on, or `length` bytes of it. 0 or a negative errno.
int ReadRange(int fd, off_t offset, size_t length, std::vector<uint8_t>* bytes) {
  constexpr size_t kStep = 8192;
  size_t filled = 0;
  while (filled < length) {
    bytes->resize(filled + std::min(length - filled, kStep));
    const ssize_t count = pread(fd, bytes->data() + filled, bytes->size() - filled,
                                offset + static_cast<off_t>(filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -errno;
    filled += static_cast<size_t>(count);
    if (count == 0) break;
  }
  bytes->resize(filled);
  return 0;
}

// read…(path, offset, length): a Buffer or a negative errno.
Napi::Value ReadNow(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::string path;
  if (!ReadPath(info, &path)) return Napi::Value();
  if (!IsValid(path)) return Napi::Number::New(env, -EINVAL);
  int64_t offset = 0;
  size_t length = SIZE_MAX;
  if (info[1].IsNumber()) offset = info[1].As<Napi::Number>().Int64Value();
  if (info[2].IsNumber()) {
    const int64_t wanted = info[2].As<Napi::Number>().Int64Value();
    if (wanted < 0) return ThrowRangeError(env, "a length is not negative");
    length = static_cast<size_t>(wanted);
  }
  const int fd = OpenFile(path.c_str(), O_RDONLY);
  if (fd < 0) return Napi::Number::New(env, -errno);
  std::vector<uint8_t> bytes;
  const int error = ReadRange(fd, offset, length, &bytes);
  close(fd);
  if (error != 0) return Napi::Number::New(env, error);
  return Napi::Buffer<uint8_t>::Copy(env, bytes.data(), bytes.size());
}

Napi::Value Read(const Napi::CallbackInfo& info) { return Resolved(ReadNow(info)); }

// readdir(path): a promise for an array of names, or a negative errno.
Napi::Value ReadDirectory(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::string path;
  if (!ReadPath(info, &path)) return Napi::Value();
  if (!IsValid(path)) return Resolved(Napi::Number::New(env, -EINVAL));
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return Resolved(Napi::Number::New(env, -errno));
  const auto names = Napi::Array::New(env);
  uint32_t count = 0;
  while (const struct dirent* entry = readdir(directory)) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
      names.Set(count++, Napi::String::New(env, entry->d_name));
    }
  }
  closedir(directory);
  return env.IsExceptionPending() ? Napi::Value() : Resolved(names);
}

// realpath(path): a promise for the path, or a negative errno.
Napi::Value RealPath(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::string path;
  if (!ReadPath(info, &path)) return Napi::Value();
  if (!IsValid(path)) return Resolved(Napi::Number::New(env, -EINVAL));
  const std::unique_ptr<char, decltype(&free)> real(realpath(path.c_str(), nullptr), &free);
  if (real == nullptr) return Resolved(Napi::Number::New(env, -errno));
  return Resolved(Napi::String::New(env, real.get()));
}

class WriteOperation : public Operation {
 public:
  WriteOperation(std::string path, std::string data)
      : path_(std::move(path)), data_(std::move(data)) {}

  // One write() of the whole, as sysfs wants it.
  void Run() override {
    const int fd = OpenFile(path_.c_str(), O_WRONLY);
    if (fd < 0) {
      result_ = -errno;
      return;
    }
    ssize_t written;
    do {
      written = write(fd, data_.data(), data_.size());
    } while (written < 0 && errno == EINTR);
    if (written < 0) {
      result_ = -errno;
    } else if (static_cast<size_t>(written) != data_.size()) {
      result_ = -EIO;
    }
    close(fd);
  }

  Napi::Value Answer(Napi::Env env) override { return Napi::Number::New(env, result_); }

 private:
  const std::string path_;
  const std::string data_;
  int result_ = 0;
};

// write(path, data): a promise for 0 or a negative errno.
Napi::Value Write(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::string path;
  if (!ReadPath(info, &path)) return Napi::Value();
  if (!info[1].IsString()) return ThrowTypeError(env, "an attribute is written as a string");
  if (!IsValid(path)) return Resolved(Napi::Number::New(env, -EINVAL));
  auto operation =
      std::make_unique<WriteOperation>(std::move(path), info[1].As<Napi::String>().Utf8Value());
  return Environment::Of(env).control().Submit(env, std::move(operation));
}

}  // namespace

Napi::Object MakeSysfs(Napi::Env env) {
  auto sysfs = Napi::Object::New(env);
  sysfs.DefineProperties({
      Napi::PropertyDescriptor::Function(env, sysfs, "readdir", ReadDirectory, napi_enumerable),
      Napi::PropertyDescriptor::Function(env, sysfs, "read", Read, napi_enumerable),
      Napi::PropertyDescriptor::Function(env, sysfs, "readSync", ReadNow, napi_enumerable),
      Napi::PropertyDescriptor::Function(env, sysfs, "write", Write, napi_enumerable),
      Napi::PropertyDescriptor::Function(env, sysfs, "realpath", RealPath, napi_enumerable),
  });
  return sysfs;
}

}  // namespace cxl
