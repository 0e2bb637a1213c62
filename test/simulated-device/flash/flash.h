// SPDX-License-Identifier: Apache-2.0
//
// A cxlflash adapter of the simulated device: what the rest of the library asks of it. Its
// contexts are ordinary ones of an AFU that has no node of its own. Lock held unless said
// otherwise.

#pragma once

#include <stdbool.h>

#include "../driver/device.h"

struct flash_path;

// True for names of LUNs and of what sysfs says about them. Without the lock.
bool flash_ours(const char* path);
// Makes those names, by the tree's own functions; `to` is a path below /sys.
struct tree_maker {
  void (*folder)(const char* path);
  void (*text)(const char* path, const char* text);
  void (*link)(const char* path, const char* to);
};
void flash_tree(const struct tree_maker* make);
// What an attribute at a canonical path reads as now; NULL for those that never change.
const char* flash_attribute(const char* path);
// The LUN's path behind a node, or NULL.
const struct flash_path* flash_find(const char* node);
// Gives up the lock while it waits for a reset.
int flash_ioctl(const struct flash_path* path, unsigned long request, void* argument);
// `sq` or `ioarrin`, for contexts that this process attaches from now on; -EINVAL otherwise.
int flash_set_mode(const char* name);
// The adapter's own node.
#define FLASH_HOST_NODE "/dev/cxlflash/cxlflash0"
int flash_host_ioctl(unsigned long request, void* argument);
// Runs the AFU of every context; true when it did something.
bool flash_step(bool* attached);
// The driver is unbound and bound again, which an adapter that has failed takes to work again. 0,
// or -EBUSY while there is a context: the driver waits for those to go.
int flash_rebind(void);
// A reset is running.
bool flash_busy(void);
// In the child of a fork: the contexts are the parent's.
void flash_forked(void);
// The last descriptor of a context has gone.
void flash_context_closed(struct context* context);
