// SPDX-License-Identifier: Apache-2.0
// Flash ioctls can wait for the reset of an adapter, and one that recovers must not wait behind
// one that waits for the recovery: a few threads share them.
#ifndef NODE_CXL_THREADS_OPERATION_POOL_H_
#define NODE_CXL_THREADS_OPERATION_POOL_H_

#include <napi.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "operation_thread.h"

namespace cxl {

// All on JavaScript's thread.
class OperationPool {
 public:
  explicit OperationPool(Environment& environment)
      : threads_{OperationThread(environment), OperationThread(environment),
                 OperationThread(environment)} {}

  // The thread with the fewest operations under way, which Finished() is told of each.
  unsigned Choose() const {
    return static_cast<unsigned>(std::min_element(load_, load_ + kCount) - load_);
  }
  Napi::Value Submit(Napi::Env env, unsigned thread, std::unique_ptr<Operation> operation) {
    ++load_[thread];
    return threads_[thread].Submit(env, std::move(operation));
  }
  // The operation no longer exists, whether it ran or not.
  void Finished(unsigned thread) { --load_[thread]; }

  void Deliver(Napi::Env env) {
    for (OperationThread& thread : threads_) thread.Deliver(env);
  }
  void Stop() {
    for (OperationThread& thread : threads_) thread.Stop();
  }

 private:
  static constexpr unsigned kCount = 3;

  OperationThread threads_[kCount];
  unsigned load_[kCount] = {};
};

}  // namespace cxl

#endif  // NODE_CXL_THREADS_OPERATION_POOL_H_
