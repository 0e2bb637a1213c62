// SPDX-License-Identifier: Apache-2.0
#include "environment.h"

#include "errors.h"

namespace cxl {

bool Environment::Create(napi_env env) {
  Ref<Environment> environment(new Environment(env));
  auto finalize = [](napi_env, void* data, void*) { static_cast<Environment*>(data)->Release(); };
  if (!Succeeded(env, napi_set_instance_data(env, environment.get(), finalize, nullptr))) {
    return false;
  }
  environment->Retain();
  return Succeeded(env, napi_add_env_cleanup_hook(env, Stop, environment.get()));
}

Environment* Environment::Of(napi_env env) {
  void* data = nullptr;
  if (!Succeeded(env, napi_get_instance_data(env, &data))) return nullptr;
  return static_cast<Environment*>(data);
}

bool Environment::Start() {
  if (wake_ != nullptr) return true;
  napi_value name;
  if (!Succeeded(env_, napi_create_string_utf8(env_, "node-cxl", NAPI_AUTO_LENGTH, &name))) {
    return false;
  }
  // One call queued is enough, whatever the number of things to hand over.
  if (!Succeeded(env_, napi_create_threadsafe_function(env_, nullptr, nullptr, name, 1, 1, nullptr,
                                                       nullptr, this, Deliver, &wake_))) {
    return false;
  }
  napi_unref_threadsafe_function(env_, wake_);
  // Hooks run last in, first out: the threads shall be gone before what they call is.
  napi_remove_env_cleanup_hook(env_, Stop, this);
  return Succeeded(env_, napi_add_env_cleanup_hook(env_, Stop, this));
}

void Environment::Hold() {
  if (held_++ == 0 && !stopped_) napi_ref_threadsafe_function(env_, wake_);
}

void Environment::Let() {
  if (--held_ == 0 && !stopped_) napi_unref_threadsafe_function(env_, wake_);
}

void Environment::Wake() {
  // A full queue is as good: Deliver has yet to begin.
  napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
}

void Environment::Stop(void* data) {
  auto self = static_cast<Environment*>(data);
  self->stopped_ = true;
  self->events_.Stop();
  self->control_.Stop(self->env_);
  self->flash_.Stop(self->env_);
  if (self->wake_ != nullptr) napi_release_threadsafe_function(self->wake_, napi_tsfn_release);
}

void Environment::Deliver(napi_env env, napi_value, void* data, void*) {
  auto self = static_cast<Environment*>(data);
  // Without an environment it is being torn down.
  if (env == nullptr || self->stopped_) return;
  self->control_.Deliver(env);
  self->flash_.Deliver(env);
  self->events_.Deliver(env);
}

}  // namespace cxl
