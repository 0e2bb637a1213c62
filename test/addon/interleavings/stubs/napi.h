// SPDX-License-Identifier: Apache-2.0
// What native/threads/ uses of Node-API: promises, of which only how often each is settled counts.
#ifndef NODE_CXL_TEST_NAPI_H_
#define NODE_CXL_TEST_NAPI_H_

struct Promise {
  int settled = 0;
};
using napi_env = void*;
using napi_value = const void*;
using napi_deferred = Promise*;
enum napi_status { napi_ok };

napi_status napi_create_promise(napi_env env, napi_deferred* deferred, napi_value* promise);
inline void napi_resolve_deferred(napi_env, napi_deferred deferred, napi_value) {
  ++deferred->settled;
}
inline void napi_reject_deferred(napi_env, napi_deferred deferred, napi_value) {
  ++deferred->settled;
}

namespace Napi {

class Error {
 public:
  napi_value Value() const { return nullptr; }
};

class Env {
 public:
  Env(napi_env = nullptr) {}
  operator napi_env() const { return nullptr; }
  bool IsExceptionPending() const { return false; }
  Error GetAndClearPendingException() const { return Error(); }
};

class Value {
 public:
  Value() = default;
  Value(napi_env, napi_value value) : value_(value) {}
  bool IsEmpty() const { return value_ == nullptr; }
  operator napi_value() const { return value_; }
  Napi::Env Env() const { return Napi::Env(); }

 private:
  napi_value value_ = nullptr;
};

class Number : public Value {
 public:
  static Value New(Napi::Env, double) {
    static const int kAny = 0;
    return Value(nullptr, &kAny);
  }
};

// Only named.
class Uint8Array {};

class HandleScope {
 public:
  explicit HandleScope(Napi::Env) {}
  ~HandleScope() {}
};

}  // namespace Napi

#endif  // NODE_CXL_TEST_NAPI_H_
