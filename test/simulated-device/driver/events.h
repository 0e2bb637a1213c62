// SPDX-License-Identifier: Apache-2.0
//
// Pending events and how read() picks among them. Lock held.

#pragma once

#include <sys/types.h>

#include "../../../native/abi/cxl.h"
#include "device.h"

void event_interrupt(struct context* context, int number);
void event_fault(struct context* context, uint64_t address, bool store);
void event_error(struct context* context, uint64_t value);
void event_raw(struct context* context, const uint8_t* bytes, size_t size);
bool event_pending(struct context* context);
// Brings the descriptor's readability in line with the context.
void event_signal(struct context* context);
// Takes the next event: its size, 0 when there is none, -EIO when there never will be.
int event_take(struct context* context, uint8_t bytes[CXL_READ_MIN_SIZE]);
void event_discard(struct context* context);
// Blocking or not as the descriptor's flags say; takes the lock itself. -errno or a size.
ssize_t event_read(struct context* context, void* buffer, size_t count);
