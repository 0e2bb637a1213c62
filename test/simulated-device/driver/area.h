// SPDX-License-Identifier: Apache-2.0
//
// Problem state areas and the process' mappings of them. Lock held.

#pragma once

#include <sys/types.h>

#include "device.h"

int area_create(struct afu* afu);
// In the child of a fork: an area of its own, with the AFU-wide registers as they were.
void area_forked(struct afu* afu);
// As mmap(); MAP_FAILED with errno.
void* area_map(struct context* context, int access, void* address, size_t length, int protection,
               int flags, off_t offset);
// True when any device mapping lies in the range, which is then forgotten (not unmapped).
bool area_any(void);
void area_forget(void* address, size_t length);
unsigned area_count(void);

// What the mappings of a context show from now on.
enum backing { BACKING_DEVICE, BACKING_FAULT, BACKING_ONES };
void area_back(struct context* context, enum backing backing);

// What the program mapped at an address, where the registers act on access; false elsewhere.
struct area_place {
  struct context* context;
  uint64_t offset;  // in the context's area
  int protection;   // as the program asked for it
  enum backing backing;
};
bool area_find(const void* address, struct area_place* place);

// Takes the backing of an AFU's mappings away and gives it back, over and over, in a thread.
void area_truncate_start(struct afu* afu);
void area_truncate_stop(void);
uint64_t area_truncations(void);
