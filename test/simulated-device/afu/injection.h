// SPDX-License-Identifier: Apache-2.0
//
// The injection registers (test/README.md): a test writes to them and the device raises an
// interrupt, reports an error or resets. The memcpy AFU and flash contexts have them at the same
// offsets, with commands of their own.

#pragma once

enum injection_register {
  INJECT_COMMAND = 0x1000,
  INJECT_VALUE = 0x1008,
  INJECT_COUNT = 0x1010,
  INJECT_DONE = 0x1018,
};

// COMMAND holds the command in its highest byte and the argument below it.
#define INJECT_COMMAND_SHIFT 56
#define INJECT_ARGUMENT ((1ull << INJECT_COMMAND_SHIFT) - 1)

enum injection {
  INJECT_INTERRUPT = 1,
  INJECT_DATA_STORAGE = 2,
  INJECT_AFU_ERROR = 3,
  INJECT_ERROR_STATE = 4,
  INJECT_SLICE_ERROR = 5,
  INJECT_SLOW_ATTACH = 6,
  INJECT_DETACH_ALL = 7,
};

enum flash_injection {
  INJECT_FLASH_ERROR_STATE = 0x04,
  INJECT_FLASH_STATUS = 0x10,
  INJECT_FLASH_SLOW_SYNC = 0x11,
  INJECT_FLASH_PORTS = 0x12,
  INJECT_FLASH_CAPACITY = 0x13,
  INJECT_FLASH_HOLD = 0x14,
  INJECT_FLASH_RESET_FAILS = 0x15,
  INJECT_FLASH_UNREADABLE = 0x16,
  INJECT_FLASH_CLOSED_CONTEXT = 0x17,
  INJECT_FLASH_BREAK_LINK = 0x18,
  INJECT_FLASH_STUCK_SYNC = 0x19,
};
