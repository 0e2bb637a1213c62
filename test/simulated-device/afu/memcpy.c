// SPDX-License-Identifier: Apache-2.0
//
// The memcpy AFU: one process' work-element queue at a time.

#include <endian.h>
#include <string.h>
#include <time.h>

#include "../driver/context.h"
#include "engine.h"
#include "../driver/events.h"
#include "memory.h"
#include "registers.h"

enum {
  REGISTER_WED = 0x00,
  REGISTER_HANDLE = 0x08,
  REGISTER_STATUS = 0x10,
  REGISTER_CONTROL = 0x18,
  REGISTER_TIMEBASE = 0x40,
  REGISTER_CONFIGURATION = 0x00,  // of the master area
};

#define STATUS_STOPPED 0x0800000000000000ull
#define CONTROL_RESTART 0x8000000000000000ull
#define STOP_ON_INVALID 0x2000000000000000ull

enum { COPY = 0, INTERRUPT = 1, INCREMENT = 4, ATOMIC = 5 };
enum { VALID = 0x80, WRAP = 0x40, COMMAND = 0x3f };
enum { CAS_NOT_EQUAL = 0x10, CAS_EQUAL = 0x11 };
enum { COMPLETE = 0x80, ADDRESS_ERROR = 0x20, INVALID_SOURCE = 0x04, UNDEFINED = 0x01 };

// What the image for CAIA 2 copies: a cache line, and for one process element in four.
enum { CAIA2_LENGTH = 128, CAIA2_MODULUS = 4, CAIA2_REMAINDER = 1 };

// Elements of one process before the next gets its turn.
#define TURN 64

struct element {
  uint8_t command;
  uint8_t status;
  uint16_t length;
  uint8_t extra;
  uint8_t pad[3];
  uint64_t operand1;
  uint64_t source;  // operand 2 of an atomic
  uint64_t target;
};
_Static_assert(sizeof(struct element) == 32, "work element");

static uint64_t timebase(void) {
#ifdef __powerpc64__
  return __builtin_ppc_get_timebase();
#else
  // 512 MHz, as POWER's.
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 512000000 + (uint64_t)time.tv_nsec * 512 / 1000;
#endif
}

static void set_stopped(struct context* context, bool stopped) {
  context->stopped = stopped;
  store_register(context_registers(context), REGISTER_STATUS, stopped ? STATUS_STOPPED : 0);
}

void memcpy_afu_attach(struct context* context) {
  uint8_t* registers = context_registers(context);
  context->next_element = 0;
  context->pass = 0;
  store_register(registers, REGISTER_WED, context->wed);
  store_register(registers, REGISTER_HANDLE, (uint64_t)context->external_pe << 48);
  store_register(registers, REGISTER_CONTROL, 0);
  store_register(registers, REGISTER_TIMEBASE, timebase());
  memset(registers + 0x1000, 0, 0x20);
  set_stopped(context, false);
}

static uint8_t fault(struct context* context, uint64_t address, bool store) {
  event_fault(context, address, store);
  return ADDRESS_ERROR;
}

static uint8_t copy(struct context* context, const struct element* element) {
  static uint8_t buffer[65536];  // guarded by the device lock
  size_t length = be16toh(element->length);
  if (options.caia == 2 &&
      (length > CAIA2_LENGTH || context->external_pe % CAIA2_MODULUS != CAIA2_REMAINDER)) {
    return UNDEFINED;
  }
  uint64_t source = be64toh(element->source), target = be64toh(element->target);
  size_t loaded = memory_load(buffer, source, length);
  size_t stored = memory_store(target, buffer, loaded);
  if (stored < loaded) return fault(context, target + stored, true);
  if (loaded < length) return fault(context, source + loaded, false);
  return COMPLETE;
}

static uint8_t increment(struct context* context, const struct element* element) {
  uint64_t source = be64toh(element->source), target = be64toh(element->target);
  uint32_t value;
  if (memory_load(&value, source, 4) < 4) return fault(context, source, false);
  value = htobe32(be32toh(value) + 1);
  if (memory_store(target, &value, 4) < 4) return fault(context, target, true);
  return COMPLETE;
}

// Atomic among the processes of the AFUs: all of them run in this thread.
static uint8_t compare_and_swap(struct context* context, const struct element* element) {
  uint64_t target = be64toh(element->target), value;
  if (element->extra != CAS_EQUAL && element->extra != CAS_NOT_EQUAL) return UNDEFINED;
  if (target % sizeof value != 0) return UNDEFINED;
  // Translated for a store, whether there will be one or not.
  if (memory_load(&value, target, 8) < 8) return fault(context, target, true);
  bool equal = value == element->operand1;
  if (equal != (element->extra == CAS_EQUAL)) return COMPLETE;
  return memory_store(target, &element->source, 8) < 8 ? fault(context, target, true) : COMPLETE;
}

static uint8_t execute(struct context* context, const struct element* element) {
  switch (element->command & COMMAND) {
    case COPY:
      return copy(context, element);
    case INTERRUPT: {
      int number = be16toh(element->length);
      return number < 1 || number > context->irq_count ? INVALID_SOURCE : COMPLETE;
    }
    case INCREMENT:
      return increment(context, element);
    case ATOMIC:
      return compare_and_swap(context, element);
    default:
      return UNDEFINED;
  }
}

static void advance(struct context* context) {
  uint32_t elements = (uint32_t)(context->wed & 0xfff) * 4;
  if (++context->next_element < elements) return;
  context->next_element = 0;
  context->pass ^= WRAP;
}

// One element; false when there is none to take.
static bool take_element(struct context* context) {
  uint64_t queue = context->wed & ~0xfffull;
  uint64_t address = queue + (uint64_t)context->next_element * sizeof(struct element);
  struct element element;
  if (memory_load(&element.command, address, 1) < 1) {
    event_fault(context, address, false);
    set_stopped(context, true);
    return false;
  }
  if (!(element.command & VALID) || (element.command & WRAP) != context->pass) {
    uint64_t configuration = load_register(context->afu->area, REGISTER_CONFIGURATION);
    if (context->afu->mode == MODE_DIRECTED && (configuration & STOP_ON_INVALID)) {
      set_stopped(context, true);
    }
    return false;
  }
  // The command was written last: what belongs to it is read after it.
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (memory_load(&element, address, sizeof element) < sizeof element) {
    event_fault(context, address, false);
    set_stopped(context, true);
    return false;
  }
  uint8_t status = execute(context, &element);
  bool interrupt = (element.command & COMMAND) == INTERRUPT;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  advance(context);
  counters.elements++;
  memory_store(address + 1, &status, 1);
  if (!interrupt) return true;
  // The AFU stands still after an interrupt until the program restarts it.
  set_stopped(context, true);
  if (status == COMPLETE) event_interrupt(context, be16toh(element.length));
  return true;
}

bool memcpy_afu_step(struct context* context) {
  uint8_t* registers = context_registers(context);
  bool worked = false;
  if (load_register(registers, REGISTER_TIMEBASE) == 0) {
    store_register(registers, REGISTER_TIMEBASE, timebase());
    worked = true;
  }
  if (take_register(registers, REGISTER_CONTROL) & CONTROL_RESTART) {
    set_stopped(context, false);
    worked = true;
  }
  if (!(context->wed & 0xfff)) return worked;
  for (int turn = 0; turn < TURN && !context->stopped; turn++) {
    if (!take_element(context)) break;
    worked = true;
  }
  return worked;
}
