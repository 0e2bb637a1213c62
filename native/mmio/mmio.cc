// SPDX-License-Identifier: Apache-2.0
#include "mmio.h"

#include "barrier.h"
#include "byte_order.h"

// How an access is guarded: `fault` enters as 1 and the instruction after the access clears
// it. The address of the access and that of the instruction behind the clearing one go into a
// table; when the access raises SIGBUS, fault_guard.cc moves the program counter from the one
// to the other. An access that does not fault pays one register instruction, and there is no
// state to save, so that any number of threads can be at it.
#define NODE_CXL_FIX_UP               \
  ".pushsection cxl_fix_ups, \"a\"\n" \
  ".balign 4\n"                       \
  ".long 1b - .\n"                    \
  ".long 2b - .\n"                    \
  ".popsection\n"

#if defined(__powerpc64__)
#define NODE_CXL_LOAD32 "lwz %[value], 0(%[address])\n"
#define NODE_CXL_LOAD64 "ld %[value], 0(%[address])\n"
#define NODE_CXL_STORE32 "stw %[value], 0(%[address])\n"
#define NODE_CXL_STORE64 "std %[value], 0(%[address])\n"
#define NODE_CXL_NO_FAULT "li %[fault], 0\n"
#define NODE_CXL_ADDRESS "b"  // register 0 would read as zero
#elif defined(__x86_64__)
#define NODE_CXL_LOAD32 "movl (%[address]), %[value]\n"
#define NODE_CXL_LOAD64 "movq (%[address]), %[value]\n"
#define NODE_CXL_STORE32 "movl %[value], (%[address])\n"
#define NODE_CXL_STORE64 "movq %[value], (%[address])\n"
#define NODE_CXL_NO_FAULT "movl $0, %[fault]\n"
#define NODE_CXL_ADDRESS "r"
#elif defined(__aarch64__)
#define NODE_CXL_LOAD32 "ldr %w[value], [%[address]]\n"
#define NODE_CXL_LOAD64 "ldr %x[value], [%[address]]\n"
#define NODE_CXL_STORE32 "str %w[value], [%[address]]\n"
#define NODE_CXL_STORE64 "str %x[value], [%[address]]\n"
#define NODE_CXL_NO_FAULT "mov %w[fault], #0\n"
#define NODE_CXL_ADDRESS "r"
#else
#error "node-cxl: the accesses are written for ppc64, x86-64 and arm64"
#endif

#define NODE_CXL_NOTHING ""

// `before` and `after` are the barrier's place; block transfers have theirs outside the loop.
#define NODE_CXL_LOAD(instruction, after, where, into, failed)                       \
  asm volatile("1: " instruction after "\n" NODE_CXL_NO_FAULT "2:\n" NODE_CXL_FIX_UP \
               : [value] "+&r"(into), [fault] "+&r"(failed)                          \
               : [address] NODE_CXL_ADDRESS(where)                                   \
               : "memory")
#define NODE_CXL_STORE(before, instruction, where, from, failed)                   \
  asm volatile(before "\n1: " instruction NODE_CXL_NO_FAULT "2:\n" NODE_CXL_FIX_UP \
               : [fault] "+&r"(failed)                                             \
               : [address] NODE_CXL_ADDRESS(where), [value] "r"(from)              \
               : "memory")

using cxl::SwapIf;

#define NODE_CXL_ACCESS extern "C" __attribute__((noinline))

NODE_CXL_ACCESS bool cxl_mmio_read32(const volatile void* address, uint32_t* value) {
  uint32_t fault = 1;
  uint32_t loaded = 0;
  NODE_CXL_LOAD(NODE_CXL_LOAD32, NODE_CXL_BARRIER, address, loaded, fault);
  *value = loaded;
  return fault == 0;
}

NODE_CXL_ACCESS bool cxl_mmio_read64(const volatile void* address, uint64_t* value) {
  uint32_t fault = 1;
  uint64_t loaded = 0;
  NODE_CXL_LOAD(NODE_CXL_LOAD64, NODE_CXL_BARRIER, address, loaded, fault);
  *value = loaded;
  return fault == 0;
}

