// SPDX-License-Identifier: Apache-2.0
//
// 64-bit big-endian registers in problem state memory that a program maps.

#pragma once

#include <endian.h>
#include <stdint.h>

static inline uint64_t load_register(const uint8_t* registers, uint32_t offset) {
  const uint64_t* place = (const uint64_t*)(const void*)(registers + offset);
  return be64toh(__atomic_load_n(place, __ATOMIC_SEQ_CST));
}

static inline void store_register(uint8_t* registers, uint32_t offset, uint64_t value) {
  __atomic_store_n((uint64_t*)(void*)(registers + offset), htobe64(value), __ATOMIC_SEQ_CST);
}

// Returns the value that the program wrote and resets it to 0 in one step.
static inline uint64_t take_register(uint8_t* registers, uint32_t offset) {
  uint64_t* place = (uint64_t*)(void*)(registers + offset);
  if (!__atomic_load_n(place, __ATOMIC_SEQ_CST)) return 0;
  return be64toh(__atomic_exchange_n(place, 0, __ATOMIC_SEQ_CST));
}
