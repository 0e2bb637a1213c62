// SPDX-License-Identifier: Apache-2.0
#include "mmio.h"

#include "barrier.h"

// How an access is guarded: `fault` enters as 1 and the instruction after the access clears
// it. The address of the access and that of the instruction behind the clearing one go into a
// table; when the access raises SIGBUS, fault_guard.cc moves the program counter from the one
// to the other. An access that does not fault pays one register instruction, and there is no
// state to save, so that any number of threads can be at it.
#define NODE_CXL_FIX_UP(resume)       \
  ".pushsection cxl_fix_ups, \"a\"\n" \
  ".balign 4\n"                       \
  ".long 1b - .\n"                    \
  ".long " resume                     \
  " - .\n"                            \
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

// `before` and `after` are the barrier's place.
#define NODE_CXL_LOAD(instruction, after, where, into, failed)                             \
  asm volatile("1: " instruction after "\n" NODE_CXL_NO_FAULT "2:\n" NODE_CXL_FIX_UP("2b") \
               : [value] "+&r"(into), [fault] "+&r"(failed)                                \
               : [address] NODE_CXL_ADDRESS(where)                                         \
               : "memory")
#define NODE_CXL_STORE(before, instruction, where, from, failed)                         \
  asm volatile(before "\n1: " instruction NODE_CXL_NO_FAULT "2:\n" NODE_CXL_FIX_UP("2b") \
               : [fault] "+&r"(failed)                                                   \
               : [address] NODE_CXL_ADDRESS(where), [value] "r"(from)                    \
               : "memory")

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

// An element of a block goes from memory to memory by one asm statement. A fault continues at the
// label `failed`, so that no element pays for the guard: the loop is as fast as one without.
#if defined(__powerpc64__)
// Register 10 is free; register 0 would read as zero in an address.
#define NODE_CXL_MOVED "r10"
#define NODE_CXL_ELEMENT(element) NODE_CXL_ADDRESS(&(element))
#define NODE_CXL_READ32 "1: lwz 10, 0(%[from])\nstw 10, 0(%[to])\n"
#define NODE_CXL_READ64 "1: ld 10, 0(%[from])\nstd 10, 0(%[to])\n"
#define NODE_CXL_WRITE32 "lwz 10, 0(%[from])\n1: stw 10, 0(%[to])\n"
#define NODE_CXL_WRITE64 "ld 10, 0(%[from])\n1: std 10, 0(%[to])\n"
#define NODE_CXL_READ32_SWAPPED "1: lwbrx 10, 0, %[from]\nstw 10, 0(%[to])\n"
#define NODE_CXL_READ64_SWAPPED "1: ldbrx 10, 0, %[from]\nstd 10, 0(%[to])\n"
#define NODE_CXL_WRITE32_SWAPPED "lwz 10, 0(%[from])\n1: stwbrx 10, 0, %[to]\n"
#define NODE_CXL_WRITE64_SWAPPED "ld 10, 0(%[from])\n1: stdbrx 10, 0, %[to]\n"
#elif defined(__x86_64__)
#define NODE_CXL_MOVED "rax"
#define NODE_CXL_ELEMENT(element) "m"(element)
#define NODE_CXL_READ32 "1: movl %[from], %%eax\nmovl %%eax, %[to]\n"
#define NODE_CXL_READ64 "1: movq %[from], %%rax\nmovq %%rax, %[to]\n"
#define NODE_CXL_WRITE32 "movl %[from], %%eax\n1: movl %%eax, %[to]\n"
#define NODE_CXL_WRITE64 "movq %[from], %%rax\n1: movq %%rax, %[to]\n"
#define NODE_CXL_READ32_SWAPPED "1: movl %[from], %%eax\nbswapl %%eax\nmovl %%eax, %[to]\n"
#define NODE_CXL_READ64_SWAPPED "1: movq %[from], %%rax\nbswapq %%rax\nmovq %%rax, %[to]\n"
#define NODE_CXL_WRITE32_SWAPPED "movl %[from], %%eax\nbswapl %%eax\n1: movl %%eax, %[to]\n"
#define NODE_CXL_WRITE64_SWAPPED "movq %[from], %%rax\nbswapq %%rax\n1: movq %%rax, %[to]\n"
#elif defined(__aarch64__)
#define NODE_CXL_MOVED "x9"
#define NODE_CXL_ELEMENT(element) "m"(element)
#define NODE_CXL_READ32 "1: ldr w9, %[from]\nstr w9, %[to]\n"
#define NODE_CXL_READ64 "1: ldr x9, %[from]\nstr x9, %[to]\n"
#define NODE_CXL_WRITE32 "ldr w9, %[from]\n1: str w9, %[to]\n"
#define NODE_CXL_WRITE64 "ldr x9, %[from]\n1: str x9, %[to]\n"
#define NODE_CXL_READ32_SWAPPED "1: ldr w9, %[from]\nrev w9, w9\nstr w9, %[to]\n"
#define NODE_CXL_READ64_SWAPPED "1: ldr x9, %[from]\nrev x9, x9\nstr x9, %[to]\n"
#define NODE_CXL_WRITE32_SWAPPED "ldr w9, %[from]\nrev w9, w9\n1: str w9, %[to]\n"
#define NODE_CXL_WRITE64_SWAPPED "ldr x9, %[from]\nrev x9, x9\n1: str x9, %[to]\n"
#endif

