// SPDX-License-Identifier: Apache-2.0
//
// The host-transport page of a context: registers and what is in them.

#pragma once

#include "adapter.h"

enum {
  ENDIAN_CONTROL = 0x00,
  INTR_STATUS = 0x08,
  INTR_CLEAR = 0x10,
  INTR_MASK = 0x18,
  IOARRIN = 0x20,
  RRQ_START = 0x28,
  RRQ_END = 0x30,
  CMD_ROOM = 0x38,
  CTX_CTRL = 0x40,
  SQ_START = 0x50,
  SQ_END = 0x58,
  SQ_HEAD = 0x60,
  SQ_TAIL = 0x68,
  SQ_CTX_RESET = 0x70,
};

#define BIG_ENDIAN_STRUCTURES 0x8000000000000080ull
#define UNMAP_SUPPORTED 0x8000000000000000ull
// Every condition there is, closed.
#define INTERRUPTS 0x7ffull

enum { NO_ROOM = 0x10, RCB_READ = 0x08, SA_WRITE = 0x04, RRQ_WRITE = 0x02 };

// An error that no command can report.
void sislite_fail(struct flash_context* context, uint64_t bit);
