// SPDX-License-Identifier: Apache-2.0
//
// Trapped registers (README.md): their mappings have no access, and the SIGSEGV of each load or
// store carries it out.

#pragma once

#include <stdint.h>

struct context;

// What a load or store does, by the offset in the context's area and the width in bytes. `bytes`
// is the value whose bytes the program sees in memory.
struct trapped_registers {
  uint64_t (*load)(struct context* context, uint64_t offset, int width);
  void (*store)(struct context* context, uint64_t offset, int width, uint64_t bytes);
};

// Whether instructions of this processor are decoded.
#if defined(__x86_64__) || defined(__powerpc64__)
#define TRAP_SUPPORTED 1
#else
#define TRAP_SUPPORTED 0
#endif

// Installs a handler of SIGSEGV once; it passes every fault that is not one of a register on to
// the handler that was there before. Lock held.
void trap_install(void);
