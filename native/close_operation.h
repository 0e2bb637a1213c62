// SPDX-License-Identifier: Apache-2.0
#ifndef NODE_CXL_CLOSE_OPERATION_H_
#define NODE_CXL_CLOSE_OPERATION_H_

#include "arguments.h"
#include "control_thread.h"
#include "reference.h"

namespace cxl {

// Closes a file after what was asked of it before; at the latest when it is dropped.
template <class File>
class CloseOperation : public Operation {
 public:
  explicit CloseOperation(File* file) : file_(file) {}
  ~CloseOperation() override { file_->Close(); }
  void Run() override { result_ = file_->Close(); }
  napi_value Answer(napi_env env) override { return Integer(env, result_); }

 private:
  Ref<File> file_;
  int result_ = 0;
};

}  // namespace cxl

#endif  // NODE_CXL_CLOSE_OPERATION_H_
