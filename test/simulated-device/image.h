// SPDX-License-Identifier: Apache-2.0
//
// /dev/cxl/cardN of a guest: adapter image download.

#pragma once

#include "files.h"

// Lock held. 1: more is wanted, 0: complete, or -errno.
int image_ioctl(struct card* card, unsigned long request, void* argument);
int image_open(struct card* card);  // 0, or -EBUSY would be a second opener waiting
void image_close(struct card* card);
uint64_t image_resets(void);
