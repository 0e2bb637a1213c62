// SPDX-License-Identifier: Apache-2.0
//
// The injection registers of the memcpy AFU.

#include "injection.h"

#include "../driver/context.h"
#include "../driver/events.h"
#include "engine.h"
#include "memory.h"
#include "registers.h"

// A repeated event replaces the unread one, so a higher count makes no difference.
#define MAX_COUNT 65536

static void raise_interrupts(struct context* context, uint64_t set) {
  for (int number = 1; number <= 56; number++) {
    if (set & (1ull << (number - 1))) event_interrupt(context, number);
  }
}

static void touch(struct context* context, uint64_t address) {
  uint8_t byte;
  if (memory_load(&byte, address, 1) < 1) event_fault(context, address, false);
}

static void inject(struct context* context, int command, uint64_t argument, uint64_t value) {
  struct afu* afu = context->afu;
  switch (command) {
    case INJECT_INTERRUPT:
      raise_interrupts(context, argument);
      break;
    case INJECT_DATA_STORAGE:
      touch(context, value);
      break;
    case INJECT_AFU_ERROR:
      event_error(context, value);
      break;
    case INJECT_ERROR_STATE:
      card_link_down(afu->card, argument ? argument : 1);
      break;
    case INJECT_SLICE_ERROR:
      counters.slice_errors++;
      break;
    case INJECT_SLOW_ATTACH:
      afu->slow_attach_ms = argument;
      break;
    case INJECT_DETACH_ALL:
      detach_all(afu);
      break;
  }
}

static bool step_registers(struct context* context, uint8_t* registers) {
  uint64_t command = load_register(registers, INJECT_COMMAND);
  if (!command) return false;
  uint64_t value = load_register(registers, INJECT_VALUE);
  uint64_t count = load_register(registers, INJECT_COUNT);
  store_register(registers, INJECT_COMMAND, 0);
  int number = (int)(command >> INJECT_COMMAND_SHIFT);
  // After these two the program cannot read DONE, so it counts when they begin.
  bool takes_registers = number == INJECT_ERROR_STATE || number == INJECT_DETACH_ALL;
  uint64_t done = load_register(registers, INJECT_DONE) + 1;
  if (takes_registers) store_register(registers, INJECT_DONE, done);
  if (count > MAX_COUNT) count = MAX_COUNT;
  for (uint64_t i = 0; i < (count ? count : 1) && context->status == STARTED; i++) {
    inject(context, number, command & INJECT_ARGUMENT, value);
  }
  if (!takes_registers) store_register(registers, INJECT_DONE, done);
  return true;
}

bool injection_step(struct context* context) {
  struct afu* afu = context->afu;
  bool worked = step_registers(context, context_registers(context));
  if (context->status != STARTED || !context->master || afu->mode != MODE_DIRECTED) return worked;
  // A master maps the whole area and finds its registers at the start of that, too.
  return step_registers(context, afu->area) || worked;
}
