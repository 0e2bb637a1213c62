// SPDX-License-Identifier: Apache-2.0

#include "access.h"

#include <string.h>

#if defined(__x86_64__)

const char trapped_forms[] = "mov of 4 or 8 bytes between a register, or a constant, and memory";

static const int registers[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                  REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                  REG_R12, REG_R13, REG_R14, REG_R15};

enum { SEGMENT_FS = 0x64, SEGMENT_GS = 0x65, SHORT_ADDRESS = 0x67 };
enum { REX = 0x40, REX_W = 8, REX_R = 4 };
enum { MOV_STORE = 0x89, MOV_LOAD = 0x8b, MOV_CONSTANT = 0xc7 };

uintptr_t trapped_instruction(const ucontext_t* state) {
  return (uintptr_t)state->uc_mcontext.gregs[REG_RIP];
}

// Bytes of ModRM, SIB and displacement; the address itself is the fault's. 0: no memory.
static size_t operand_length(const uint8_t* place) {
  int mode = place[0] >> 6, base = place[0] & 7;
  size_t length = 1;
  if (mode == 3) return 0;
  if (base == 4) {
    base = place[1] & 7;
    length++;
  }
  if (mode == 1) return length + 1;
  return mode == 2 || base == 5 ? length + 4 : length;
}

bool trapped_decode(const ucontext_t* state, struct trapped_access* access) {
  const uint8_t* start = (const uint8_t*)trapped_instruction(state);
  const uint8_t* at = start;
  while (*at == SEGMENT_FS || *at == SEGMENT_GS || *at == SHORT_ADDRESS) at++;
  int rex = (*at & 0xf0) == REX ? *at++ : 0;
  uint8_t operation = *at++;
  if (operation != MOV_STORE && operation != MOV_LOAD && operation != MOV_CONSTANT) return false;
  size_t operand = operand_length(at);
  int number = (*at >> 3 & 7) | (rex & REX_R ? 8 : 0);
  if (!operand || (operation == MOV_CONSTANT && (*at >> 3 & 7) != 0)) return false;
  at += operand;
  *access = (struct trapped_access){
      .store = operation != MOV_LOAD, .width = rex & REX_W ? 8 : 4, .target = registers[number]};
  if (operation == MOV_CONSTANT) {
    int32_t constant;
    memcpy(&constant, at, sizeof constant);
    at += sizeof constant;
    access->bytes = (uint64_t)(int64_t)constant;
  } else {
    access->bytes = (uint64_t)state->uc_mcontext.gregs[access->target];
  }
  if (access->width == 4) access->bytes = (uint32_t)access->bytes;
  access->length = (size_t)(at - start);
  return true;
}

void trapped_complete(ucontext_t* state, const struct trapped_access* access, uint64_t bytes) {
  if (!access->store) {
    uint64_t value = access->width == 4 ? (uint32_t)bytes : bytes;
    state->uc_mcontext.gregs[access->target] = (greg_t)value;
  }
  state->uc_mcontext.gregs[REG_RIP] += (greg_t)access->length;
}

#elif defined(__powerpc64__)

const char trapped_forms[] = "lwz, ld, stw, std, lwzx, ldx, stwx, stdx and the byte-reversed ones";

#define NEXT_INSTRUCTION 32  // PT_NIP

enum { LWZ = 32, STW = 36, INDEXED = 31, LD = 58, STD = 62 };
enum { LD_KIND_MASK = 3 };

static const struct indexed {
  uint16_t extended;
  uint8_t width;
  bool store, reversed;
} indexed_forms[] = {
    {23, 4, false, false},  // lwzx
    {21, 8, false, false},  // ldx
    {151, 4, true, false},  // stwx
    {149, 8, true, false},  // stdx
    {534, 4, false, true},  // lwbrx
    {532, 8, false, true},  // ldbrx
    {662, 4, true, true},   // stwbrx
    {660, 8, true, true},   // stdbrx
};

uintptr_t trapped_instruction(const ucontext_t* state) {
  return (uintptr_t)state->uc_mcontext.gp_regs[NEXT_INSTRUCTION];
}

static uint64_t reverse(uint64_t value, int width) {
  return width == 4 ? __builtin_bswap32((uint32_t)value) : __builtin_bswap64(value);
}

