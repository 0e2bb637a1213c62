// SPDX-License-Identifier: Apache-2.0
// A JavaScript string as the kernel wants it.
#ifndef NODE_CXL_TEXT_H_
#define NODE_CXL_TEXT_H_

#include <node_api.h>
#include <stdlib.h>

#include "errors.h"

namespace cxl {

class Text {
 public:
  Text() = default;
  ~Text() { free(characters_); }
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;

  // False with an exception pending.
  bool Read(napi_env env, napi_value value) {
    if (!Succeeded(env, napi_get_value_string_utf8(env, value, nullptr, 0, &length_))) return false;
    characters_ = static_cast<char*>(malloc(length_ + 1));
    if (characters_ == nullptr) abort();
    return Succeeded(env,
                     napi_get_value_string_utf8(env, value, characters_, length_ + 1, &length_));
  }

  const char* c_str() const { return characters_; }
  size_t length() const { return length_; }

 private:
  char* characters_ = nullptr;
  size_t length_ = 0;
};

}  // namespace cxl

#endif  // NODE_CXL_TEXT_H_
