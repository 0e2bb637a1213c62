// SPDX-License-Identifier: Apache-2.0
#include "memory.h"

#include <errno.h>

#include "arguments.h"
#include "attachments.h"
#include "byte_order.h"
#include "wrapped.h"

#define NODE_CXL_ACCESS extern "C" __attribute__((noinline))

NODE_CXL_ACCESS uint8_t cxl_memory_load8_acquire(const void* address) {
  return __atomic_load_n(static_cast<const uint8_t*>(address), __ATOMIC_ACQUIRE);
}
NODE_CXL_ACCESS uint16_t cxl_memory_load16_acquire(const void* address) {
  return __atomic_load_n(static_cast<const uint16_t*>(address), __ATOMIC_ACQUIRE);
}
NODE_CXL_ACCESS uint32_t cxl_memory_load32_acquire(const void* address) {
  return __atomic_load_n(static_cast<const uint32_t*>(address), __ATOMIC_ACQUIRE);
}
NODE_CXL_ACCESS uint64_t cxl_memory_load64_acquire(const void* address) {
  return __atomic_load_n(static_cast<const uint64_t*>(address), __ATOMIC_ACQUIRE);
}
NODE_CXL_ACCESS void cxl_memory_store8_release(void* address, uint8_t value) {
  __atomic_store_n(static_cast<uint8_t*>(address), value, __ATOMIC_RELEASE);
}
NODE_CXL_ACCESS void cxl_memory_store16_release(void* address, uint16_t value) {
  __atomic_store_n(static_cast<uint16_t*>(address), value, __ATOMIC_RELEASE);
}
NODE_CXL_ACCESS void cxl_memory_store32_release(void* address, uint32_t value) {
  __atomic_store_n(static_cast<uint32_t*>(address), value, __ATOMIC_RELEASE);
}
NODE_CXL_ACCESS void cxl_memory_store64_release(void* address, uint64_t value) {
  __atomic_store_n(static_cast<uint64_t*>(address), value, __ATOMIC_RELEASE);
}

