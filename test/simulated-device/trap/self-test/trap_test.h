// SPDX-License-Identifier: Apache-2.0
//
// What the tests of trapped registers have in common.

#pragma once

#include "../../flash/sislite.h"
#include "../../self-test/self_test.h"

#define ALL_ONES (~0ull)

// The compiler makes one plain load or store of each.
static inline uint64_t peek(uint8_t* page, size_t offset) {
  return be64toh(*(volatile uint64_t*)(void*)(page + offset));
}
static inline void poke(uint8_t* page, size_t offset, uint64_t value) {
  *(volatile uint64_t*)(void*)(page + offset) = htobe64(value);
}

// Every kind of load and of store that is decoded.
void load_forms(uint8_t* page);
void store_forms(uint8_t* page);
// An access by an instruction that is not decoded.
void unknown_form(uint8_t* page);
