// SPDX-License-Identifier: Apache-2.0
//
// Pending events, and the order in which read() returns them. Lock held.

#pragma once

#include <sys/types.h>

#include "../../../native/abi/cxl.h"
#include "device.h"

void event_interrupt(struct context* context, int number);
void event_fault(struct context* context, uint64_t address, bool store);
void event_error(struct context* context, uint64_t value);
void event_raw(struct context* context, const uint8_t* bytes, size_t size);
bool event_pending(struct context* context);
// Makes the descriptor readable, or not, according to the state of the context.
void event_signal(struct context* context);
// Removes the next event: its size, 0 when none is pending, -EIO after a detach.
int event_take(struct context* context, uint8_t bytes[CXL_READ_MIN_SIZE]);
void event_discard(struct context* context);
// Blocks unless the descriptor has O_NONBLOCK. Takes the lock itself. A size or a negative errno.
ssize_t event_read(struct context* context, void* buffer, size_t count);
