// SPDX-License-Identifier: Apache-2.0
#include "problem_state.h"

#include <errno.h>
#include <sys/mman.h>

#include "../files/afu_file.h"
#include "access_function.h"
#include "byte_order.h"
#include "fault_guard.h"
#include "mmio.h"

namespace cxl {
namespace {

bool Load(const volatile void* address, uint32_t* value) { return cxl_mmio_read32(address, value); }
bool Load(const volatile void* address, uint64_t* value) { return cxl_mmio_read64(address, value); }
bool Store(volatile void* address, uint32_t value) { return cxl_mmio_write32(address, value); }
bool Store(volatile void* address, uint64_t value) { return cxl_mmio_write64(address, value); }

template <bool kToDevice>
size_t MoveBlock(char* area, uint32_t* elements, size_t count, bool swap) {
  return kToDevice ? cxl_mmio_write_block32(area, elements, count, swap)
                   : cxl_mmio_read_block32(area, elements, count, swap);
}
template <bool kToDevice>
size_t MoveBlock(char* area, uint64_t* elements, size_t count, bool swap) {
  return kToDevice ? cxl_mmio_write_block64(area, elements, count, swap)
                   : cxl_mmio_read_block64(area, elements, count, swap);
}

}  // namespace

void ProblemState::Define(Napi::Env env) {
  Wrap::Define(env, "ProblemState", {InstanceMethod("unmap", &ProblemState::UnmapArea)});
}

Napi::Value ProblemState::Map(Napi::Env env, AfuFile& file, int fd, int64_t offset, size_t length,
                              bool big_endian) {
  GuardFaults();
  void* base = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
  if (base == MAP_FAILED) return Napi::Number::New(env, -errno);
  Init init = {&file, base, length, big_endian};
  const Napi::Value state = New(env, &init);
  if (init.base != nullptr) munmap(base, length);
  return state;
}

ProblemState::ProblemState(const Napi::CallbackInfo& info)
    : Wrap(info), operands_(Environment::Of(info.Env()).operands().get()) {
  Init* init = InitOf<Init>(info);
  if (init == nullptr) return;
  base_ = static_cast<char*>(std::exchange(init->base, nullptr));
  length_ = init->length;
  swap_ = MustSwap(init->big_endian);
  AfuFile& file = *init->file;
  link_ = &file.mappings;
  next_ = file.mappings;
  if (next_ != nullptr) next_->link_ = &next_;
  file.mappings = this;

  const Napi::Env env = info.Env();
  Napi::Object self = Value();
  self.DefineProperties({
      Napi::PropertyDescriptor::Value(
          "length", Napi::Number::New(env, static_cast<double>(length_)), napi_enumerable),
      // The context lives as long as a mapping of it.
      Napi::PropertyDescriptor::Value("file", file.Value(), napi_default),
  });
  DefineAccess(self, "read32", Read<uint32_t>, this);
  DefineAccess(self, "read64", Read<uint64_t>, this);
  DefineAccess(self, "write32", Write<uint32_t>, this);
  DefineAccess(self, "write64", Write<uint64_t>, this);
  DefineAccess(self, "readBlock", Block<false>, this);
  DefineAccess(self, "writeBlock", Block<true>, this);
}

void ProblemState::Unmap() {
  if (base_ == nullptr) return;
  munmap(base_, length_);
  base_ = nullptr;
  *link_ = next_;
  if (next_ != nullptr) next_->link_ = link_;
}

template <class Word>
napi_value ProblemState::Read(napi_env env, napi_callback_info info) {
  auto self = BoundTo<ProblemState>(env, info);
  if (self->base_ == nullptr) return Answer(env, false);
  const char* place = self->operands_->Place(self->base_, self->length_, sizeof(Word));
  if (place == nullptr) return ThrowOutOfRange(env);
  Word value;
  if (!Load(place, &value)) return Answer(env, false);
  self->operands_->Value<Word>() = SwapIf(self->swap_, value);
  return Answer(env, true);
}

template <class Word>
napi_value ProblemState::Write(napi_env env, napi_callback_info info) {
  auto self = BoundTo<ProblemState>(env, info);
  if (self->base_ == nullptr) return Answer(env, false);
  char* place = self->operands_->Place(self->base_, self->length_, sizeof(Word));
  if (place == nullptr) return ThrowOutOfRange(env);
  return Answer(env, Store(place, SwapIf(self->swap_, self->operands_->Value<Word>())));
}

// …Block(offset, array): how many elements were moved before a fault.
template <bool kToDevice>
napi_value ProblemState::Block(napi_env env, napi_callback_info info) {
  size_t argument_count = 2;
  napi_value arguments[2];
  void* data = nullptr;
  napi_get_cb_info(env, info, &argument_count, arguments, nullptr, &data);
  auto self = static_cast<ProblemState*>(data);
  int64_t offset;
  napi_typedarray_type type;
  size_t count;
  void* elements;
  if (napi_get_value_int64(env, arguments[0], &offset) != napi_ok ||
      napi_get_typedarray_info(env, arguments[1], &type, &count, &elements, nullptr, nullptr) !=
          napi_ok) {
    return ThrowTypeError(env, "a block needs an offset and an array");
  }
  const bool wide = type == napi_biguint64_array || type == napi_bigint64_array;
  if (!wide && type != napi_uint32_array && type != napi_int32_array) {
    return ThrowTypeError(env, "a block is moved from or to 32- or 64-bit integer elements");
  }
  const size_t width = wide ? sizeof(uint64_t) : sizeof(uint32_t);
  if (offset < 0 || static_cast<size_t>(offset) % width != 0 || count * width > self->length_ ||
      static_cast<size_t>(offset) > self->length_ - count * width) {
    return ThrowOutOfRange(env);
  }
  size_t done = 0;
  if (self->base_ != nullptr && count > 0) {
    char* area = self->base_ + offset;
    done = wide ? MoveBlock<kToDevice>(area, static_cast<uint64_t*>(elements), count, self->swap_)
                : MoveBlock<kToDevice>(area, static_cast<uint32_t*>(elements), count, self->swap_);
  }
  return Napi::Number::New(env, static_cast<double>(done));
}

// unmap()
Napi::Value ProblemState::UnmapArea(const Napi::CallbackInfo& info) {
  Unmap();
  return info.Env().Undefined();
}

}  // namespace cxl
