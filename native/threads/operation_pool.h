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

  // As OperationThread's, on the thread with the fewest operations under way.
  Napi::Value Submit(Napi::Env env, std::unique_ptr<Operation> operation) {
    const auto less_busy = [](const OperationThread& one, const OperationThread& other) {
      return one.load() < other.load();
    };
    return std::min_element(threads_, threads_ + kCount, less_busy)
        ->Submit(env, std::move(operation));
  }

  void Deliver(Napi::Env env) {
    for (OperationThread& thread : threads_) thread.Deliver(env);
  }
  void Stop() {
    for (OperationThread& thread : threads_) thread.Stop();
  }

 private:
  static constexpr unsigned kCount = 3;

  OperationThread threads_[kCount];
};

}  // namespace cxl

#endif  // NODE_CXL_THREADS_OPERATION_POOL_H_
