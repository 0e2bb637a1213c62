// SPDX-License-Identifier: Apache-2.0
// A promise and what settles it. Napi::Promise::Deferred leaves both uninitialized where the
// promise cannot be made because the environment is ending (worker.terminate() during the call),
// and offers no way to tell; here they are empty then, and settling does nothing.
#ifndef NODE_CXL_THREADS_DEFERRED_H_
#define NODE_CXL_THREADS_DEFERRED_H_

#include <napi.h>

namespace cxl {

class Deferred {
 public:
  explicit Deferred(Napi::Env env) : env_(env) {
    if (napi_create_promise(env, &deferred_, &promise_) != napi_ok) deferred_ = nullptr;
  }

  // Valid in the handle scope of the constructor alone. Empty where there is none.
  Napi::Value promise() const {
    return deferred_ == nullptr ? Napi::Value() : Napi::Value(env_, promise_);
  }

  void Resolve(napi_value value) {
    if (deferred_ != nullptr) napi_resolve_deferred(env_, deferred_, value);
  }
  void Reject(napi_value value) {
    if (deferred_ != nullptr) napi_reject_deferred(env_, deferred_, value);
  }

 private:
  napi_env env_;
  napi_deferred deferred_ = nullptr;
  napi_value promise_ = nullptr;
};

// A promise that is resolved already; empty where `value` is, or where there is none.
inline Napi::Value Resolved(Napi::Value value) {
  if (value.IsEmpty()) return value;
  Deferred deferred(value.Env());
  deferred.Resolve(value);
  return deferred.promise();
}

}  // namespace cxl

#endif  // NODE_CXL_THREADS_DEFERRED_H_
