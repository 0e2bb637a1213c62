// SPDX-License-Identifier: Apache-2.0
//
// Descriptors that are ours. Each is a real one of the kernel (an eventfd, a memory file), so
// that whatever is not looked at here works as it is.

#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "../driver/device.h"
#include "../sysfs/attributes.h"
#include "../sysfs/tree.h"

enum file_kind { FILE_CONTEXT, FILE_CARD, FILE_ATTRIBUTE, FILE_CONTROL, FILE_FLASH };

struct file {
  enum file_kind kind;
  unsigned references;  // descriptors, and calls under way: the last one releases
  int access;           // O_RDONLY, O_WRONLY or O_RDWR
  struct node node;
  struct context* context;
  struct card* card;
  const struct flash_path* flash;
  const struct attribute* attribute;
  char* path;
};

// Opens a path of the tree; -1 with errno.
int file_open(const char* tree, int flags, mode_t mode);
// The file behind a descriptor, held until file_put; NULL for what is not ours.
struct file* file_get(int fd);
void file_put(struct file* file);
bool file_is(int fd);
// Before and after the kernel's own calls.
void file_closing(int fd);
void file_closing_range(unsigned first, unsigned last);
void file_duplicated(int old_fd, int new_fd);
ssize_t file_write(struct file* file, const void* data, size_t size);
// A descriptor for a context that was made elsewhere.
int file_adopt(struct context* context, int fd);
// In the child of a fork: contexts that were not attached become the child's own.
void file_forked(void);
