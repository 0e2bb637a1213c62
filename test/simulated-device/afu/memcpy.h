// SPDX-License-Identifier: Apache-2.0
//
// The memcpy AFU: its registers, and the work elements in the program's memory. All of it is
// big-endian.

#pragma once

#include <assert.h>
#include <stdint.h>

enum memcpy_register {
  MEMCPY_WED = 0x00,
  MEMCPY_PROCESS_HANDLE = 0x08,
  MEMCPY_STATUS = 0x10,
  MEMCPY_CONTROL = 0x18,
  MEMCPY_TIMEBASE = 0x40,
  MEMCPY_CONFIGURATION = 0x00,  // at the start of the master's area
};

#define MEMCPY_STATUS_STOPPED 0x0800000000000000ull
#define MEMCPY_CONTROL_RESTART 0x8000000000000000ull
#define MEMCPY_STOP_ON_INVALID 0x2000000000000000ull  // in the configuration register

// The first byte of an element: a valid bit, a wrap bit and the command.
enum { ELEMENT_VALID = 0x80, ELEMENT_WRAP = 0x40, ELEMENT_COMMAND = 0x3f };
enum { ELEMENT_COPY = 0, ELEMENT_INTERRUPT = 1, ELEMENT_INCREMENT = 4, ELEMENT_ATOMIC = 5 };
enum { ATOMIC_CAS_NOT_EQUAL = 0x10, ATOMIC_CAS_EQUAL = 0x11 };

enum element_status {
  ELEMENT_COMPLETE = 0x80,
  ELEMENT_ADDRESS_ERROR = 0x20,
  ELEMENT_INVALID_SOURCE = 0x04,
  ELEMENT_UNDEFINED = 0x01,
};

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
static_assert(sizeof(struct element) == 32, "element");
