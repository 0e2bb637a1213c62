// SPDX-License-Identifier: Apache-2.0
#include "barrier.h"

extern "C" __attribute__((noinline)) void cxl_memory_barrier() {
  asm volatile(NODE_CXL_BARRIER ::: "memory");
}
