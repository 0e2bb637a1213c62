// SPDX-License-Identifier: Apache-2.0
#include "environment.h"

#include <unistd.h>

namespace cxl {

Environment::Environment(Napi::Env env)
    : env_(env), operands_(env), events_(env), control_(*this), pool_(*this) {
  HookStop();
}

// Node deletes it last of all that the addon has in the environment.
Environment::~Environment() {
  for (Leftover* leftover : leftovers_) delete leftover;
}

void Environment::HookStop() { stop_hook_ = env_.AddCleanupHook(&Environment::Stop, this); }

bool Environment::Start() {
  if (wake_) return true;
  // One queued call is enough, however many things there are to hand over.
  auto wake = WakeFunction::New(env_, "node-cxl", 1, 1, this);
  // While the environment is ending there is neither a function nor an exception.
  if (static_cast<napi_threadsafe_function>(wake) == nullptr) return false;
  wake.Unref(env_);
  wake_ = wake;
  // Cleanup hooks run last in, first out: the threads must end before the function that they call.
  HookStopAgain();
  return true;
}

void Environment::CloseBeforeMemory() {
  // Node has a cleanup hook for each buffer over memory of ours, or of another copy of the addon.
  if (!stopped_) HookStopAgain();
}

void Environment::HookStopAgain() {
  stop_hook_.Remove(env_);
  HookStop();
}

void Environment::Ref() {
  if (references_++ == 0 && !stopped_) wake_->Ref(env_);
}

void Environment::Unref() {
  if (--references_ == 0 && !stopped_) wake_->Unref(env_);
}

void Environment::Wake() {
  // When the queue is full, a call of Deliver() that has not begun yet is in it.
  wake_->NonBlockingCall();
}

void Environment::Stop(Environment* self) {
  self->stopped_ = true;
  self->events_.Stop();
  self->control_.Stop();
  self->pool_.Stop();
  for (Closable* closable : self->open_) closable->CloseNow();
  self->open_.clear();
  for (const int fd : self->held_) close(fd);
  self->held_.clear();
  if (self->wake_) self->wake_->Release();
}

void Environment::Deliver(Napi::Env env, Napi::Function, Environment* self, void*) {
  if (self->stopped_) return;
  self->control_.Deliver(env);
  self->pool_.Deliver(env);
}

}  // namespace cxl
