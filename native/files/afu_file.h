// SPDX-License-Identifier: Apache-2.0
// The JavaScript object of an open AFU file: a context.
#ifndef NODE_CXL_FILES_AFU_FILE_H_
#define NODE_CXL_FILES_AFU_FILE_H_

#include <napi.h>

#include <memory>

#include "../wrap.h"
#include "afu_device.h"
#include "file_object.h"

namespace cxl {

class ProblemState;

class AfuFile : public Wrap<AfuFile>, public FileObject, public EventListener {
 public:
  static constexpr Class kClass = Class::kAfuFile;
  struct Init {
    std::unique_ptr<AfuDevice> device;
  };

  static void Define(Napi::Env env);
  explicit AfuFile(const Napi::CallbackInfo& info);
  ~AfuFile() override;

  void OnEvents(Napi::Uint8Array batch, size_t length, int error, bool waited) override;

  // Live mappings: the kernel keeps a context attached until the last is gone, whatever close()
  // says.
  ProblemState* mappings = nullptr;

 private:
  Napi::Value Map(const Napi::CallbackInfo& info);
  Napi::Value OnEvents(const Napi::CallbackInfo& info);
  Napi::Value Arm(const Napi::CallbackInfo& info);
  Napi::Value Disarm(const Napi::CallbackInfo& info);
  Napi::Value ReadSync(const Napi::CallbackInfo& info);
  Napi::Value WaitForWakeup(const Napi::CallbackInfo& info);
  Napi::Value CloseBeforeMemory(const Napi::CallbackInfo& info);

  void Leave() override;

  // Weak: see onEvents().
  Napi::FunctionReference sink_;
  // FileObject's own; valid while it is open.
  AfuDevice* afu_ = nullptr;
};

}  // namespace cxl

#endif  // NODE_CXL_FILES_AFU_FILE_H_
