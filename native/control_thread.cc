// SPDX-License-Identifier: Apache-2.0
#include "control_thread.h"

#include "environment.h"
#include "errors.h"

namespace cxl {

void ControlThread::Queue::Push(Operation* operation) {
  operation->next_ = nullptr;
  if (last == nullptr) {
    first = operation;
  } else {
    last->next_ = operation;
  }
  last = operation;
}

Operation* ControlThread::Queue::Pop() {
  Operation* operation = first;
  if (operation == nullptr) return nullptr;
  first = operation->next_;
  if (first == nullptr) last = nullptr;
  return operation;
}

bool ControlThread::Submit(napi_env env, Operation* operation, napi_value settle) {
  if (environment_->stopped()) {
    delete operation;
    return true;
  }
  if (settle != nullptr) {
    if (!environment_->Start() ||
        !Succeeded(env, napi_create_reference(env, settle, 1, &operation->settle_))) {
      delete operation;
      return false;
    }
  }
  if (!thread_.running() && thread_.Start(Body, this) != 0) {
    if (operation->settle_ != nullptr) napi_delete_reference(env, operation->settle_);
    delete operation;
    if (settle == nullptr) return true;
    napi_throw_error(env, nullptr, "the control thread of node-cxl cannot be started");
    return false;
  }
  if (settle != nullptr) environment_->Hold();
  Lock lock(mutex_);
  waiting_.Push(operation);
  changed_.Broadcast();
  return true;
}

void ControlThread::Body(void* self) { static_cast<ControlThread*>(self)->Loop(); }

void ControlThread::Loop() {
  for (;;) {
    Operation* operation;
    {
      Lock lock(mutex_);
      while (!stopping_ && waiting_.first == nullptr) changed_.Wait(mutex_);
      if (stopping_) return;
      operation = waiting_.Pop();
    }
    operation->Run();
    if (operation->settle_ == nullptr) {
      delete operation;
      continue;
    }
    {
      Lock lock(mutex_);
      done_.Push(operation);
    }
    environment_->Wake();
  }
}

void ControlThread::Deliver(napi_env env) {
  Queue done;
  {
    Lock lock(mutex_);
    done = done_;
    done_ = Queue();
  }
  while (Operation* operation = done.Pop()) {
    napi_handle_scope scope;
    if (napi_open_handle_scope(env, &scope) == napi_ok) {
      napi_value settle = nullptr;
      napi_value undefined = nullptr;
      napi_get_reference_value(env, operation->settle_, &settle);
      napi_get_undefined(env, &undefined);
      napi_value answer = operation->Answer(env);
      if (answer != nullptr) {
        napi_call_function(env, undefined, settle, 1, &answer, nullptr);
      }
      ReportException(env);
      napi_close_handle_scope(env, scope);
    }
    napi_delete_reference(env, operation->settle_);
    delete operation;
    environment_->Let();
  }
}

void ControlThread::Stop(napi_env env) {
  {
    Lock lock(mutex_);
    stopping_ = true;
    changed_.Broadcast();
  }
  thread_.Join();
  Drop(env, &waiting_);
  Drop(env, &done_);
}

void ControlThread::Drop(napi_env env, Queue* queue) {
  while (Operation* operation = queue->Pop()) {
    if (operation->settle_ != nullptr) napi_delete_reference(env, operation->settle_);
    delete operation;
  }
}

}  // namespace cxl
