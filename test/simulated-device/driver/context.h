// SPDX-License-Identifier: Apache-2.0
//
// The life of a context: OPENED, STARTED, CLOSED. Lock held unless said otherwise.

#pragma once

#include "../../../native/abi/cxl.h"
#include "device.h"

// A new context in *out; 0 or a negative errno.
int context_open(struct afu* afu, bool master, bool nonblocking, struct context** out);
// Releases the lock while it waits.
int context_start(struct context* context, struct cxl_ioctl_start_work* work);
int context_ioctl(struct context* context, unsigned long request, void* argument);  // ioctl.c
// Detaches; the context exists until its last descriptor and mapping are gone.
void context_detach(struct context* context);
// To be called when a descriptor or a mapping has gone: frees the context with the last one.
void context_put(struct context* context);
// The context's registers: its per-process area, or the whole area in dedicated mode.
uint8_t* context_registers(struct context* context);
uint64_t context_area_offset(struct context* context);
uint64_t context_area_size(struct context* context);
