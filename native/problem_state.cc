// SPDX-License-Identifier: Apache-2.0
#include "problem_state.h"

#include <errno.h>
#include <sys/mman.h>

#include "arguments.h"
#include "byte_order.h"
#include "fault_guard.h"
#include "mmio.h"
#include "wrapped.h"

namespace cxl {
namespace {

bool Load(const volatile void* address, uint32_t* value) { return cxl_mmio_read32(address, value); }
bool Load(const volatile void* address, uint64_t* value) { return cxl_mmio_read64(address, value); }
bool Store(volatile void* address, uint32_t value) { return cxl_mmio_write32(address, value); }
bool Store(volatile void* address, uint64_t value) { return cxl_mmio_write64(address, value); }

napi_value ToJavaScript(napi_env env, uint32_t value) { return Integer(env, value); }
napi_value ToJavaScript(napi_env env, uint64_t value) { return BigInt(env, value); }
bool FromJavaScript(const Arguments<2>& arguments, uint32_t* value) {
  return arguments.Uint32(1, value);
}
bool FromJavaScript(const Arguments<2>& arguments, uint64_t* value) {
  return arguments.Uint64(1, value);
}

}  // namespace

const char ProblemStateMapping::kName[] = "ProblemStateMapping";
const napi_type_tag ProblemStateMapping::kTag = {0x6e6f64652d63786cULL, 0x70726f626c656d73ULL};

ProblemStateMapping::ProblemStateMapping(AfuFile* file, void* base, size_t length, bool big_endian)
    : file_(file), base_(static_cast<char*>(base)), length_(length), swap_(MustSwap(big_endian)) {
  link_ = &file->mappings;
  next_ = file->mappings;
  if (next_ != nullptr) next_->link_ = &next_;
  file->mappings = this;
}

bool ProblemStateMapping::Define(napi_env env) {
  const napi_property_descriptor methods[] = {
      {"readBlock", nullptr, Block<false>, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"writeBlock", nullptr, Block<true>, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"unmap", nullptr, UnmapArea, nullptr, nullptr, nullptr, napi_default, nullptr},
  };
  return Wrapped<ProblemStateMapping>::Define(env, methods, sizeof methods / sizeof *methods);
}

napi_value ProblemStateMapping::New(napi_env env, AfuFile* file, napi_value owner, int64_t offset,
                                    int64_t length, bool big_endian) {
  if (offset < 0 || length <= 0) {
    ThrowRangeError(env, "a mapping needs a range");
    return nullptr;
  }
  GuardFaults();
  void* base = mmap(nullptr, static_cast<size_t>(length), PROT_READ | PROT_WRITE, MAP_SHARED,
                    file->fd, offset);
  if (base == MAP_FAILED) return Integer(env, -errno);
  Ref<ProblemStateMapping> mapping(
      new ProblemStateMapping(file, base, static_cast<size_t>(length), big_endian));
  napi_value object = Wrapped<ProblemStateMapping>::New(env, mapping.get());
  if (object == nullptr) {
    mapping->Unmap();
    return nullptr;
  }
  const napi_property_descriptor properties[] = {
      {"length", nullptr, nullptr, nullptr, nullptr, Integer(env, length), napi_enumerable,
       nullptr},
      {"file", nullptr, nullptr, nullptr, nullptr, owner, napi_default, nullptr},
  };
  const BoundMethod accesses[] = {
      {"read32", Read<uint32_t>},
      {"read64", Read<uint64_t>},
      {"write32", Write<uint32_t>},
      {"write64", Write<uint64_t>},
  };
  return Succeeded(env, napi_define_properties(env, object, 2, properties)) &&
                 Wrapped<ProblemStateMapping>::Bind(env, object, mapping.get(), accesses, 4)
             ? object
             : nullptr;
}

void ProblemStateMapping::Unmap() {
  if (base_ == nullptr) return;
  munmap(base_, length_);
  base_ = nullptr;
  *link_ = next_;
  if (next_ != nullptr) next_->link_ = link_;
}

void ProblemStateMapping::Collected(napi_env env) {
  if (self != nullptr) napi_delete_reference(env, std::exchange(self, nullptr));
  Unmap();
}

bool ProblemStateMapping::Check(napi_env env, int64_t offset, size_t length, size_t width) const {
  if (offset >= 0 && static_cast<uint64_t>(offset) % width == 0 && length <= length_ &&
      static_cast<uint64_t>(offset) <= length_ - length) {
    return true;
  }
  ThrowRangeError(env, "the access is misaligned or leaves the mapping");
  return false;
}

template <class Word>
napi_value ProblemStateMapping::Read(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  int64_t offset;
  auto mapping = Wrapped<ProblemStateMapping>::BoundReceiver(env, arguments);
  if (mapping == nullptr || !arguments.Int64(0, &offset) ||
      !mapping->Check(env, offset, sizeof(Word), sizeof(Word)) || mapping->base_ == nullptr) {
    return nullptr;
  }
  Word value;
  if (!Load(mapping->base_ + offset, &value)) return nullptr;
  return ToJavaScript(env, SwapIf(mapping->swap_, value));
}

template <class Word>
napi_value ProblemStateMapping::Write(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  int64_t offset;
  Word value;
  auto mapping = Wrapped<ProblemStateMapping>::BoundReceiver(env, arguments);
  if (mapping == nullptr || !arguments.Int64(0, &offset) || !FromJavaScript(arguments, &value) ||
      !mapping->Check(env, offset, sizeof(Word), sizeof(Word))) {
    return nullptr;
  }
  return Boolean(env, mapping->base_ != nullptr &&
                          Store(mapping->base_ + offset, SwapIf(mapping->swap_, value)));
}

template <bool kToDevice>
napi_value ProblemStateMapping::Block(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  int64_t offset;
  napi_typedarray_type type;
  size_t count;
  void* data;
  auto mapping = Wrapped<ProblemStateMapping>::Receiver(env, arguments.self());
  if (mapping == nullptr || !arguments.Int64(0, &offset) ||
      !Succeeded(env, napi_get_typedarray_info(env, arguments[1], &type, &count, &data, nullptr,
                                               nullptr))) {
    return nullptr;
  }
  const bool wide = type == napi_biguint64_array || type == napi_bigint64_array;
  if (!wide && type != napi_uint32_array && type != napi_int32_array) {
    ThrowTypeError(env, "a block is moved from or to 32- or 64-bit integer elements");
    return nullptr;
  }
  const size_t width = wide ? sizeof(uint64_t) : sizeof(uint32_t);
  if (!mapping->Check(env, offset, count * width, width)) return nullptr;
  size_t done = 0;
  if (mapping->base_ != nullptr && count > 0) {
    char* area = mapping->base_ + offset;
    const bool swap = mapping->swap_;
    if (kToDevice) {
      done = wide ? cxl_mmio_write_block64(area, static_cast<uint64_t*>(data), count, swap)
                  : cxl_mmio_write_block32(area, static_cast<uint32_t*>(data), count, swap);
    } else {
      done = wide ? cxl_mmio_read_block64(area, static_cast<uint64_t*>(data), count, swap)
                  : cxl_mmio_read_block32(area, static_cast<uint32_t*>(data), count, swap);
    }
  }
  return Integer(env, static_cast<int64_t>(done));
}

napi_value ProblemStateMapping::UnmapArea(napi_env env, napi_callback_info info) {
  Arguments<0> arguments(env, info);
  auto mapping = Wrapped<ProblemStateMapping>::Receiver(env, arguments.self());
  if (mapping != nullptr) mapping->Unmap();
  return nullptr;
}

}  // namespace cxl
