// SPDX-License-Identifier: Apache-2.0
// Accesses to memory that an AFU reaches: loads have acquire order, stores release order. The
// check of the disassembly looks for the names.
#ifndef NODE_CXL_MEMORY_ORDERED_ACCESS_H_
#define NODE_CXL_MEMORY_ORDERED_ACCESS_H_

#include <stdint.h>

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

#endif  // NODE_CXL_MEMORY_ORDERED_ACCESS_H_
