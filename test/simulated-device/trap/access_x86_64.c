// SPDX-License-Identifier: Apache-2.0

#if defined(__x86_64__)

#include <string.h>

#include "access.h"

const char trapped_forms[] = "mov of 4 or 8 bytes between a register, or a constant, and memory";

// By their numbers in an instruction.
static const int registers[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                  REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                  REG_R12, REG_R13, REG_R14, REG_R15};

enum { REX = 0x40, REX_W = 8, REX_R = 4 };
enum { MOV_STORE = 0x89, MOV_LOAD = 0x8b, MOV_CONSTANT = 0xc7 };

uintptr_t trapped_instruction(const ucontext_t* state) {
  return (uintptr_t)state->uc_mcontext.gregs[REG_RIP];
}

// The length of ModRM, SIB and displacement, or 0 when the operand is not in memory. The address
// itself is known from the fault.
static size_t operand_length(const uint8_t* modrm) {
  int mode = modrm[0] >> 6, base = modrm[0] & 7;
  size_t length = 1;
  if (mode == 3) return 0;
  if (base == 4) {
    base = modrm[1] & 7;
    length++;
  }
  if (mode == 1) return length + 1;
  return mode == 2 || base == 5 ? length + 4 : length;
}

bool trapped_decode(const ucontext_t* state, struct trapped_access* access) {
  const uint8_t* start = (const uint8_t*)trapped_instruction(state);
  const uint8_t* at = start;
  int rex = (*at & 0xf0) == REX ? *at++ : 0;
  uint8_t opcode = *at++;
  if (opcode != MOV_STORE && opcode != MOV_LOAD && opcode != MOV_CONSTANT) return false;
  size_t operand = operand_length(at);
  int number = (*at >> 3 & 7) | (rex & REX_R ? 8 : 0);
  if (!operand || (opcode == MOV_CONSTANT && (*at >> 3 & 7) != 0)) return false;
  at += operand;
  *access = (struct trapped_access){
      .store = opcode != MOV_LOAD, .width = rex & REX_W ? 8 : 4, .target = registers[number]};
  access->bytes = (uint64_t)state->uc_mcontext.gregs[access->target];
  if (opcode == MOV_CONSTANT) {
    int32_t constant;
    memcpy(&constant, at, sizeof constant);
    at += sizeof constant;
    access->bytes = (uint64_t)(int64_t)constant;
  }
  if (access->width == 4) access->bytes = (uint32_t)access->bytes;
  access->length = (size_t)(at - start);
  return true;
}

void trapped_complete(ucontext_t* state, const struct trapped_access* access, uint64_t bytes) {
  if (!access->store) {
    // A load of 4 bytes clears the upper half.
    uint64_t value = access->width == 4 ? (uint32_t)bytes : bytes;
    state->uc_mcontext.gregs[access->target] = (greg_t)value;
  }
  state->uc_mcontext.gregs[REG_RIP] += (greg_t)access->length;
}

#endif
