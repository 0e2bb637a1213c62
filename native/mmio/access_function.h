// SPDX-License-Identifier: Apache-2.0
// Functions of the hot path: a bare Node-API callback, bound to its object by its data pointer, so
// that there is no receiver to check. An access of one value has no arguments: see operands.h.
#ifndef NODE_CXL_MMIO_ACCESS_FUNCTION_H_
#define NODE_CXL_MMIO_ACCESS_FUNCTION_H_

#include <napi.h>

#include "../errors.h"

namespace cxl {

// Gives `object` a method that calls `access`, with `data` for BoundTo(). The method keeps the
// object alive, by a property that cannot be taken away.
inline void DefineAccess(Napi::Object object, const char* name, napi_callback access, void* data) {
  const Napi::Env env = object.Env();
  napi_value value;
  if (env.IsExceptionPending()) return;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, access, data, &value) != napi_ok) {
    Napi::Error::New(env).ThrowAsJavaScriptException();
    return;
  }
  Napi::Object function(env, value);
  function.DefineProperty(Napi::PropertyDescriptor::Value("object", object, napi_default));
  object.DefineProperty(Napi::PropertyDescriptor::Value(name, function, napi_default));
}

template <class T>
T* BoundTo(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  return static_cast<T*>(data);
}

// What an access answers: whether it took place.
inline napi_value Answer(napi_env env, bool done) {
  napi_value result = nullptr;
  napi_get_boolean(env, done, &result);
  return result;
}

inline napi_value ThrowOutOfRange(napi_env env) {
  return ThrowRangeError(env, "the access is misaligned or out of range");
}

}  // namespace cxl

#endif  // NODE_CXL_MMIO_ACCESS_FUNCTION_H_
