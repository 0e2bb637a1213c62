// SPDX-License-Identifier: Apache-2.0
//
// The load or store that caused a fault: decoding its instruction and completing it. Each
// processor has a file of its own.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

struct trapped_access {
  bool store;
  int width;       // 4 or 8 bytes
  uint64_t bytes;  // of a store: the value with these bytes in memory
  int target;      // of a load: the processor's register
  bool reversed;   // the instruction swaps the bytes
  size_t length;   // of the instruction
};

uintptr_t trapped_instruction(const ucontext_t* state);
// False when the instruction is none of those in `trapped_forms`.
bool trapped_decode(const ucontext_t* state, struct trapped_access* access);
// Stores the result of a load (`bytes` as in memory) and continues after the instruction.
void trapped_complete(ucontext_t* state, const struct trapped_access* access, uint64_t bytes);
// The instructions that are decoded, for an error message.
extern const char trapped_forms[];
