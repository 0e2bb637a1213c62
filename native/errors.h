// SPDX-License-Identifier: Apache-2.0
// What the addon throws: mistakes of the caller below the seam, and failures of the runtime. A
// refusal by the kernel is not thrown but returned, as a negative errno.
#ifndef NODE_CXL_ERRORS_H_
#define NODE_CXL_ERRORS_H_

#include <napi.h>

namespace cxl {

// Throws an error with a code and returns an empty value, which a callback can return in turn.
inline Napi::Value Throw(Napi::Error error, const char* code) {
  error.Set("code", Napi::String::New(error.Env(), code));
  error.ThrowAsJavaScriptException();
  return Napi::Value();
}

inline Napi::Value ThrowTypeError(Napi::Env env, const char* message) {
  return Throw(Napi::TypeError::New(env, message), "ERR_INVALID_ARG_TYPE");
}

inline Napi::Value ThrowRangeError(Napi::Env env, const char* message) {
  return Throw(Napi::RangeError::New(env, message), "ERR_OUT_OF_RANGE");
}

inline Napi::Value ThrowStateError(Napi::Env env, const char* message) {
  return Throw(Napi::Error::New(env, message), "ERR_INVALID_STATE");
}

// Reports what a JavaScript function threw that a thread of ours caused to be called, as an
// uncaught exception: there is no caller to catch it.
inline void ReportException(Napi::Env env) {
  if (!env.IsExceptionPending()) return;
  const Napi::Error error = env.GetAndClearPendingException();
  napi_fatal_exception(env, error.Value());
}

}  // namespace cxl

#endif  // NODE_CXL_ERRORS_H_
