// SPDX-License-Identifier: Apache-2.0
#include "open.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "../abi/cxl.h"
#include "../environment.h"
#include "../errors.h"
#include "afu_file.h"
#include "close_operation.h"
#include "device_file.h"
#include "open_file.h"

namespace cxl {
namespace {

int AskAfuId(int fd) {
  struct cxl_afu_id id = {};
  return ioctl(fd, CXL_IOCTL_GET_AFU_ID, &id) < 0 ? -errno : 0;
}

// A node that was opened by its path. 0 or a negative errno.
int CheckNode(int fd) {
  const int error = AskAfuId(fd);
  if (error != -EINVAL) return error == -ENOTTY ? -ENODEV : error;
  // The first drivers had no GET_AFU_ID, but this they had.
  uint32_t element;
  return ioctl(fd, CXL_IOCTL_GET_PROCESS_ELEMENT, &element) < 0 ? -ENODEV : 0;
}

// A descriptor from elsewhere. 0 or a negative errno.
int CheckDescriptor(int fd) {
  const int error = AskAfuId(fd);
  if (error == 0 || error == -EBADF) return error;
  struct statfs file_system;
  if (fstatfs(fd, &file_system) != 0) return -errno;
  const auto magic = static_cast<unsigned long>(file_system.f_type);
  return magic == CXL_PSEUDO_FS_MAGIC || magic == OCXLFLASH_FS_MAGIC ? 0 : -ENODEV;
}

class OpenOperation : public Operation {
 public:
  explicit OpenOperation(std::string path) : path_(std::move(path)) {}
  ~OpenOperation() override {
    if (fd_ >= 0) close(fd_);
  }

  void Run() override {
    // A zero byte would end the path.
    if (path_.find('\0') != std::string::npos) {
      error_ = -ENOENT;
      return;
    }
    fd_ = OpenFile(path_.c_str(), O_RDWR | O_NONBLOCK);
    error_ = fd_ < 0 ? -errno : Check(fd_);
  }

  Napi::Value Answer(Napi::Env env) override {
    return error_ != 0 ? Napi::Number::New(env, error_) : MakeFile(env, std::exchange(fd_, -1));
  }

 protected:
  // 0, or the negative errno with which the descriptor is refused.
  virtual int Check(int) { return 0; }
  virtual Napi::Value MakeFile(Napi::Env env, int fd) = 0;

 private:
  const std::string path_;
  int fd_ = -1;
  int error_ = 0;
};

Napi::Value MakeAfuFile(Napi::Env env, int fd, bool owned, bool adopted) {
  AfuFile::Init init = {std::make_unique<AfuDevice>(fd, owned, adopted)};
  return AfuFile::New(env, &init);
}

class OpenAfuOperation : public OpenOperation {
  using OpenOperation::OpenOperation;
  int Check(int fd) override { return CheckNode(fd); }
  Napi::Value MakeFile(Napi::Env env, int fd) override { return MakeAfuFile(env, fd, true, false); }
};

template <const IoctlTable& kTable>
class OpenDeviceOperation : public OpenOperation {
  using OpenOperation::OpenOperation;
  Napi::Value MakeFile(Napi::Env env, int fd) override {
    DeviceFile::Init init = {std::make_unique<Device>(fd, true, kTable)};
    return DeviceFile::New(env, &init);
  }
};

template <class OpenThis>
Napi::Value Open(const Napi::CallbackInfo& info) {
  if (!info[0].IsString()) return ThrowTypeError(info.Env(), "a path is a string");
  auto operation = std::make_unique<OpenThis>(info[0].As<Napi::String>().Utf8Value());
  return Environment::Of(info.Env()).control().Submit(info.Env(), std::move(operation));
}

}  // namespace

Napi::Value OpenAfu(const Napi::CallbackInfo& info) { return Open<OpenAfuOperation>(info); }
Napi::Value OpenCard(const Napi::CallbackInfo& info) {
  return Open<OpenDeviceOperation<kCardIoctls>>(info);
}
Napi::Value OpenLun(const Napi::CallbackInfo& info) {
  return Open<OpenDeviceOperation<kLunIoctls>>(info);
}
Napi::Value OpenHost(const Napi::CallbackInfo& info) {
  return Open<OpenDeviceOperation<kFlashHostIoctls>>(info);
}

Napi::Value AdoptAfu(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsNumber() || !info[1].IsBoolean()) {
    return ThrowTypeError(env, "a descriptor is a number, and owned or not");
  }
  const int fd = info[0].As<Napi::Number>().Int32Value();
  const int error = CheckDescriptor(fd);
  if (error != 0) return Napi::Number::New(env, error);
  const bool owned = info[1].As<Napi::Boolean>().Value();
  // The device closes it now, also when no object can be made.
  if (owned) Environment::Of(env).Release(fd);
  return MakeAfuFile(env, fd, owned, true);
}

Napi::Value TakeDescriptor(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber()) return ThrowTypeError(info.Env(), "a descriptor is a number");
  Environment::Of(info.Env()).Release(info[0].As<Napi::Number>().Int32Value());
  return info.Env().Undefined();
}

Napi::Value CloseDescriptor(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsNumber()) return ThrowTypeError(env, "a descriptor is a number");
  const int fd = info[0].As<Napi::Number>().Int32Value();
  Environment& environment = Environment::Of(env);
  if (!environment.Release(fd)) return Resolved(Napi::Number::New(env, -EBADF));
  auto device = std::make_unique<Device>(fd, true, kAfuIoctls);
  return environment.control().Submit(env, std::make_unique<CloseOperation>(std::move(device)));
}

}  // namespace cxl
