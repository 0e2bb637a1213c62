// SPDX-License-Identifier: Apache-2.0
#include "ordered_access.h"

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
