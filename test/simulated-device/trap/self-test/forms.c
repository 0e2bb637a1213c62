// SPDX-License-Identifier: Apache-2.0
//
// The instructions that are decoded.

#include "trap_test.h"

// An instruction that counts follows each form, to notice a length that is decoded wrong.
#define LOADS(target, expected, form, ...)                                                       \
  do {                                                                                           \
    register uint64_t got asm(target) = ALL_ONES;                                                \
    uint64_t count = 0;                                                                          \
    asm volatile(form COUNT_UP : [got] "+r"(got), [count] "+r"(count) : __VA_ARGS__ : "memory"); \
    check(got == (expected) && count == 1, "load: " form);                                       \
  } while (0)
#define STORES(source, expected, form, ...)                           \
  do {                                                                \
    register uint64_t value asm(source) = STORED;                     \
    uint64_t count = 0;                                               \
    poke(page, INJECT_VALUE, 0);                                      \
    asm volatile(form COUNT_UP                                        \
                 : [count] "+r"(count)                                \
                 : [value] "r"(value), __VA_ARGS__                    \
                 : "memory");                                         \
    uint64_t got = *(volatile uint64_t*)(void*)(page + INJECT_VALUE); \
    check(got == (uint64_t)(expected) && count == 1, "store: " form); \
  } while (0)

// Values in the processor's registers. A register of the device takes 8 bytes only: 4 bytes read
// as 0, and a store of 4 bytes has no effect.
#define STORED 0x1122334455667788ull
#define SWAPPED 0x8877665544332211ull

#if defined(__x86_64__)
#define COUNT_UP "\nincq %[count]"

void load_forms(uint8_t* page) {
  uint8_t* at = page + INJECT_VALUE;
  *(volatile uint64_t*)(void*)at = STORED;
  LOADS("rax", STORED, "movq (%[at]), %[got]", [at] "D"(at));
  LOADS("rcx", STORED, "movq (%[at]), %[got]", [at] "b"(at));
  LOADS("rdx", STORED, "movq 0x1008(%[at]), %[got]", [at] "S"(page));
  LOADS("rbx", STORED, "movq -8(%[at]), %[got]", [at] "a"(at + 8));
  LOADS("rsi", STORED,
        "movq (%[at],%[index],8), %[got]", [at] "c"(page), [index] "d"(INJECT_VALUE / 8l));
  LOADS("rdi", STORED, "movq 8(%[at],%[index],4), %[got]", [at] "a"(page), [index] "b"(1024l));
  LOADS("r8", STORED, "movq 0x1000(%[at],%[index]), %[got]", [at] "r"(page), [index] "r"(8l));
  LOADS("r9", STORED, "movq 0(,%[index],8), %[got]", [index] "r"((uintptr_t)at / 8));
  LOADS("r11", 0, "movl (%[at]), %k[got]", [at] "r"(at));
  LOADS("rax", 0, "movl 4(%[at]), %k[got]", [at] "r"(at));
  register uint8_t* r12 asm("r12") = at;
  LOADS("r14", STORED, "movq (%[at]), %[got]", [at] "r"(r12));
  LOADS("r15", STORED, "movq 0(%[at],%[index]), %[got]", [at] "r"(r12), [index] "r"(0l));
  register uint8_t* r13 asm("r13") = at;
  LOADS("r14", STORED, "movq (%[at]), %[got]", [at] "r"(r13));
  // A load may overwrite the register that holds its address.
  asm volatile("movq (%[at]), %[at]" : [at] "+r"(at));
  check((uint64_t)at == STORED, "load: into the register of the address");
}

void store_forms(uint8_t* page) {
  uint8_t* at = page + INJECT_VALUE;
  STORES("rax", STORED, "movq %[value], (%[at])", [at] "D"(at));
  STORES("rcx", STORED, "movq %[value], 0x1008(%[at])", [at] "b"(page));
  STORES("rdx", STORED, "movq %[value], 8(%[at],%[index],4)", [at] "a"(page), [index] "b"(1024l));
  STORES("rsi", STORED, "movq %[value], -8(%[at])", [at] "r"(at + 8));
  STORES("r8", STORED, "movq %[value], (%[at])", [at] "r"(at));
  STORES("r15", STORED, "movq %[value], (%[at])", [at] "r"(at));
  STORES("r9", 0, "movl %k[value], (%[at])", [at] "r"(at));
  STORES("rdi", 0, "movl %k[value], 4(%[at])", [at] "r"(at));
  STORES("rax", -2, "movq $-2, (%[at])", [at] "r"(at));
  STORES("rax", 0x12345678, "movq $0x12345678, 0x1008(%[at])", [at] "r"(page));
  STORES("rax", 0, "movl $5, (%[at])", [at] "r"(at));
}

// A store of one byte is not decoded.
void unknown_form(uint8_t* page) { asm volatile("movb $1, (%0)" ::"r"(page + INJECT_VALUE)); }

#elif defined(__powerpc64__)
#define COUNT_UP "\naddi %[count], %[count], 1"
#define AT [at] "b"(at)
#define INDEXED [at] "b"(page), [index] "r"((uint64_t)INJECT_VALUE)

void load_forms(uint8_t* page) {
  uint8_t* at = page + INJECT_VALUE;
  *(volatile uint64_t*)(void*)at = STORED;
  LOADS("r3", STORED, "ld %[got], 0(%[at])", AT);
  LOADS("r29", STORED, "ld %[got], -8(%[at])", [at] "b"(at + 8));
  LOADS("r10", STORED, "ldx %[got], %[at], %[index]", INDEXED);
  LOADS("r3", STORED, "ldx %[got], 0, %[at]", AT);
  LOADS("r14", SWAPPED, "ldbrx %[got], %[at], %[index]", INDEXED);
  LOADS("r3", 0, "lwz %[got], 0(%[at])", AT);
  LOADS("r30", 0, "lwzx %[got], %[at], %[index]", INDEXED);
  LOADS("r3", 0, "lwbrx %[got], %[at], %[index]", INDEXED);
  asm volatile("ld %[at], 0(%[at])" : [at] "+b"(at));
  check((uint64_t)at == STORED, "load: into the register of the address");
}

void store_forms(uint8_t* page) {
  uint8_t* at = page + INJECT_VALUE;
  STORES("r3", STORED, "std %[value], 0(%[at])", AT);
  STORES("r29", STORED, "std %[value], -8(%[at])", [at] "b"(at + 8));
  STORES("r10", STORED, "stdx %[value], %[at], %[index]", INDEXED);
  STORES("r14", SWAPPED, "stdbrx %[value], %[at], %[index]", INDEXED);
  STORES("r3", 0, "stw %[value], 0(%[at])", AT);
  STORES("r3", 0, "stwx %[value], %[at], %[index]", INDEXED);
  STORES("r3", 0, "stwbrx %[value], %[at], %[index]", INDEXED);
}

void unknown_form(uint8_t* page) {
  asm volatile("stb %0, 0(%1)" ::"r"(1), "b"(page + INJECT_VALUE));
}

#endif
