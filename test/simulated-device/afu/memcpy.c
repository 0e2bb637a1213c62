// SPDX-License-Identifier: Apache-2.0
//
#include "memcpy.h"

#include <endian.h>
#include <string.h>
#include <time.h>

#include "../driver/context.h"
#include "../driver/events.h"
#include "engine.h"
#include "memory.h"
#include "registers.h"

// The image for CAIA 2 copies one cache line at most, and for one process element in four.
enum { CAIA2_LENGTH = 128, CAIA2_MODULUS = 4, CAIA2_REMAINDER = 1 };

// Elements of one process before those of the next.
#define TURN 64

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
  store_register(context_registers(context), MEMCPY_STATUS, stopped ? MEMCPY_STATUS_STOPPED : 0);
}

void memcpy_afu_attach(struct context* context) {
  uint8_t* registers = context_registers(context);
  context->next_element = 0;
  context->pass = 0;
  store_register(registers, MEMCPY_WED, context->wed);
  store_register(registers, MEMCPY_PROCESS_HANDLE, (uint64_t)context->external_pe << 48);
  store_register(registers, MEMCPY_CONTROL, 0);
  store_register(registers, MEMCPY_TIMEBASE, timebase());
  memset(registers + 0x1000, 0, 0x20);
  set_stopped(context, false);
}

static uint8_t fault(struct context* context, uint64_t address, bool store) {
  event_fault(context, address, store);
  return ELEMENT_ADDRESS_ERROR;
}

static uint8_t copy(struct context* context, const struct element* element) {
  static uint8_t buffer[65536];  // guarded by the device lock
  size_t length = be16toh(element->length);
  if (options.caia == 2 &&
      (length > CAIA2_LENGTH || context->external_pe % CAIA2_MODULUS != CAIA2_REMAINDER)) {
    return ELEMENT_UNDEFINED;
  }
  uint64_t source = be64toh(element->source), target = be64toh(element->target);
  size_t loaded = memory_load(buffer, source, length);
  size_t stored = memory_store(target, buffer, loaded);
  if (stored < loaded) return fault(context, target + stored, true);
  if (loaded < length) return fault(context, source + loaded, false);
  return ELEMENT_COMPLETE;
}

static uint8_t increment(struct context* context, const struct element* element) {
  uint64_t source = be64toh(element->source), target = be64toh(element->target);
  uint32_t value;
  if (memory_load(&value, source, 4) < 4) return fault(context, source, false);
  value = htobe32(be32toh(value) + 1);
  if (memory_store(target, &value, 4) < 4) return fault(context, target, true);
  return ELEMENT_COMPLETE;
}

// Atomic among the processes of an AFU, since all of them run in the engine's thread.
static uint8_t compare_and_swap(struct context* context, const struct element* element) {
  uint64_t target = be64toh(element->target), value;
  if (element->extra != ATOMIC_CAS_EQUAL && element->extra != ATOMIC_CAS_NOT_EQUAL)
    return ELEMENT_UNDEFINED;
  if (target % sizeof value != 0) return ELEMENT_UNDEFINED;
  // A fault is one of a store, whether the values are equal or not.
  if (memory_load(&value, target, 8) < 8) return fault(context, target, true);
  bool equal = value == element->operand1;
  if (equal != (element->extra == ATOMIC_CAS_EQUAL)) return ELEMENT_COMPLETE;
  return memory_store(target, &element->source, 8) < 8 ? fault(context, target, true)
                                                       : ELEMENT_COMPLETE;
}

static uint8_t execute(struct context* context, const struct element* element) {
  switch (element->command & ELEMENT_COMMAND) {
    case ELEMENT_COPY:
      return copy(context, element);
    case ELEMENT_INTERRUPT: {
      int number = be16toh(element->length);
      return number < 1 || number > context->irq_count ? ELEMENT_INVALID_SOURCE : ELEMENT_COMPLETE;
    }
    case ELEMENT_INCREMENT:
      return increment(context, element);
    case ELEMENT_ATOMIC:
      return compare_and_swap(context, element);
    default:
      return ELEMENT_UNDEFINED;
  }
}

static void advance(struct context* context) {
  uint32_t elements = (uint32_t)(context->wed & 0xfff) * 4;
  if (++context->next_element < elements) return;
  context->next_element = 0;
  context->pass ^= ELEMENT_WRAP;
}

// Executes the next element; false when there is none.
static bool next_element(struct context* context) {
  uint64_t queue = context->wed & ~0xfffull;
  uint64_t address = queue + (uint64_t)context->next_element * sizeof(struct element);
  struct element element;
  if (memory_load(&element.command, address, 1) < 1) {
    event_fault(context, address, false);
    set_stopped(context, true);
    return false;
  }
  if (!(element.command & ELEMENT_VALID) || (element.command & ELEMENT_WRAP) != context->pass) {
    uint64_t configuration = load_register(context->afu->area, MEMCPY_CONFIGURATION);
    if (context->afu->mode == MODE_DIRECTED && (configuration & MEMCPY_STOP_ON_INVALID)) {
      set_stopped(context, true);
    }
    return false;
  }
  // The program writes the command byte last, so the rest is read after it.
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (memory_load(&element, address, sizeof element) < sizeof element) {
    event_fault(context, address, false);
    set_stopped(context, true);
    return false;
  }
  uint8_t status = execute(context, &element);
  bool interrupt = (element.command & ELEMENT_COMMAND) == ELEMENT_INTERRUPT;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  advance(context);
  counters.elements++;
  memory_store(address + 1, &status, 1);
  if (!interrupt) return true;
  // After an interrupt the AFU is stopped until the program restarts it. A restart before that is
  // one of an AFU that runs, which has no effect: here it waits for its turn, and must not end this
  // stop.
  take_register(context_registers(context), MEMCPY_CONTROL);
  set_stopped(context, true);
  if (status == ELEMENT_COMPLETE) event_interrupt(context, be16toh(element.length));
  return true;
}

bool memcpy_afu_step(struct context* context) {
  uint8_t* registers = context_registers(context);
  bool worked = false;
  if (load_register(registers, MEMCPY_TIMEBASE) == 0) {
    store_register(registers, MEMCPY_TIMEBASE, timebase());
    worked = true;
  }
  if (take_register(registers, MEMCPY_CONTROL) & MEMCPY_CONTROL_RESTART) {
    set_stopped(context, false);
    worked = true;
  }
  if (!(context->wed & 0xfff)) return worked;
  for (int turn = 0; turn < TURN && !context->stopped; turn++) {
    if (!next_element(context)) break;
    worked = true;
  }
  return worked;
}
