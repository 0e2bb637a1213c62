// SPDX-License-Identifier: Apache-2.0
// Memory that an AFU can reach, and the ArrayBuffer over it. Its pages go back when both its
// object and whatever holds the buffer's bytes are gone: an ArrayBuffer can be detached from
// its bytes by ways that we are not told of (ArrayBuffer.prototype.transfer). When the environment
// ends, Node takes the bytes from every buffer it knows of and tells us.
#ifndef NODE_CXL_MEMORY_H_
#define NODE_CXL_MEMORY_H_

#include <node_api.h>
#include <stdint.h>

#include "environment.h"
#include "pages.h"
#include "reference.h"

// The accesses, in the host's byte order; the disassembly check looks for the names.
extern "C" {
uint8_t cxl_memory_load8_acquire(const void* address);
uint16_t cxl_memory_load16_acquire(const void* address);
uint32_t cxl_memory_load32_acquire(const void* address);
uint64_t cxl_memory_load64_acquire(const void* address);
void cxl_memory_store8_release(void* address, uint8_t value);
void cxl_memory_store16_release(void* address, uint16_t value);
void cxl_memory_store32_release(void* address, uint32_t value);
void cxl_memory_store64_release(void* address, uint64_t value);
}

namespace cxl {

class MemoryRegion : public Counted<MemoryRegion> {
 public:
  static constexpr Class kClass = Class::kMemoryRegion;
  static const char kName[];
  static const napi_type_tag kTag;

  static bool Define(napi_env env);
  // A JavaScript object over the pages, which are taken over; a negative errno; or nullptr
  // with an exception pending.
  static napi_value New(napi_env env, const Pages& pages, size_t size);

  void Collected(napi_env env);

  napi_ref self = nullptr;

 private:
  friend class Counted<MemoryRegion>;
  MemoryRegion(const Pages& pages, size_t size) : pages_(pages), size_(size) {}
  ~MemoryRegion() = default;

  static void BytesReleased(napi_env env, void* data, void* hint);
  static napi_value Load(napi_env env, napi_callback_info info);
  static napi_value Load64(napi_env env, napi_callback_info info);
  static napi_value Store(napi_env env, napi_callback_info info);
  static napi_value Store64(napi_env env, napi_callback_info info);
  static napi_value Free(napi_env env, napi_callback_info info);

  // The address of `width` bytes. nullptr with an exception pending.
  char* At(napi_env env, int64_t offset, uint32_t width) const;
  bool GivenAway(napi_env env) const;
  void ReleasePages();

  const Pages pages_;
  const size_t size_;
  napi_ref buffer_ = nullptr;  // weak; the object holds the buffer
  // The pages go back once nobody holds the bytes and either the object is gone or free() was
  // called.
  bool bytes_held_ = false;
  bool object_held_ = false;
  bool freed_ = false;
};

}  // namespace cxl

#endif  // NODE_CXL_MEMORY_H_
