// SPDX-License-Identifier: Apache-2.0
// The JavaScript object of a mapped problem state area.
#ifndef NODE_CXL_MMIO_PROBLEM_STATE_H_
#define NODE_CXL_MMIO_PROBLEM_STATE_H_

#include <napi.h>

#include "../wrap.h"

namespace cxl {

class AfuFile;

class ProblemState : public Wrap<ProblemState> {
 public:
  static constexpr Class kClass = Class::kProblemState;
  struct Init {
    AfuFile* file;
    void* base;
    size_t length;
    bool big_endian;
  };

  static void Define(Napi::Env env);
  // Maps: an object, or a negative errno.
  static Napi::Value Map(Napi::Env env, AfuFile& file, int fd, int64_t offset, size_t length,
                         bool big_endian);

  explicit ProblemState(const Napi::CallbackInfo& info);
  ~ProblemState() override { Unmap(); }

  void Unmap();

 private:
  template <class Word>
  static napi_value Read(napi_env env, napi_callback_info info);
  template <class Word>
  static napi_value Write(napi_env env, napi_callback_info info);
  template <bool kToDevice>
  static napi_value Block(napi_env env, napi_callback_info info);
  Napi::Value UnmapArea(const Napi::CallbackInfo& info);

  Operands* const operands_;
  char* base_ = nullptr;  // nullptr once unmapped
  size_t length_ = 0;
  bool swap_ = false;
  // The list of the file's mappings.
  ProblemState* next_ = nullptr;
  ProblemState** link_ = nullptr;
};

}  // namespace cxl

#endif  // NODE_CXL_MMIO_PROBLEM_STATE_H_
