// SPDX-License-Identifier: Apache-2.0
// The JavaScript object of a device file that has ioctls and nothing else: a card's node, a LUN's,
// a flash adapter's own.
#ifndef NODE_CXL_FILES_DEVICE_FILE_H_
#define NODE_CXL_FILES_DEVICE_FILE_H_

#include <napi.h>

#include <memory>

#include "../wrap.h"
#include "file_object.h"

namespace cxl {

class DeviceFile : public Wrap<DeviceFile>, public FileObject {
 public:
  static constexpr Class kClass = Class::kDeviceFile;
  struct Init {
    std::unique_ptr<Device> device;
  };

  static void Define(Napi::Env env) {
    Wrap::Define(
        env, "DeviceFile",
        {InstanceAccessor("fd", &DeviceFile::Fd, nullptr),
         InstanceMethod("ioctl", &DeviceFile::Ioctl), InstanceMethod("close", &DeviceFile::Close)});
  }

  explicit DeviceFile(const Napi::CallbackInfo& info)
      : Wrap(info), FileObject(Environment::Of(info.Env()), *this) {
    if (Init* init = InitOf<Init>(info)) Open(std::move(init->device));
  }
  ~DeviceFile() override { Abandon(); }
};

}  // namespace cxl

#endif  // NODE_CXL_FILES_DEVICE_FILE_H_
