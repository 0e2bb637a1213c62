// SPDX-License-Identifier: Apache-2.0

#if defined(__powerpc64__)

#include "access.h"

const char trapped_forms[] =
    "lwz, ld, stw, std, lwzx, ldx, stwx, stdx, lwbrx, ldbrx, stwbrx, stdbrx";

#define NEXT_INSTRUCTION 32  // PT_NIP

#define D_FORM(opcode) 0xfc000000, (uint32_t)(opcode) << 26
#define DS_FORM(opcode) 0xfc000003, (uint32_t)(opcode) << 26
#define X_FORM(extended) 0xfc0007fe, 31u << 26 | (extended) << 1

static const struct form {
  uint32_t mask, value;
  uint8_t width;
  bool store, reversed;
} forms[] = {
    {D_FORM(32), 4, false, false},   // lwz
    {D_FORM(36), 4, true, false},    // stw
    {DS_FORM(58), 8, false, false},  // ld
    {DS_FORM(62), 8, true, false},   // std
    {X_FORM(23), 4, false, false},   // lwzx
    {X_FORM(21), 8, false, false},   // ldx
    {X_FORM(151), 4, true, false},   // stwx
    {X_FORM(149), 8, true, false},   // stdx
    {X_FORM(534), 4, false, true},   // lwbrx
    {X_FORM(532), 8, false, true},   // ldbrx
    {X_FORM(662), 4, true, true},    // stwbrx
    {X_FORM(660), 8, true, true},    // stdbrx
};

uintptr_t trapped_instruction(const ucontext_t* state) {
  return (uintptr_t)state->uc_mcontext.gp_regs[NEXT_INSTRUCTION];
}

// Between a register of the processor and the bytes in memory, in both directions.
static uint64_t convert(const struct trapped_access* access, uint64_t value) {
  if (access->width == 4) return access->reversed ? __builtin_bswap32(value) : (uint32_t)value;
  return access->reversed ? __builtin_bswap64(value) : value;
}

bool trapped_decode(const ucontext_t* state, struct trapped_access* access) {
  uint32_t instruction = *(const uint32_t*)trapped_instruction(state);
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    if ((instruction & forms[i].mask) != forms[i].value) continue;
    *access = (struct trapped_access){.store = forms[i].store,
                                      .width = forms[i].width,
                                      .reversed = forms[i].reversed,
                                      .target = (int)(instruction >> 21 & 31),
                                      .length = sizeof instruction};
    access->bytes = convert(access, state->uc_mcontext.gp_regs[access->target]);
    return true;
  }
  return false;
}

void trapped_complete(ucontext_t* state, const struct trapped_access* access, uint64_t bytes) {
  if (!access->store) state->uc_mcontext.gp_regs[access->target] = convert(access, bytes);
  state->uc_mcontext.gp_regs[NEXT_INSTRUCTION] += access->length;
}

#endif
