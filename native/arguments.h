// SPDX-License-Identifier: Apache-2.0
// A call's arguments. The layer above has checked them; the checks here keep a mistake there
// from becoming a wild access.
#ifndef NODE_CXL_ARGUMENTS_H_
#define NODE_CXL_ARGUMENTS_H_

#include <node_api.h>
#include <stdint.h>

#include "errors.h"

namespace cxl {

template <size_t N>
class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info) : env_(env) {
    size_t count = N;
    // What was not given reads as undefined.
    napi_get_cb_info(env, info, &count, values_, &self_, &data_);
  }

  napi_value self() const { return self_; }
  // What the function was made with.
  void* data() const { return data_; }
  napi_value operator[](size_t index) const { return values_[index]; }

  bool Int64(size_t index, int64_t* value) const {
    return Succeeded(env_, napi_get_value_int64(env_, values_[index], value));
  }
  bool Uint32(size_t index, uint32_t* value) const {
    return Succeeded(env_, napi_get_value_uint32(env_, values_[index], value));
  }
  bool Int32(size_t index, int32_t* value) const {
    return Succeeded(env_, napi_get_value_int32(env_, values_[index], value));
  }
  bool Uint64(size_t index, uint64_t* value) const {
    bool lossless;
    return Succeeded(env_, napi_get_value_bigint_uint64(env_, values_[index], value, &lossless));
  }
  bool Bool(size_t index, bool* value) const {
    return Succeeded(env_, napi_get_value_bool(env_, values_[index], value));
  }

 private:
  napi_env env_;
  napi_value self_ = nullptr;
  void* data_ = nullptr;
  napi_value values_[N == 0 ? 1 : N] = {};
};

// A value as JavaScript sees it; nullptr with an exception pending when it cannot be made.
inline napi_value Number(napi_env env, double value) {
  napi_value result = nullptr;
  return Succeeded(env, napi_create_double(env, value, &result)) ? result : nullptr;
}
inline napi_value Integer(napi_env env, int64_t value) {
  napi_value result = nullptr;
  return Succeeded(env, napi_create_int64(env, value, &result)) ? result : nullptr;
}
inline napi_value BigInt(napi_env env, uint64_t value) {
  napi_value result = nullptr;
  return Succeeded(env, napi_create_bigint_uint64(env, value, &result)) ? result : nullptr;
}
inline napi_value Boolean(napi_env env, bool value) {
  napi_value result = nullptr;
  return Succeeded(env, napi_get_boolean(env, value, &result)) ? result : nullptr;
}

}  // namespace cxl

#endif  // NODE_CXL_ARGUMENTS_H_
