// SPDX-License-Identifier: Apache-2.0
//
// The host-transport page of a context in IOARRIN mode, whose registers act on access: each
// store to IOARRIN is a command.

#include "../driver/context.h"
#include "../afu/registers.h"
#include "sislite.h"

#define ALL_ONES (~0ull)

// The record of a context, which has none after its last detach.
static struct flash_context* record_of(struct context* started) {
  for (int i = 0; i < FLASH_CONTEXTS; i++) {
    if (here.contexts[i] == started) return &flash->contexts[i];
  }
  return NULL;
}

static void take_command(struct flash_context* context, uint64_t address) {
  struct command_queue* queue = queue_of(context);
  if (address == 1) {
    queue->count = 0;
  } else if (queue->count == COMMAND_ROOM) {
    sislite_fail(context, NO_ROOM);
  } else {
    queue->addresses[queue->count++] = address;
  }
}

static uint64_t load_whole(struct context* started, uint64_t offset) {
  struct flash_context* context = record_of(started);
  // Another process' reset, of which the mapping shows nothing yet.
  if (context && context->in_error) return ALL_ONES;
  if (context && offset == CMD_ROOM) return (uint64_t)(COMMAND_ROOM - queue_of(context)->count);
  return load_register(context_registers(started), (uint32_t)offset);
}

static void store_whole(struct context* started, uint64_t offset, uint64_t value) {
  struct flash_context* context = record_of(started);
  uint8_t* page = context_registers(started);
  if (!context || context->in_error) return;
  switch (offset) {
    case ENDIAN_CONTROL:
      store_register(page, offset, value & 0x80 ? BIG_ENDIAN_STRUCTURES : 0);
      break;
    case INTR_CLEAR:
      store_register(page, INTR_STATUS, load_register(page, INTR_STATUS) & ~value);
      break;
    case IOARRIN:
      take_command(context, value);
      break;
    case RRQ_END:
      store_register(page, offset, value);
      context->rrq_start = context->rrq_next = load_register(page, RRQ_START);
      context->rrq_end = value;
      context->toggle = 1;
      break;
    case CTX_CTRL:
      store_register(page, offset, (value & 0xff) | UNMAP_SUPPORTED);
      break;
    case SQ_CTX_RESET:
      if (value & 1) queue_of(context)->count = 0;
      break;
    case INTR_MASK:
    case RRQ_START:
    case SQ_START:
    case SQ_END:
    case PROVOKE_VALUE:
    case PROVOKE_COUNT:
      store_register(page, offset, value);
      break;
    case PROVOKE_COMMAND:
      store_register(page, offset, value);
      flash_provoke(context);
      break;
    default:
      break;
  }
}

// Registers are whole, and where they are: anything else is 0, or goes nowhere.
static bool whole(uint64_t offset, int width) { return width == 8 && offset % 8 == 0; }

static uint64_t load(struct context* started, uint64_t offset, int width) {
  flash_lock();
  uint64_t value = whole(offset, width) ? load_whole(started, offset) : 0;
  flash_unlock();
  return htobe64(value);
}

static void store(struct context* started, uint64_t offset, int width, uint64_t bytes) {
  flash_lock();
  if (whole(offset, width)) store_whole(started, offset, be64toh(bytes));
  flash_unlock();
}

const struct acting_registers host_page = {load, store};