#define NODE_CXL_MOVE(instructions)                                               \
  asm goto(instructions NODE_CXL_FIX_UP("%l[failed]")                             \
           :                                                                      \
           : [from] NODE_CXL_ELEMENT(from[done]), [to] NODE_CXL_ELEMENT(to[done]) \
           : "memory", NODE_CXL_MOVED                                             \
           : failed)

#if defined(__clang__)
#define NODE_CXL_UNROLL  // It does not, and warns.
#else
#define NODE_CXL_UNROLL _Pragma("GCC unroll 8")
#endif

// How many elements were moved before an access faulted.
#define NODE_CXL_MOVE_ALL(name, Word, instructions)                                             \
  inline __attribute__((always_inline)) size_t name(const Word* from, Word* to, size_t count) { \
    size_t done = 0;                                                                            \
    NODE_CXL_UNROLL                                                                             \
    for (; done < count; ++done) NODE_CXL_MOVE(instructions);                                   \
  failed:                                                                                       \
    return done;                                                                                \
  }

NODE_CXL_MOVE_ALL(Read, uint32_t, NODE_CXL_READ32)
NODE_CXL_MOVE_ALL(Read, uint64_t, NODE_CXL_READ64)
NODE_CXL_MOVE_ALL(ReadSwapped, uint32_t, NODE_CXL_READ32_SWAPPED)
NODE_CXL_MOVE_ALL(ReadSwapped, uint64_t, NODE_CXL_READ64_SWAPPED)
NODE_CXL_MOVE_ALL(Write, uint32_t, NODE_CXL_WRITE32)
NODE_CXL_MOVE_ALL(Write, uint64_t, NODE_CXL_WRITE64)
NODE_CXL_MOVE_ALL(WriteSwapped, uint32_t, NODE_CXL_WRITE32_SWAPPED)
NODE_CXL_MOVE_ALL(WriteSwapped, uint64_t, NODE_CXL_WRITE64_SWAPPED)

// The barriers of a block are outside its loop. The area is read and written by the asm alone.
template <class Word>
inline __attribute__((always_inline)) size_t ReadBlock(const volatile void* area, Word* to,
                                                       size_t count, bool swap) {
  auto from = static_cast<const Word*>(const_cast<const void*>(area));
  const size_t done = swap ? ReadSwapped(from, to, count) : Read(from, to, count);
  asm volatile(NODE_CXL_BARRIER ::: "memory");
  return done;
}
template <class Word>
inline __attribute__((always_inline)) size_t WriteBlock(volatile void* area, const Word* from,
                                                        size_t count, bool swap) {
  auto to = static_cast<Word*>(const_cast<void*>(area));
  asm volatile(NODE_CXL_BARRIER ::: "memory");
  return swap ? WriteSwapped(from, to, count) : Write(from, to, count);
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
