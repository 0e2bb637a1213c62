// SPDX-License-Identifier: Apache-2.0
//
// /dev/cxl/cardN of a guest: adapter image download.

#pragma once

#include "../calls/files.h"

// Lock held. 1: more is wanted, 0: complete, or -errno.
int image_ioctl(struct card* card, unsigned long request, void* argument);
void image_open(void);  // waits until another opener has closed
void image_close(struct card* card);
uint64_t image_resets(void);
