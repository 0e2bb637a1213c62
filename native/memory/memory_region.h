// SPDX-License-Identifier: Apache-2.0
// Memory that an AFU can reach, and the ArrayBuffer over it.
#ifndef NODE_CXL_MEMORY_MEMORY_REGION_H_
#define NODE_CXL_MEMORY_MEMORY_REGION_H_

#include <napi.h>

#include "../wrap.h"
#include "pages.h"

namespace cxl {

// The pages of a region. They go back when neither the region's object nor anybody who has the
// bytes of its buffer is left: an ArrayBuffer can lose its bytes in ways that the addon is not told
// of (ArrayBuffer.prototype.transfer). When the environment ends, Node takes the bytes from every
// buffer it knows of, and tells. An object of this class deletes itself, unless it is an
// environment's leftover.
class RegionPages : public Leftover {
 public:
  explicit RegionPages(const Pages& pages) : pages_(pages) {}

  // The buffer's bytes are in use, and no longer: napi_create_external_arraybuffer's finalizer.
  void HoldBytes() { bytes_held_ = true; }
  static void BytesReleased(napi_env env, void* data, void* self);

  // The region has an object, and no longer.
  void HoldObject() { object_held_ = true; }
  void ObjectReleased();
  // Who can reach the pages has been considered.
  void Free();

  bool freed() const { return freed_; }
  void* address() const { return pages_.address; }

 private:
  ~RegionPages() override;
  void Update();

  const Pages pages_;
  bool bytes_held_ = false;
  bool object_held_ = false;
  bool freed_ = false;
  bool released_ = false;
};

class MemoryRegion : public Wrap<MemoryRegion> {
 public:
  static constexpr Class kClass = Class::kMemoryRegion;
  struct Init {
    RegionPages* pages;
    size_t size;
    Napi::ArrayBuffer buffer;
  };

  static void Define(Napi::Env env);
  // allocate({ size, alignment, hugePages, numaNode }): an object or a negative errno.
  static Napi::Value Allocate(const Napi::CallbackInfo& info);

  explicit MemoryRegion(const Napi::CallbackInfo& info);
  ~MemoryRegion() override;

 private:
  static Napi::Value Make(Napi::Env env, const Pages& pages, size_t size);

  template <class Word>
  static napi_value Load(napi_env env, napi_callback_info info);
  template <class Word>
  static napi_value Store(napi_env env, napi_callback_info info);
  char* Place(napi_env env, size_t width) const;
  Napi::Value Detach(const Napi::CallbackInfo& info);
  Napi::Value Free(const Napi::CallbackInfo& info);

  Operands* const operands_;
  RegionPages* pages_ = nullptr;
  size_t size_ = 0;
  // Weak; a property of the object holds the buffer.
  Napi::Reference<Napi::ArrayBuffer> buffer_;
};

}  // namespace cxl

#endif  // NODE_CXL_MEMORY_MEMORY_REGION_H_
