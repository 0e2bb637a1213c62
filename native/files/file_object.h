// SPDX-License-Identifier: Apache-2.0
// What the JavaScript objects of all device files have in common: ioctls by name, and close().
// All of it is on JavaScript's thread.
#ifndef NODE_CXL_FILES_FILE_OBJECT_H_
#define NODE_CXL_FILES_FILE_OBJECT_H_

#include <napi.h>

#include <memory>
#include <optional>

#include "../environment.h"
#include "device.h"

namespace cxl {

class FileObject : public Closable {
 public:
  // `self`: the reference to the JavaScript object, which is strong while an ioctl is under way.
  FileObject(Environment& environment, Napi::Reference<Napi::Object>& self)
      : environment_(environment), self_(self) {}

  // The methods that lib/binding/files.ts declares for every file.
  Napi::Value Fd(const Napi::CallbackInfo& info);
  Napi::Value Ioctl(const Napi::CallbackInfo& info);
  Napi::Value IoctlSync(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  void CloseNow() override;

 protected:
  // Takes the descriptor over. At the end of the constructor: from then on it is closed with the
  // environment.
  void Open(std::unique_ptr<Device> device);
  // In the destructor: closes what the program has not closed.
  void Abandon();
  // Before the descriptor is closed: ends what else uses it.
  virtual void Leave() {}

  bool open() const { return device_ != nullptr && closing_.IsEmpty(); }
  Environment& environment() { return environment_; }

 private:
  friend class IoctlOperation;
  void Finished(Napi::Env env);
  Napi::Value SubmitClose(Napi::Env env);

  Environment& environment_;
  Napi::Reference<Napi::Object>& self_;
  std::unique_ptr<Device> device_;
  unsigned under_way_ = 0;
  // The promise of close(), and what settles it when ioctls are under way at the call.
  Napi::Reference<Napi::Value> closing_;
  std::optional<Deferred> deferred_;
};

}  // namespace cxl

#endif  // NODE_CXL_FILES_FILE_OBJECT_H_
