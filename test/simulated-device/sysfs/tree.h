// SPDX-License-Identifier: Apache-2.0
//
// The names of /dev/cxl and /sys/class/cxl: a real directory tree in a folder of the process,
// made when it is first looked at, so that links, directories and permissions are the
// kernel's own. Paths below it are virtual ones with the folder's name in front.

#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

// The tree's path for a virtual one; false when the path is none of ours. Takes the lock.
bool tree_path(int dirfd, const char* path, char out[PATH_MAX]);
// Resolves every link of a tree path and takes the folder's name off: /sys/… or /dev/….
bool tree_resolve(const char* tree, char out[PATH_MAX]);
// A path the kernel answered with, with the folder's name taken off (in place).
void tree_strip(char* path);
const char* tree_root(void);
// The model has changed: nodes come or go with the next look.
void tree_changed(void);
// Finds out whether the process was started in a tree.
void tree_begin(void);
void tree_remove(void);
// After a fork the folder is the parent's.
void tree_forget(void);
// A working directory inside the tree makes relative paths ours.
void tree_entered(bool inside);

// What /dev/cxl/NAME is.
struct node {
  int card;
  char kind;  // 'd', 'm', 's', or 'c' for the card itself
};
bool tree_node(const char* name, struct node* node);
int tree_minor(struct node node);
