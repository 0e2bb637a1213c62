// SPDX-License-Identifier: Apache-2.0
// What the addon throws: only what a caller below the seam did wrong, or what the runtime
// refused. A refusal by the kernel is a negative errno, returned.
#ifndef NODE_CXL_ERRORS_H_
#define NODE_CXL_ERRORS_H_

#include <node_api.h>

namespace cxl {

// Throws unless the call worked. True when the caller may go on.
bool Succeeded(napi_env env, napi_status status);

void ThrowTypeError(napi_env env, const char* message);
void ThrowRangeError(napi_env env, const char* message);

// Hands an exception that JavaScript code of the other side threw to the process, as an
// uncaught one.
void ReportException(napi_env env);

}  // namespace cxl

#endif  // NODE_CXL_ERRORS_H_
