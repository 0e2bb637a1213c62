// SPDX-License-Identifier: Apache-2.0
// Calls that can block for long (open, START_WORK, close, image download, a reset by sysfs) run on
// a thread of the environment, in the order of their submission, and never in libuv's pool.
#ifndef NODE_CXL_THREADS_OPERATION_THREAD_H_
#define NODE_CXL_THREADS_OPERATION_THREAD_H_

#include <napi.h>

#include <list>
#include <memory>
#include <optional>

#include "deferred.h"
#include "thread.h"

namespace cxl {

class Environment;

class Operation {
 public:
  Operation() = default;
  // An operation that never ran, or whose answer did not reach JavaScript, undoes what it holds
  // (closes its descriptor, say).
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  // On the operation thread.
  virtual void Run() = 0;
  // On JavaScript's thread: what the promise resolves with; an exception that is pending
  // afterwards rejects it.
  virtual Napi::Value Answer(Napi::Env env) = 0;
  // It cannot be refused: where no thread can be started, it runs on JavaScript's.
  virtual bool must_run() const { return false; }

 private:
  friend class OperationThread;
  std::optional<Deferred> deferred_;
};

class OperationThread {
 public:
  explicit OperationThread(Environment& environment) : environment_(environment) {}

  // A promise for the operation's answer; for what Thread::Start() answers when there is no thread
  // to be had.
  Napi::Value Submit(Napi::Env env, std::unique_ptr<Operation> operation);

  // Without a promise, and without keeping the process alive.
  void Post(std::unique_ptr<Operation> operation);

  // Operations with a promise that is not settled yet.
  unsigned load() const { return load_; }

  // Settles the promises of what is done.
  void Deliver(Napi::Env env);

  // Waits for the operation that runs, and drops the others.
  void Stop();

 private:
  using Queue = std::list<std::unique_ptr<Operation>>;

  int Start();
  void Push(std::unique_ptr<Operation> operation);
  static void Body(void* self);
  void Loop();

  Environment& environment_;
  unsigned load_ = 0;  // JavaScript's thread
  Thread thread_;
  Mutex mutex_;
  Condition changed_;
  // Under the mutex:
  Queue waiting_;
  Queue done_;
  bool stopping_ = false;
};

}  // namespace cxl

#endif  // NODE_CXL_THREADS_OPERATION_THREAD_H_
