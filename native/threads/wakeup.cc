// SPDX-License-Identifier: Apache-2.0
#include "wakeup.h"

#include <errno.h>

#if defined(__powerpc64__)
#include <sys/auxv.h>
#include <uv.h>
#endif

namespace cxl {

#if defined(__powerpc64__)

namespace {

// The instruction is new in version 3.0 of the architecture: with an older processor it is invalid,
// or has another encoding.
bool HasWait() { return (getauxval(AT_HWCAP2) & PPC_FEATURE2_ARCH_3_00) != 0; }

// `wait 0`, as a number: assemblers for POWER8 encode the name as their processor has it.
void Wait() { asm volatile(".long 0x7c00003c" ::: "memory"); }

}  // namespace

int WaitForWakeup(const uint64_t* word, uint64_t nanoseconds) {
  if (!HasWait()) return -EOPNOTSUPP;
  const uint64_t end = uv_hrtime() + nanoseconds;
  for (;;) {
    if (word != nullptr && __atomic_load_n(word, __ATOMIC_ACQUIRE) != 0) return 0;
    // The timer interrupt resumes the thread often enough for this.
    if (uv_hrtime() >= end) return -EAGAIN;
    Wait();
    if (word == nullptr) return 0;
  }
}

#else

int WaitForWakeup(const uint64_t*, uint64_t) { return -EOPNOTSUPP; }

#endif

}  // namespace cxl
