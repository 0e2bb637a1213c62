// SPDX-License-Identifier: Apache-2.0
// What can block for long (open, START_WORK, close, image download, a reset by sysfs) is done
// on one thread of the environment, in the order it was asked for, and never in libuv's pool.
#ifndef NODE_CXL_CONTROL_THREAD_H_
#define NODE_CXL_CONTROL_THREAD_H_

#include <node_api.h>

#include "reference.h"
#include "thread.h"

namespace cxl {

class Environment;

class Operation : public Allocated {
 public:
  Operation() = default;
  // An operation that never ran undoes what was handed to it (closes its descriptor).
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  // On the control thread.
  virtual void Run() {}
  // On JavaScript's thread: what to answer. nullptr with an exception pending.
  virtual napi_value Answer(napi_env) { return nullptr; }

 private:
  friend class ControlThread;
  napi_ref settle_ = nullptr;
  Operation* next_ = nullptr;
};

class ControlThread {
 public:
  explicit ControlThread(Environment* environment) : environment_(environment) {}

  // Takes the operation over, and calls `settle` with its answer. Without `settle` nobody
  // waits for it. False with an exception pending.
  bool Submit(napi_env env, Operation* operation, napi_value settle);

  // Answers what is done.
  void Deliver(napi_env env);

  // Waits for the operation that runs and drops the others.
  void Stop(napi_env env);

 private:
  struct Queue {
    Operation* first = nullptr;
    Operation* last = nullptr;
    void Push(Operation* operation);
    Operation* Pop();
  };

  static void Body(void* self);
  void Loop();
  void Drop(napi_env env, Queue* queue);

  Environment* const environment_;
  Thread thread_;
  Mutex mutex_;
  Condition changed_;
  Queue waiting_;
  Queue done_;
  bool stopping_ = false;
};

}  // namespace cxl

#endif  // NODE_CXL_CONTROL_THREAD_H_
