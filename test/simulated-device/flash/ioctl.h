// SPDX-License-Identifier: Apache-2.0
//
// What the ioctls of LUNs and of the host have in common. A new ioctl is a handler and its entry
// in the table of superpipe.c or host.c.

#pragma once

#include "../../../native/abi/cxlflash.h"

// The program's structure, which is copied back after success.
union flash_argument {
  struct cxlflash_header hdr;
  uint8_t bytes[192];
};

// Copies the structure of a request and checks its header; 0 or a negative errno.
int flash_copy_in(union flash_argument* argument, unsigned long request, uint64_t address);
int flash_copy_out(const union flash_argument* argument, unsigned long request, uint64_t address);
