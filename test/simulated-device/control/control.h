// SPDX-License-Identifier: Apache-2.0
//
// /dev/cxl-sim: commands to the device from outside, and its state as JSON.

#pragma once

#include <stddef.h>

// One command a line. 0, or the first command's -errno. Takes the lock itself.
int control_write(const char* text, size_t size);
// To be freed.
char* control_status(void);
// The handler of SIGBUS that was there before anybody else's.
void control_install_sigbus(void);
