// SPDX-License-Identifier: Apache-2.0
#include "errors.h"

namespace cxl {

bool Succeeded(napi_env env, napi_status status) {
  if (status == napi_ok) return true;
  // Asked first: any other call overwrites the message.
  const napi_extended_error_info* info = nullptr;
  napi_get_last_error_info(env, &info);
  const char* message =
      info != nullptr && info->error_message != nullptr ? info->error_message : "Node-API refused";
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_error(env, nullptr, message);
  return false;
}

void ThrowTypeError(napi_env env, const char* message) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
}

void ThrowRangeError(napi_env env, const char* message) {
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", message);
}

void ReportException(napi_env env) {
  bool pending = false;
  if (napi_is_exception_pending(env, &pending) != napi_ok || !pending) return;
  napi_value error;
  if (napi_get_and_clear_last_exception(env, &error) != napi_ok) return;
  napi_fatal_exception(env, error);
}

}  // namespace cxl
