// SPDX-License-Identifier: Apache-2.0
//
// The host-transport page of a context in IOARRIN mode. Its registers are trapped (../trap): each
// store to IOARRIN issues a command, so two of them must not become one.

#include "../afu/injection.h"
#include "../afu/registers.h"
#include "../driver/context.h"
#include "../trap/trap.h"
#include "adapter.h"

#define ALL_ONES (~0ull)

// The record of a context, or NULL after its last detach.
static struct flash_context* record_of(struct context* started) {
  for (int i = 0; i < FLASH_CONTEXTS; i++) {
    if (this_process.contexts[i] == started) return &flash->contexts[i];
  }
  return NULL;
}

static void take_command(struct flash_context* context, uint64_t address) {
  struct command_queue* queue = queue_of(context);
  if (address == 1) {
    queue->count = 0;
  } else if (queue->count == COMMAND_ROOM) {
    sislite_fail(context, SISL_ISTATUS_PERM_ERR_CMDROOM);
  } else {
    queue->addresses[queue->count++] = address;
  }
}

static uint64_t load_page(struct context* started, uint64_t offset) {
  struct flash_context* context = record_of(started);
  // After a reset by another process, until this process changes its mappings.
  if (context && (context->in_error || reads_all_ones())) return ALL_ONES;
  if (context && offset == SISL_CMD_ROOM)
    return (uint64_t)(COMMAND_ROOM - queue_of(context)->count);
  return load_register(context_registers(started), (uint32_t)offset);
}

static void store_page(struct context* started, uint64_t offset, uint64_t value) {
  struct flash_context* context = record_of(started);
  uint8_t* page = context_registers(started);
  if (!context || context->in_error || reads_all_ones()) return;
  switch (offset) {
    case SISL_ENDIAN_CTRL:
      store_register(page, offset, value & 0x80 ? SISL_ENDIAN_CTRL_BE : 0);
      break;
    case SISL_INTR_CLEAR:
      store_register(page, SISL_INTR_STATUS, load_register(page, SISL_INTR_STATUS) & ~value);
      break;
    case SISL_IOARRIN:
      take_command(context, value);
      break;
    case SISL_RRQ_END:
      store_register(page, offset, value);
      context->rrq_start = context->rrq_next = load_register(page, SISL_RRQ_START);
      context->rrq_end = value;
      context->toggle = 1;
      break;
    case SISL_CTX_CTRL:
      store_register(page, offset, (value & 0xff) | SISL_CTX_CTRL_UNMAP_SECTOR);
      break;
    case SISL_SQ_CTX_RESET:
      if (value & 1) queue_of(context)->count = 0;
      break;
    case SISL_INTR_MASK:
    case SISL_RRQ_START:
    case SISL_SQ_START:
    case SISL_SQ_END:
    case INJECT_VALUE:
    case INJECT_COUNT:
      store_register(page, offset, value);
      break;
    case INJECT_COMMAND:
      store_register(page, offset, value);
      flash_inject(context);
      break;
    default:
      break;
  }
}

// Other accesses than aligned ones of 8 bytes read 0, or have no effect.
static bool whole(uint64_t offset, int width) { return width == 8 && offset % 8 == 0; }

static uint64_t load(struct context* started, uint64_t offset, int width) {
  flash_lock();
  uint64_t value = whole(offset, width) ? load_page(started, offset) : 0;
  flash_unlock();
  return htobe64(value);
}

static void store(struct context* started, uint64_t offset, int width, uint64_t bytes) {
  flash_lock();
  if (whole(offset, width)) store_page(started, offset, be64toh(bytes));
  flash_unlock();
}

const struct trapped_registers host_page = {load, store};
