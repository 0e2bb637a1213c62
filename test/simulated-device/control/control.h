// SPDX-License-Identifier: Apache-2.0
//
// /dev/cxl-sim: a test writes commands to it and reads the state of the device as JSON.

#pragma once

#include <stdbool.h>
#include <stddef.h>

// One command a line; stops at the first error. 0 or a negative errno. Takes the lock itself.
int control_write(const char* text, size_t size);
// To be freed. Takes the lock itself.
char* control_status(void);
// The descriptor of the last `anon-context`, or -1.
int last_anonymous_context(void);

// foreign_sigbus.c
void control_install_sigbus(void);
// In the calling thread or in one of its own; 0 or a negative errno.
int raise_foreign_sigbus(bool in_thread);
unsigned foreign_sigbus_count(void);