NODE_CXL_ACCESS bool cxl_mmio_write32(volatile void* address, uint32_t value) {
  uint32_t fault = 1;
  NODE_CXL_STORE(NODE_CXL_BARRIER, NODE_CXL_STORE32, address, value, fault);
  return fault == 0;
}

NODE_CXL_ACCESS bool cxl_mmio_write64(volatile void* address, uint64_t value) {
  uint32_t fault = 1;
  NODE_CXL_STORE(NODE_CXL_BARRIER, NODE_CXL_STORE64, address, value, fault);
  return fault == 0;
}

namespace {

#define NODE_CXL_INLINE inline __attribute__((always_inline))

// One access of a block transfer; false when it faulted.
NODE_CXL_INLINE bool Load(const volatile uint32_t* from, uint32_t* value) {
  uint32_t fault = 1;
  uint32_t loaded = 0;
  NODE_CXL_LOAD(NODE_CXL_LOAD32, NODE_CXL_NOTHING, from, loaded, fault);
  *value = loaded;
  return fault == 0;
}
NODE_CXL_INLINE bool Load(const volatile uint64_t* from, uint64_t* value) {
  uint32_t fault = 1;
  uint64_t loaded = 0;
  NODE_CXL_LOAD(NODE_CXL_LOAD64, NODE_CXL_NOTHING, from, loaded, fault);
  *value = loaded;
  return fault == 0;
}
NODE_CXL_INLINE bool Store(volatile uint32_t* to, uint32_t value) {
  uint32_t fault = 1;
  NODE_CXL_STORE(NODE_CXL_NOTHING, NODE_CXL_STORE32, to, value, fault);
  return fault == 0;
}
NODE_CXL_INLINE bool Store(volatile uint64_t* to, uint64_t value) {
  uint32_t fault = 1;
  NODE_CXL_STORE(NODE_CXL_NOTHING, NODE_CXL_STORE64, to, value, fault);
  return fault == 0;
}

// Two loops each, so that none asks about the byte order at every element.
template <bool kSwap, class Word>
NODE_CXL_INLINE size_t LoadAll(const volatile Word* from, Word* to, size_t count) {
  size_t done = 0;
  for (Word value; done < count && Load(from + done, &value); ++done) {
    to[done] = SwapIf(kSwap, value);
  }
  return done;
}
template <bool kSwap, class Word>
NODE_CXL_INLINE size_t StoreAll(volatile Word* to, const Word* from, size_t count) {
  size_t done = 0;
  while (done < count && Store(to + done, SwapIf(kSwap, from[done]))) ++done;
  return done;
}

template <class Word>
NODE_CXL_INLINE size_t ReadBlock(const volatile void* area, Word* to, size_t count, bool swap) {
  auto from = static_cast<const volatile Word*>(area);
  const size_t done = swap ? LoadAll<true>(from, to, count) : LoadAll<false>(from, to, count);
  asm volatile(NODE_CXL_BARRIER ::: "memory");
  return done;
}
template <class Word>
NODE_CXL_INLINE size_t WriteBlock(volatile void* area, const Word* from, size_t count, bool swap) {
  auto to = static_cast<volatile Word*>(area);
  asm volatile(NODE_CXL_BARRIER ::: "memory");
  return swap ? StoreAll<true>(to, from, count) : StoreAll<false>(to, from, count);
}

}  // namespace

NODE_CXL_ACCESS size_t cxl_mmio_read_block32(const volatile void* from, uint32_t* to, size_t count,
                                             bool swap) {
  return ReadBlock(from, to, count, swap);
}
NODE_CXL_ACCESS size_t cxl_mmio_read_block64(const volatile void* from, uint64_t* to, size_t count,
                                             bool swap) {
  return ReadBlock(from, to, count, swap);
}
NODE_CXL_ACCESS size_t cxl_mmio_write_block32(volatile void* to, const uint32_t* from, size_t count,
                                              bool swap) {
  return WriteBlock(to, from, count, swap);
}
NODE_CXL_ACCESS size_t cxl_mmio_write_block64(volatile void* to, const uint64_t* from, size_t count,
                                              bool swap) {
  return WriteBlock(to, from, count, swap);
}
