// SPDX-License-Identifier: Apache-2.0
//
// The attributes in sysfs: their contents, and what a write to them does.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "../driver/device.h"

enum attribute_place { PLACE_PCI, PLACE_CARD, PLACE_AFU, PLACE_MASTER, PLACE_NODE, PLACE_RECORD };

struct attribute {
  enum attribute_place place;
  const char* name;
  int mode;     // 0444, 0644, 0200, 0400
  size_t size;  // that stat() reports
  bool native_only;
  size_t (*show)(struct card* card, char kind, char* out, size_t size);
  int (*store)(struct card* card, const char* text);
};

#define ATTRIBUTE_MAX 4096

extern const struct attribute attributes[];
extern const size_t attribute_count;
bool attribute_exists(const struct attribute* attribute);

// The attribute at a canonical path (/sys/devices/…/NAME); NULL when it is none.
const struct attribute* attribute_find(const char* path, struct card** card, char* kind);

// The rest needs the lock.
size_t attribute_read(const struct attribute* attribute, struct card* card, char kind,
                      const char* path, char* out, size_t size);
int attribute_write(const struct attribute* attribute, struct card* card, const char* path,
                    const void* data, size_t size);

// The content of a path instead of its true value; NULL makes it absent.
void override_set(const char* path, const char* value);
void override_clear(const char* path);
bool override_absent(const char* path);
