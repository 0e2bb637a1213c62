// SPDX-License-Identifier: Apache-2.0
//
// Problem state areas and this process's mappings of them. Lock held.

#pragma once

#include <sys/types.h>

#include "device.h"

int area_create(struct afu* afu);
// To be called in the child of a fork: the area becomes its own, with the values of the AFU-wide
// registers.
void area_forked(struct afu* afu);
// As mmap(); MAP_FAILED with errno.
void* area_map(struct context* context, int access, void* address, size_t length, int protection,
               int flags, off_t offset);
// Whether this process has any mapping.
bool area_any(void);
// Removes a range from the list of mappings, without unmapping it.
void area_forget(void* address, size_t length);
unsigned area_count(void);

// What is behind the mappings of a context from now on: its registers, nothing (SIGBUS), all ones,
// the one page of ordinary memory, of ones at first, that a context with ERR_FF has, or for each
// page what area_touch() decides at the first access to it.
enum backing { BACKING_DEVICE, BACKING_FAULT, BACKING_ONES, BACKING_PAGE, BACKING_UNTOUCHED };
void area_back(struct context* context, enum backing backing);
// Gives the page at an address, which was untouched, what another driver's context has now: its
// registers, all ones after a reset, nothing when it is replaced or gone.
void area_touch(const void* address);

// The mapping at an address that is not accessed directly; false when there is none.
struct area_place {
  struct context* context;
  uint64_t offset;  // in the context's area
  int protection;   // as the program asked for it
  enum backing backing;
};
bool area_find(const void* address, struct area_place* place);

// A thread repeatedly removes and restores the backing of an AFU's mappings.
void area_truncate_start(struct afu* afu);
void area_truncate_stop(void);
uint64_t area_truncations(void);
