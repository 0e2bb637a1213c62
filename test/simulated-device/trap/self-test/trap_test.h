// SPDX-License-Identifier: Apache-2.0
//
// The registers of a flash context, as the self-test reaches those that act on access.

#pragma once

#include "../../self-test/self_test.h"

enum { ENDIAN_CONTROL = 0x00, ROOM = 0x38, COMMAND = 0x1000, VALUE = 0x1008, COUNT = 0x1010 };

#define ALL_ONES (~0ull)

// The compiler makes one plain load or store of each.
static inline uint64_t peek(uint8_t* page, size_t offset) {
  return be64toh(*(volatile uint64_t*)(void*)(page + offset));
}
static inline void poke(uint8_t* page, size_t offset, uint64_t value) {
  *(volatile uint64_t*)(void*)(page + offset) = htobe64(value);
}

// Every form of load and of store that the device knows.
void load_forms(uint8_t* page);
void store_forms(uint8_t* page);
// An access of a form that it does not know.
void unknown_form(uint8_t* page);