namespace cxl {

const char MemoryRegion::kName[] = "MemoryRegion";
const napi_type_tag MemoryRegion::kTag = {0x6e6f64652d63786cULL, 0x6d656d6f72792d2dULL};

void MemoryRegion::ReleasePages() {
  if (bytes_held_ || (object_held_ && !freed_)) return;
  if (freed_) {
    // free() has asked already whether anybody is attached.
    Unmap(pages_);
  } else {
    ReleaseWhenDetached(pages_);
  }
}

bool MemoryRegion::Define(napi_env env) {
  const napi_property_descriptor methods[] = {
      {"free", nullptr, Free, nullptr, nullptr, nullptr, napi_default, nullptr},
  };
  return Wrapped<MemoryRegion>::Define(env, methods, sizeof methods / sizeof *methods);
}

napi_value MemoryRegion::New(napi_env env, const Pages& pages, size_t size) {
  Ref<MemoryRegion> region(new MemoryRegion(pages, size));
  napi_value buffer;
  // For the buffer's bytes; before the call, which may release them in failing.
  region->bytes_held_ = true;
  region->Retain();
  const napi_status status = napi_create_external_arraybuffer(env, pages.address, size,
                                                              BytesReleased, region.get(), &buffer);
  if (status == napi_no_external_buffers_allowed) {
    BytesReleased(env, pages.address, region.get());
    return Integer(env, -EOPNOTSUPP);
  }
  if (!Succeeded(env, status)) return nullptr;
  napi_value object = Wrapped<MemoryRegion>::New(env, region.get());
  if (object == nullptr) return nullptr;
  region->object_held_ = true;
  if (!Succeeded(env, napi_create_reference(env, buffer, 0, &region->buffer_))) return nullptr;
  const napi_property_descriptor properties[] = {
      {"address", nullptr, nullptr, nullptr, nullptr,
       BigInt(env, reinterpret_cast<uintptr_t>(pages.address)), napi_enumerable, nullptr},
      {"size", nullptr, nullptr, nullptr, nullptr, Integer(env, static_cast<int64_t>(size)),
       napi_enumerable, nullptr},
      {"buffer", nullptr, nullptr, nullptr, nullptr, buffer, napi_enumerable, nullptr},
  };
  const BoundMethod accesses[] = {
      {"load", Load}, {"load64", Load64}, {"store", Store}, {"store64", Store64}};
  return Succeeded(env, napi_define_properties(env, object, 3, properties)) &&
                 Wrapped<MemoryRegion>::Bind(env, object, region.get(), accesses, 4)
             ? object
             : nullptr;
}

void MemoryRegion::Collected(napi_env env) {
  if (self != nullptr) napi_delete_reference(env, std::exchange(self, nullptr));
  if (buffer_ != nullptr) napi_delete_reference(env, std::exchange(buffer_, nullptr));
  object_held_ = false;
  // After free() it is the bytes alone that count.
  if (!freed_) ReleasePages();
}

void MemoryRegion::BytesReleased(napi_env, void*, void* data) {
  auto region = static_cast<MemoryRegion*>(data);
  region->bytes_held_ = false;
  region->ReleasePages();
  region->Release();
}

bool MemoryRegion::GivenAway(napi_env env) const {
  napi_value buffer = nullptr;
  bool detached = false;
  return buffer_ != nullptr && napi_get_reference_value(env, buffer_, &buffer) == napi_ok &&
         buffer != nullptr && napi_is_detached_arraybuffer(env, buffer, &detached) == napi_ok &&
         detached;
}

char* MemoryRegion::At(napi_env env, int64_t offset, uint32_t width) const {
  if (freed_) {
    napi_throw_error(env, "ERR_INVALID_STATE", "the memory has been freed");
    return nullptr;
  }
  if (offset < 0 || static_cast<uint64_t>(offset) % width != 0 || width > size_ ||
      static_cast<uint64_t>(offset) > size_ - width) {
    ThrowRangeError(env, "the access is misaligned or leaves the memory");
    return nullptr;
  }
  return static_cast<char*>(pages_.address) + offset;
}

// load(offset, width, bigEndian)
napi_value MemoryRegion::Load(napi_env env, napi_callback_info info) {
  Arguments<3> arguments(env, info);
  int64_t offset;
  uint32_t width;
  bool big_endian;
  auto region = Wrapped<MemoryRegion>::BoundReceiver(env, arguments);
  if (region == nullptr || !arguments.Int64(0, &offset) || !arguments.Uint32(1, &width) ||
      !arguments.Bool(2, &big_endian)) {
    return nullptr;
  }
  if (width != 1 && width != 2 && width != 4) {
    ThrowRangeError(env, "the width is 1, 2 or 4");
    return nullptr;
  }
  const char* address = region->At(env, offset, width);
  if (address == nullptr) return nullptr;
  const bool swap = MustSwap(big_endian);
  switch (width) {
    case 1:
      return Integer(env, cxl_memory_load8_acquire(address));
    case 2:
      return Integer(env, SwapIf(swap, cxl_memory_load16_acquire(address)));
    default:
      return Integer(env, SwapIf(swap, cxl_memory_load32_acquire(address)));
  }
}

// load64(offset, bigEndian)
napi_value MemoryRegion::Load64(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  int64_t offset;
  bool big_endian;
  auto region = Wrapped<MemoryRegion>::BoundReceiver(env, arguments);
  if (region == nullptr || !arguments.Int64(0, &offset) || !arguments.Bool(1, &big_endian)) {
    return nullptr;
  }
  const char* address = region->At(env, offset, sizeof(uint64_t));
  if (address == nullptr) return nullptr;
  return BigInt(env, SwapIf(MustSwap(big_endian), cxl_memory_load64_acquire(address)));
}

// store(offset, width, value, bigEndian)
napi_value MemoryRegion::Store(napi_env env, napi_callback_info info) {
  Arguments<4> arguments(env, info);
  int64_t offset;
  uint32_t width;
  uint32_t value;
  bool big_endian;
  auto region = Wrapped<MemoryRegion>::BoundReceiver(env, arguments);
  if (region == nullptr || !arguments.Int64(0, &offset) || !arguments.Uint32(1, &width) ||
      !arguments.Uint32(2, &value) || !arguments.Bool(3, &big_endian)) {
    return nullptr;
  }
  if (width != 1 && width != 2 && width != 4) {
    ThrowRangeError(env, "the width is 1, 2 or 4");
    return nullptr;
  }
  char* address = region->At(env, offset, width);
  if (address == nullptr) return nullptr;
  const bool swap = MustSwap(big_endian);
  switch (width) {
    case 1:
      cxl_memory_store8_release(address, static_cast<uint8_t>(value));
      break;
    case 2:
      cxl_memory_store16_release(address, SwapIf(swap, static_cast<uint16_t>(value)));
      break;
    default:
      cxl_memory_store32_release(address, SwapIf(swap, value));
      break;
  }
  return nullptr;
}

// store64(offset, value, bigEndian)
napi_value MemoryRegion::Store64(napi_env env, napi_callback_info info) {
  Arguments<3> arguments(env, info);
  int64_t offset;
  uint64_t value;
  bool big_endian;
  auto region = Wrapped<MemoryRegion>::BoundReceiver(env, arguments);
  if (region == nullptr || !arguments.Int64(0, &offset) || !arguments.Uint64(1, &value) ||
      !arguments.Bool(2, &big_endian)) {
    return nullptr;
  }
  char* address = region->At(env, offset, sizeof(uint64_t));
  if (address != nullptr) {
    cxl_memory_store64_release(address, SwapIf(MustSwap(big_endian), value));
  }
  return nullptr;
}

// free(force)
napi_value MemoryRegion::Free(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  bool force;
  auto region = Wrapped<MemoryRegion>::Receiver(env, arguments.self());
  if (region == nullptr || !arguments.Bool(0, &force)) return nullptr;
  if (region->freed_) return Integer(env, 0);
  if (!force && AnyContextAttached()) return Integer(env, -EBUSY);
  napi_value buffer = nullptr;
  if (!Succeeded(env, napi_get_reference_value(env, region->buffer_, &buffer))) return nullptr;
  // A buffer that was given away keeps its bytes until whoever has them lets go, and so does
  // ours if something at work on another thread holds them: BytesReleased tells.
  if (!region->GivenAway(env) && !Succeeded(env, napi_detach_arraybuffer(env, buffer))) {
    return nullptr;
  }
  region->freed_ = true;
  if (!region->bytes_held_) region->ReleasePages();
  return Integer(env, 0);
}

}  // namespace cxl
