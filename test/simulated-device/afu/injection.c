// SPDX-License-Identifier: Apache-2.0
//
// The provoke block (test/README.md): registers by which a test asks for what a program
// cannot cause at will.

#include "../driver/context.h"
#include "engine.h"
#include "../driver/events.h"
#include "memory.h"
#include "registers.h"

enum { COMMAND = 0x1000, VALUE = 0x1008, COUNT = 0x1010, DONE = 0x1018 };

enum {
  INTERRUPT = 1,
  DATA_STORAGE = 2,
  AFU_ERROR = 3,
  ERROR_STATE = 4,
  SLICE_ERROR = 5,
  SLOW_ATTACH = 6,
  DETACH_ALL = 7,
};

#define ARGUMENT 0x00ffffffffffffffull
// Repetitions coalesce until the program reads, so more would be no different.
#define MOST 65536

static void raise_interrupts(struct context* context, uint64_t set) {
  for (int number = 1; number <= 56; number++) {
    if (set & (1ull << (number - 1))) event_interrupt(context, number);
  }
}

static void touch(struct context* context, uint64_t address) {
  uint8_t byte;
  if (memory_load(&byte, address, 1) < 1) event_fault(context, address, false);
}

static void provoke(struct context* context, int command, uint64_t argument, uint64_t value) {
  struct afu* afu = context->afu;
  switch (command) {
    case INTERRUPT:
      raise_interrupts(context, argument);
      break;
    case DATA_STORAGE:
      touch(context, value);
      break;
    case AFU_ERROR:
      event_error(context, value);
      break;
    case ERROR_STATE:
      card_link_down(afu->card, argument ? argument : 1);
      break;
    case SLICE_ERROR:
      counters.slice_errors++;
      break;
    case SLOW_ATTACH:
      afu->slow_attach_ms = argument;
      break;
    case DETACH_ALL:
      detach_all(afu);
      break;
  }
}

static bool step_block(struct context* context, uint8_t* block) {
  uint64_t command = load_register(block, COMMAND);
  if (!command) return false;
  uint64_t value = load_register(block, VALUE);
  uint64_t count = load_register(block, COUNT);
  store_register(block, COMMAND, 0);
  int number = (int)(command >> 56);
  // These two take the registers from the program, so they count when they begin.
  bool takes_registers = number == ERROR_STATE || number == DETACH_ALL;
  uint64_t done = load_register(block, DONE) + 1;
  if (takes_registers) store_register(block, DONE, done);
  if (count > MOST) count = MOST;
  for (uint64_t i = 0; i < (count ? count : 1) && context->status == STARTED; i++) {
    provoke(context, number, command & ARGUMENT, value);
  }
  if (!takes_registers) store_register(block, DONE, done);
  return true;
}

bool provoke_step(struct context* context) {
  struct afu* afu = context->afu;
  bool worked = step_block(context, context_registers(context));
  if (context->status != STARTED || !context->master || afu->mode != MODE_DIRECTED) return worked;
  // A master sees its own block at the start of the whole area as well.
  return step_block(context, afu->area) || worked;
}
