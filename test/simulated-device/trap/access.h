// SPDX-License-Identifier: Apache-2.0
//
// The one load or store behind a fault: decoded from its instruction, and made to have
// happened.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

struct trapped_access {
  bool store;
  int width;       // 4 or 8 bytes
  uint64_t bytes;  // what a store stores, as the value with these bytes in memory
  // Where a load goes, and what comes after.
  int target;
  bool reversed;
  size_t length;
};

uintptr_t trapped_instruction(const ucontext_t* state);
// False when it is an instruction that is none of: mov between a register, or a constant, and
// memory (x86-64); lwz, ld, stw, std, their indexed forms and the byte-reversed ones (ppc64);
// ldr, str, ldur, stur (arm64). None is known on other processors.
bool trapped_decode(const ucontext_t* state, struct trapped_access* access);
// Goes on behind the instruction; `bytes` is what a load finds.
void trapped_complete(ucontext_t* state, const struct trapped_access* access, uint64_t bytes);
// What trapped_decode accepts, for a message.
extern const char trapped_forms[];
