// SPDX-License-Identifier: Apache-2.0
// Flash ioctls can wait for an adapter's reset, and one that recovers must not wait behind one
// that waits for it: a few threads share them, each call going to the least busy one.
#ifndef NODE_CXL_FLASH_WORKERS_H_
#define NODE_CXL_FLASH_WORKERS_H_

#include <node_api.h>

#include "control_thread.h"

namespace cxl {

class FlashWorkers {
 public:
  static constexpr unsigned kCount = 3;

  explicit FlashWorkers(Environment* environment)
      : threads_{ControlThread(environment), ControlThread(environment),
                 ControlThread(environment)} {}

  // Which thread the next call goes to. JavaScript's thread, as all here.
  unsigned Choose() const {
    unsigned best = 0;
    for (unsigned i = 1; i < kCount; i++) {
      if (load_[i] < load_[best]) best = i;
    }
    return best;
  }

  // As ControlThread's. The operation's answer calls Done.
  bool Submit(napi_env env, unsigned worker, Operation* operation, napi_value settle) {
    if (!threads_[worker].Submit(env, operation, settle)) return false;
    load_[worker]++;
    return true;
  }
  void Done(unsigned worker) { load_[worker]--; }

  void Deliver(napi_env env) {
    for (ControlThread& thread : threads_) thread.Deliver(env);
  }
  void Stop(napi_env env) {
    for (ControlThread& thread : threads_) thread.Stop(env);
  }

 private:
  ControlThread threads_[kCount];
  unsigned load_[kCount] = {};
};

}  // namespace cxl

#endif  // NODE_CXL_FLASH_WORKERS_H_