static bool decode_indexed(uint32_t instruction, struct trapped_access* access) {
  uint32_t extended = instruction >> 1 & 0x3ff;
  for (size_t i = 0; i < sizeof indexed_forms / sizeof *indexed_forms; i++) {
    const struct indexed* form = &indexed_forms[i];
    if (form->extended != extended) continue;
    access->width = form->width;
    access->store = form->store;
    access->reversed = form->reversed;
    return true;
  }
  return false;
}

bool trapped_decode(const ucontext_t* state, struct trapped_access* access) {
  uint32_t instruction = *(const uint32_t*)trapped_instruction(state);
  uint32_t primary = instruction >> 26;
  *access = (struct trapped_access){.width = primary == LWZ || primary == STW ? 4 : 8,
                                    .store = primary == STW || primary == STD,
                                    .target = (int)(instruction >> 21 & 31),
                                    .length = sizeof instruction};
  if (primary == INDEXED) {
    if (!decode_indexed(instruction, access)) return false;
  } else if (primary == LD || primary == STD) {
    // The other kinds are ldu, lwa, stdu and stq.
    if (instruction & LD_KIND_MASK) return false;
  } else if (primary != LWZ && primary != STW) {
    return false;
  }
  uint64_t value = state->uc_mcontext.gp_regs[access->target];
  if (access->reversed) value = reverse(value, access->width);
  access->bytes = access->width == 4 ? (uint32_t)value : value;
  return true;
}

void trapped_complete(ucontext_t* state, const struct trapped_access* access, uint64_t bytes) {
  if (!access->store) {
    uint64_t value = access->width == 4 ? (uint32_t)bytes : bytes;
    if (access->reversed) value = reverse(value, access->width);
    state->uc_mcontext.gp_regs[access->target] = value;
  }
  state->uc_mcontext.gp_regs[NEXT_INSTRUCTION] += access->length;
}

#elif defined(__aarch64__)

const char trapped_forms[] = "ldr and str of 4 or 8 bytes, and ldur and stur";

#define ZERO_REGISTER 31

// Bit 30 makes it 8 bytes, and is in no mask.
static const struct form {
  uint32_t mask, value;
  bool store;
} forms[] = {
    {0xbfc00000, 0xb9400000, false},  // ldr, at an offset
    {0xbfc00000, 0xb9000000, true},   // str
    {0xbfe00c00, 0xb8400000, false},  // ldur
    {0xbfe00c00, 0xb8000000, true},   // stur
    {0xbfe00c00, 0xb8600800, false},  // ldr, by an index
    {0xbfe00c00, 0xb8200800, true},   // str
};

uintptr_t trapped_instruction(const ucontext_t* state) { return state->uc_mcontext.pc; }

bool trapped_decode(const ucontext_t* state, struct trapped_access* access) {
  uint32_t instruction = *(const uint32_t*)trapped_instruction(state);
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    if ((instruction & forms[i].mask) != forms[i].value) continue;
    *access = (struct trapped_access){.store = forms[i].store,
                                      .width = instruction >> 30 & 1 ? 8 : 4,
                                      .target = (int)(instruction & 31),
                                      .length = sizeof instruction};
    bool zero = access->target == ZERO_REGISTER;
    uint64_t value = zero ? 0 : state->uc_mcontext.regs[access->target];
    access->bytes = access->width == 4 ? (uint32_t)value : value;
    return true;
  }
  return false;
}

void trapped_complete(ucontext_t* state, const struct trapped_access* access, uint64_t bytes) {
  if (!access->store && access->target != ZERO_REGISTER) {
    state->uc_mcontext.regs[access->target] = access->width == 4 ? (uint32_t)bytes : bytes;
  }
  state->uc_mcontext.pc += access->length;
}

#else

const char trapped_forms[] = "none on this processor: those of x86-64, ppc64 and arm64 are known";

uintptr_t trapped_instruction(const ucontext_t* state) {
  (void)state;
  return 0;
}

bool trapped_decode(const ucontext_t* state, struct trapped_access* access) {
  (void)state;
  (void)access;
  return false;
}

void trapped_complete(ucontext_t* state, const struct trapped_access* access, uint64_t bytes) {
  (void)state;
  (void)access;
  (void)bytes;
}

#endif
