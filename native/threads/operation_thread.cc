// SPDX-License-Identifier: Apache-2.0
#include "operation_thread.h"

#include <utility>

#include "../environment.h"
#include "../errors.h"

namespace cxl {

int OperationThread::Start() { return thread_.running() ? 0 : thread_.Start(Body, this); }

Napi::Value OperationThread::Submit(Napi::Env env, std::unique_ptr<Operation> operation) {
  Deferred deferred(env);
  // The environment is ending: no promise of it settles.
  if (deferred.promise().IsEmpty() || environment_.stopped()) return deferred.promise();
  if (!environment_.Start()) return Napi::Value();
  if (const int error = Start(); error != 0) {
    if (operation->must_run()) {
      operation->Run();
      deferred.Resolve(operation->Answer(env));
    } else {
      deferred.Resolve(Napi::Number::New(env, error));
    }
    return deferred.promise();
  }
  operation->deferred_ = deferred;
  environment_.Ref();
  ++load_;
  Push(std::move(operation));
  return deferred.promise();
}

void OperationThread::Post(std::unique_ptr<Operation> operation) {
  // Without a thread the operation ends here, and undoes what it holds.
  if (!environment_.stopped() && Start() == 0) Push(std::move(operation));
}

void OperationThread::Push(std::unique_ptr<Operation> operation) {
  Lock lock(mutex_);
  waiting_.push_back(std::move(operation));
  changed_.Broadcast();
}

void OperationThread::Body(void* self) { static_cast<OperationThread*>(self)->Loop(); }

void OperationThread::Loop() {
  for (;;) {
    std::unique_ptr<Operation> operation;
    {
      Lock lock(mutex_);
      while (!stopping_ && waiting_.empty()) changed_.Wait(mutex_);
      if (stopping_) return;
      operation = std::move(waiting_.front());
      waiting_.pop_front();
    }
    operation->Run();
    if (!operation->deferred_) continue;
    {
      Lock lock(mutex_);
      done_.push_back(std::move(operation));
    }
    environment_.Wake();
  }
}

void OperationThread::Deliver(Napi::Env env) {
  Queue done;
  {
    Lock lock(mutex_);
    done.swap(done_);
  }
  for (std::unique_ptr<Operation>& operation : done) {
    const Napi::HandleScope scope(env);
    const Napi::Value answer = operation->Answer(env);
    if (env.IsExceptionPending()) {
      operation->deferred_->Reject(env.GetAndClearPendingException().Value());
    } else if (!answer.IsEmpty()) {
      operation->deferred_->Resolve(answer);
    }
    operation.reset();
    environment_.Unref();
    --load_;
  }
}

void OperationThread::Stop() {
  {
    Lock lock(mutex_);
    stopping_ = true;
    changed_.Broadcast();
  }
  thread_.Join();
  waiting_.clear();
  done_.clear();
}

}  // namespace cxl
