// SPDX-License-Identifier: Apache-2.0
// A mapped problem state area.
#ifndef NODE_CXL_PROBLEM_STATE_H_
#define NODE_CXL_PROBLEM_STATE_H_

#include <node_api.h>

#include "afu_file.h"
#include "environment.h"
#include "reference.h"

namespace cxl {

class ProblemStateMapping : public Counted<ProblemStateMapping> {
 public:
  static constexpr Class kClass = Class::kProblemStateMapping;
  static const char kName[];
  static const napi_type_tag kTag;

  static bool Define(napi_env env);
  // Maps: a JavaScript object, or a negative errno. `owner` is the file's object, which lives
  // as long as the mapping's.
  static napi_value New(napi_env env, AfuFile* file, napi_value owner, int64_t offset,
                        int64_t length, bool big_endian);

  void Unmap();
  void Collected(napi_env env);

  napi_ref self = nullptr;

 private:
  friend class Counted<ProblemStateMapping>;
  ProblemStateMapping(AfuFile* file, void* base, size_t length, bool big_endian);
  ~ProblemStateMapping() { Unmap(); }

  template <class Word>
  static napi_value Read(napi_env env, napi_callback_info info);
  template <class Word>
  static napi_value Write(napi_env env, napi_callback_info info);
  template <bool kToDevice>
  static napi_value Block(napi_env env, napi_callback_info info);
  static napi_value UnmapArea(napi_env env, napi_callback_info info);

  // Whether [offset, offset + length) lies in the area and suits the width. False with an
  // exception pending.
  bool Check(napi_env env, int64_t offset, size_t length, size_t width) const;

  Ref<AfuFile> file_;
  char* base_;  // nullptr once unmapped
  const size_t length_;
  const bool swap_;
  ProblemStateMapping* next_ = nullptr;
  ProblemStateMapping** link_ = nullptr;
};

}  // namespace cxl

#endif  // NODE_CXL_PROBLEM_STATE_H_
