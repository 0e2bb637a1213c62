// SPDX-License-Identifier: Apache-2.0
// Closes a descriptor on an operation thread: the kernel waits until the hardware has let go.
#ifndef NODE_CXL_FILES_CLOSE_OPERATION_H_
#define NODE_CXL_FILES_CLOSE_OPERATION_H_

#include <napi.h>

#include <memory>
#include <utility>

#include "../threads/operation_thread.h"
#include "device.h"

namespace cxl {

// Answers 0 or a negative errno. One that never runs closes the descriptor when it is destroyed.
class CloseOperation : public Operation {
 public:
  explicit CloseOperation(std::unique_ptr<Device> device) : device_(std::move(device)) {}
  void Run() override { result_ = device_->Close(); }
  Napi::Value Answer(Napi::Env env) override { return Napi::Number::New(env, result_); }
  bool must_run() const override { return true; }

 private:
  std::unique_ptr<Device> device_;
  int result_ = 0;
};

}  // namespace cxl

#endif  // NODE_CXL_FILES_CLOSE_OPERATION_H_
