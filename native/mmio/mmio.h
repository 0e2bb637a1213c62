// SPDX-License-Identifier: Apache-2.0
// Accesses to a mapped problem state area. Each is one aligned load or store of its width,
// which the compiler can neither split nor merge, nor turn into memcpy (whose vector and
// cache-line instructions fault on cache-inhibited storage). A full barrier precedes a store
// and follows a load. Values are in the host's byte order.
//
// The names are stable: the disassembly check looks for them.
#ifndef NODE_CXL_MMIO_MMIO_H_
#define NODE_CXL_MMIO_MMIO_H_

#include <stddef.h>
#include <stdint.h>

extern "C" {

// False when the access faulted (SIGBUS).
bool cxl_mmio_read32(const volatile void* address, uint32_t* value);
bool cxl_mmio_read64(const volatile void* address, uint64_t* value);
bool cxl_mmio_write32(volatile void* address, uint32_t value);
bool cxl_mmio_write64(volatile void* address, uint64_t value);

// Whole elements in ascending order, one barrier for the block; with `swap` the bytes of each
// are reversed on the way. How many were moved before a fault.
size_t cxl_mmio_read_block32(const volatile void* from, uint32_t* to, size_t count, bool swap);
size_t cxl_mmio_read_block64(const volatile void* from, uint64_t* to, size_t count, bool swap);
size_t cxl_mmio_write_block32(volatile void* to, const uint32_t* from, size_t count, bool swap);
size_t cxl_mmio_write_block64(volatile void* to, const uint64_t* from, size_t count, bool swap);

}  // extern "C"

#endif  // NODE_CXL_MMIO_MMIO_H_
