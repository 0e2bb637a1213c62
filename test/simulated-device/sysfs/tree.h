// SPDX-License-Identifier: Apache-2.0
//
// /dev/cxl and /sys/class/cxl: a directory tree in a folder of the process, created when it is
// first used, so that the kernel handles links, directories and permissions. A path in the tree is
// that of the device with the folder's name in front.

#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

// The path in the tree; false when the path is not one of the device. Takes the lock.
bool tree_path(int dirfd, const char* path, char out[PATH_MAX]);
// The path in the tree of a path that the kernel does not know (ENOENT) because a symbolic link
// from elsewhere leads to the device. `follow`: whether the last name is followed if it is a link.
bool tree_link_path(int dirfd, const char* path, bool follow, char out[PATH_MAX]);
// Resolves every link of a path in the tree, and removes the folder's name: /sys/… or /dev/….
bool tree_resolve(const char* tree, char out[PATH_MAX]);
// Removes the folder's name from a path that the kernel returned, in place.
void tree_strip(char* path);
const char* tree_root(void);
// To be called when nodes or attributes appear or vanish; the next use updates the tree.
void tree_changed(void);
// Determines whether the working directory is in a tree.
void tree_begin(void);
void tree_remove(void);
// To be called in the child of a fork: the folder belongs to the parent.
void tree_forget(void);
// Whether the working directory is in the tree, so that relative paths are, too.
void tree_entered(bool inside);

// The node /dev/cxl/NAME.
struct node {
  int card;
  char kind;  // 'd', 'm', 's', or 'c' for the card itself
};
bool tree_node(const char* name, struct node* node);
int tree_minor(struct node node);
// Whether a descriptor is that of a file below /sys of the tree.
bool tree_in_sysfs(int fd);
