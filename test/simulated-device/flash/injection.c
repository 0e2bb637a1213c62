// SPDX-License-Identifier: Apache-2.0
//
// The injection registers of a flash context; their commands concern the whole adapter.

#include "../afu/injection.h"

#include <string.h>

#include "../afu/registers.h"
#include "adapter.h"

// A later command ends with this status.
static void add_status(uint64_t value, uint32_t argument) {
  if (flash->status_count == MAX_STATUSES) return;
  struct sisl_ioasa* status = &flash->statuses[flash->status_count++];
  memset(status, 0, sizeof *status);
  store_register((uint8_t*)status, 0, value);
  status->afu_extra = (uint8_t)(argument >> 24);
  if (!(status->rc.flags & SISL_RC_FLAGS_SENSE_VALID)) return;
  status->sense_data[0] = 0x70;
  status->sense_data[2] = (argument >> 16) & 0xf;
  status->sense_data[7] = 10;
  status->sense_data[12] = (uint8_t)(argument >> 8);
  status->sense_data[13] = (uint8_t)argument;
}

bool flash_inject(struct flash_context* context) {
  uint8_t* page = context_registers(context_of(context));
  uint64_t command = load_register(page, INJECT_COMMAND);
  if (!command) return false;
  uint64_t value = load_register(page, INJECT_VALUE), count = load_register(page, INJECT_COUNT);
  uint32_t argument = (uint32_t)command;
  struct flash_lun* lun = argument < FLASH_LUNS ? &flash->luns[argument] : NULL;
  if (!count) count = 1;
  switch (command >> INJECT_COMMAND_SHIFT) {
    case INJECT_FLASH_ERROR_STATE:
      flash_reset(argument);
      break;
    case INJECT_FLASH_STATUS:
      for (uint64_t i = 0; i < count; i++) add_status(value, argument);
      break;
    case INJECT_FLASH_SLOW_SYNC:
      flash->slow_syncs = (int)count;
      break;
    case INJECT_FLASH_PORTS:
      flash->ports_up = argument;
      break;
    case INJECT_FLASH_CAPACITY:
      if (lun) lun->blocks = value;
      break;
    case INJECT_FLASH_HOLD:
      flash->held = argument != 0;
      break;
    case INJECT_FLASH_RESET_FAILS:
      flash->reset_fails = argument != 0;
      break;
    case INJECT_FLASH_UNREADABLE:
      if (lun) lun->unreadable = value != 0;
      break;
    case INJECT_FLASH_CLOSED_CONTEXT:
      flash->closed_contexts = (int)count;
      break;
    case INJECT_FLASH_BREAK_LINK:
      flash_break_link(argument, value);
      break;
    case INJECT_FLASH_STUCK_SYNC:
      flash->stuck_sync = true;
      flash->stuck_sync_reset = argument;
      break;
  }
  store_register(page, INJECT_DONE, load_register(page, INJECT_DONE) + 1);
  store_register(page, INJECT_COMMAND, 0);
  return true;
}
