// SPDX-License-Identifier: Apache-2.0
//
// The provoke block of a flash context: the registers of the memcpy AFU's, with commands of the
// adapter's own.

#include <string.h>

#include "../afu/registers.h"
#include "adapter.h"

enum {
  ERROR_STATE = 0x04,
  STATUS = 0x10,
  SLOW_SYNC = 0x11,
  PORTS = 0x12,
  CAPACITY = 0x13,
  HOLD = 0x14,
  RESET_FAILS = 0x15,
  UNREADABLE = 0x16,
  CLOSED_CONTEXT = 0x17,
};

static void add_status(uint64_t value, uint32_t argument) {
  if (flash->status_count == MOST_STATUSES) return;
  uint8_t* status = flash->statuses[flash->status_count++];
  memset(status, 0, STATUS_SIZE);
  store_register(status, 0, value);
  status[9] = (uint8_t)(argument >> 24);
  if (!(status[0] & 0x80)) return;
  status[12] = 0x70;
  status[14] = (argument >> 16) & 0xf;
  status[19] = 10;
  status[24] = (uint8_t)(argument >> 8);
  status[25] = (uint8_t)argument;
}

bool flash_provoke(struct flash_context* context) {
  uint8_t* page = context_registers(context_of(context));
  uint64_t command = load_register(page, PROVOKE_COMMAND);
  if (!command) return false;
  uint64_t value = load_register(page, PROVOKE_VALUE), count = load_register(page, PROVOKE_COUNT);
  uint32_t argument = (uint32_t)command;
  struct flash_lun* lun = argument < FLASH_LUNS ? &flash->luns[argument] : NULL;
  if (!count) count = 1;
  switch (command >> 56) {
    case ERROR_STATE:
      flash_reset(argument);
      break;
    case STATUS:
      for (uint64_t i = 0; i < count; i++) add_status(value, argument);
      break;
    case SLOW_SYNC:
      flash->slow_syncs = (int)count;
      break;
    case PORTS:
      flash->ports_up = argument;
      break;
    case CAPACITY:
      if (lun) lun->blocks = value;
      break;
    case HOLD:
      flash->held = argument != 0;
      break;
    case RESET_FAILS:
      flash->reset_fails = argument != 0;
      break;
    case UNREADABLE:
      if (lun) lun->unreadable = value != 0;
      break;
    case CLOSED_CONTEXT:
      flash->closed_contexts = (int)count;
      break;
  }
  store_register(page, PROVOKE_DONE, load_register(page, PROVOKE_DONE) + 1);
  store_register(page, PROVOKE_COMMAND, 0);
  return true;
}
