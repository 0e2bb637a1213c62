// SPDX-License-Identifier: Apache-2.0
//
// The cxlflash adapter, as the rest of the library uses it. Its contexts are those of an AFU
// without a node in /dev/cxl. Lock held unless said otherwise.

#pragma once

#include <stdbool.h>

#include "../driver/device.h"

struct flash_path;

// Whether a path is the node or an attribute of a LUN. Without the lock.
bool flash_ours(const char* path);
// Creates these paths with the functions of the tree; `to` is a path below /sys.
struct tree_maker {
  void (*folder)(const char* path);
  void (*file)(const char* path, const char* content, size_t size);
  void (*link)(const char* path, const char* to);
};
void flash_tree(const struct tree_maker* make);
// The content of an attribute that changes, by its canonical path; NULL for any other.
const char* flash_attribute(const char* path);
// The path to a LUN that a node stands for, or NULL.
const struct flash_path* flash_find(const char* node);
// Releases the lock while it waits for the end of a reset.
int flash_ioctl(const struct flash_path* path, unsigned long request, void* argument);
// `sq` or `ioarrin`, for contexts that this process attaches from now on. -EINVAL for another name,
// -EOPNOTSUPP for IOARRIN mode on a processor without trapped registers.
int flash_set_mode(const char* name);
// The host node of the adapter.
#define FLASH_HOST_NODE "/dev/cxlflash/cxlflash0"
int flash_host_ioctl(unsigned long request, void* argument);
// Runs the AFU of every context; true when there was something to do.
bool flash_step(bool* attached);
// As the driver's remove function: every context is in error for good. Returns when all are gone;
// every ioctl is ENODEV from then on.
void flash_unbind(void);
// Unbinds and binds the driver, after which an adapter that had failed works again. 0, or -EBUSY
// while a context exists.
int flash_rebind(void);
// Whether a reset is running.
bool flash_busy(void);
// To be called in the child of a fork: the contexts belong to the parent.
void flash_forked(void);
// To be called after the last descriptor of a context was closed.
void flash_context_closed(struct context* context);
