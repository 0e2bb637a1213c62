// SPDX-License-Identifier: Apache-2.0
//
// Descriptors of the device. Each is an eventfd or a memory file of the kernel, so calls that are
// not replaced work on it as well.

#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "../driver/device.h"
#include "../sysfs/attributes.h"
#include "../sysfs/tree.h"

enum file_kind { FILE_CONTEXT, FILE_CARD, FILE_ATTRIBUTE, FILE_CONTROL, FILE_FLASH };

struct file {
  enum file_kind kind;
  unsigned references;  // descriptors and running calls; the last one frees the file
  int access;           // O_RDONLY, O_WRONLY or O_RDWR
  struct node node;
  struct context* context;
  struct card* card;
  const struct flash_path* flash;
  const struct attribute* attribute;
  char* path;
};

// The result of `call`, which calls the kernel for the path `at`: the path itself, or that in the
// tree. A path that the kernel does not know may lead to the device by a symbolic link.
#define ON_PATH(failed, dirfd, path, follow, call)           \
  ({                                                         \
    char in_tree[PATH_MAX];                                  \
    bool direct = tree_path(dirfd, path, in_tree);           \
    const char* at = direct ? in_tree : (path);              \
    __auto_type result_ = (call);                            \
    if (!direct && result_ == (failed) && errno == ENOENT && \
        tree_link_path(dirfd, path, follow, in_tree)) {      \
      at = in_tree;                                          \
      result_ = (call);                                      \
    }                                                        \
    result_;                                                 \
  })

// Opens a path of the tree; -1 with errno.
int file_open(const char* tree, int flags, mode_t mode);
// The file of a descriptor, referenced until file_put; NULL when it is not one of the device.
struct file* file_get(int fd);
void file_put(struct file* file);
bool file_is(int fd);
// Without a lock: not while another thread closes it.
bool file_is_context(int fd);
// To be called around the kernel's calls: before close, after dup.
void file_closing(int fd);
void file_closing_range(unsigned first, unsigned last);
void file_duplicated(int old_fd, int new_fd);
ssize_t file_write(struct file* file, const void* data, size_t size);
// Makes an existing descriptor one of a context.
int file_adopt(struct context* context, int fd);
// To be called in the child of a fork, where contexts that are not attached are its own.
void file_forked(void);
