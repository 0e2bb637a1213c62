// SPDX-License-Identifier: Apache-2.0
// The buffer by which the accesses of every mapping and memory get their operands: JavaScript
// stores the offset (and the value) there and calls a function without arguments, which saves two
// thirds of what a call with arguments costs.
#ifndef NODE_CXL_MMIO_OPERANDS_H_
#define NODE_CXL_MMIO_OPERANDS_H_

#include <napi.h>
#include <stdint.h>

namespace cxl {

// lib/binding/operands.ts has the same layout.
struct Operands {
  double offset;  // bytes
  // In the host's byte order; value32 for 32 bits and less.
  union {
    uint32_t value32;
    uint64_t value64;
  };
  // Of memory alone: its byte order is not the host's.
  uint32_t swap;

  // A byte and a halfword use the place of a word.
  template <class Word>
  auto& Value() {
    if constexpr (sizeof(Word) == sizeof(uint64_t)) {
      return value64;
    } else {
      return value32;
    }
  }

  // The place of an access of `width` bytes within `size` bytes at `base`; nullptr when it is
  // misaligned or out of range. JavaScript has checked before; this keeps a mistake there from
  // becoming a wild access.
  char* Place(char* base, size_t size, size_t width) const {
    // Written so that NaN and negative numbers fail.
    if (!(offset >= 0 && width <= size && offset <= static_cast<double>(size - width))) {
      return nullptr;
    }
    const auto place = static_cast<size_t>(offset);
    return place % width == 0 ? base + place : nullptr;
  }
};
static_assert(sizeof(Operands) == 24, "lib/binding/operands.ts");

class OperandBuffer {
 public:
  explicit OperandBuffer(Napi::Env env) {
    // Shared, because nothing can detach a SharedArrayBuffer: the pointer stays valid.
    const Napi::Object buffer =
        Make(env, "SharedArrayBuffer", Napi::Number::New(env, sizeof(Operands)));
    const Napi::Object bytes = Make(env, "Uint8Array", buffer);
    if (bytes.IsEmpty()) return;
    operands_ = reinterpret_cast<Operands*>(bytes.As<Napi::Uint8Array>().Data());
    buffer_ = Napi::Persistent(buffer);
  }

  Operands* get() const { return operands_; }
  Napi::Value buffer() const { return buffer_.IsEmpty() ? Napi::Value() : buffer_.Value(); }

 private:
  // A new object of a global class. Empty where the environment is ending, and nothing runs that
  // would use it.
  static Napi::Object Make(Napi::Env env, const char* name, Napi::Value argument) {
    const Napi::Value constructor = env.Global().Get(name);
    if (constructor.IsEmpty() || argument.IsEmpty()) return Napi::Object();
    return constructor.As<Napi::Function>().New({argument});
  }

  Operands* operands_ = nullptr;
  Napi::ObjectReference buffer_;
};

}  // namespace cxl

#endif  // NODE_CXL_MMIO_OPERANDS_H_
