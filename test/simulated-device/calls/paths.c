// SPDX-License-Identifier: Apache-2.0
//
// Replacements of the C library's calls that take a path: a path of the device is looked up in the
// tree.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "../sysfs/tree.h"
#include "export.h"
#include "files.h"
#include "next.h"

// Whether a path is a symbolic link to a path of the device, which the kernel does not find.
static bool link_to_tree(int dirfd, const char* path, char tree[PATH_MAX]) {
  char target[PATH_MAX];
  ssize_t length = NEXT(readlinkat)(dirfd, path, target, sizeof target - 1);
  if (length <= 0) return false;
  target[length] = 0;
  return target[0] == '/' && tree_path(AT_FDCWD, target, tree);
}

static int open_tree(const char* tree, int flags, mode_t mode) {
  // Like a system call, a success does not change errno.
  int before = errno;
  int fd = file_open(tree, flags, mode);
  if (fd >= 0) errno = before;
  return fd;
}

static int open_any(int dirfd, const char* path, int flags, mode_t mode) {
  char tree[PATH_MAX];
  if (tree_path(dirfd, path, tree)) return open_tree(tree, flags, mode);
  int fd = NEXT(openat)(dirfd, path, flags, mode);
  if (fd < 0 && errno == ENOENT) {
    if (link_to_tree(dirfd, path, tree)) return open_tree(tree, flags, mode);
    errno = ENOENT;
  }
  // The number was closed by a raw system call.
  if (fd >= 0 && file_is(fd)) file_closing(fd);
  return fd;
}

#define MODE(flags, last)                                 \
  mode_t mode = 0;                                        \
  if ((flags) & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) { \
    va_list arguments;                                    \
    va_start(arguments, last);                            \
    mode = va_arg(arguments, mode_t);                     \
    va_end(arguments);                                    \
  }

EXPORT int open(const char* path, int flags, ...) {
  MODE(flags, flags)
  return open_any(AT_FDCWD, path, flags, mode);
}
EXPORT int open64(const char* path, int flags, ...) {
  MODE(flags, flags)
  return open_any(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}
EXPORT int openat(int dirfd, const char* path, int flags, ...) {
  MODE(flags, flags)
  return open_any(dirfd, path, flags, mode);
}
EXPORT int openat64(int dirfd, const char* path, int flags, ...) {
  MODE(flags, flags)
  return open_any(dirfd, path, flags | O_LARGEFILE, mode);
}
EXPORT int creat(const char* path, mode_t mode) {
  return open_any(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}
EXPORT int creat64(const char* path, mode_t mode) { return creat(path, mode); }
EXPORT int __open_2(const char* path, int flags) { return open_any(AT_FDCWD, path, flags, 0); }
EXPORT int __open64_2(const char* path, int flags) { return open_any(AT_FDCWD, path, flags, 0); }
EXPORT int __openat_2(int dirfd, const char* path, int flags) {
  return open_any(dirfd, path, flags, 0);
}
EXPORT int __openat64_2(int dirfd, const char* path, int flags) {
  return open_any(dirfd, path, flags, 0);
}

// stdio does not read and write through the replaced calls.
static ssize_t cookie_read(void* cookie, char* buffer, size_t size) {
  return read((int)(intptr_t)cookie, buffer, size);
}
static ssize_t cookie_write(void* cookie, const char* buffer, size_t size) {
  return write((int)(intptr_t)cookie, buffer, size);
}
static int cookie_close(void* cookie) { return close((int)(intptr_t)cookie); }

static FILE* open_stream(const char* tree, const char* mode) {
  int flags = strchr(mode, '+') ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;
  int before = errno;
  int fd = file_open(tree, flags | (strchr(mode, 'e') ? O_CLOEXEC : 0), 0);
  if (fd < 0) return NULL;
  errno = before;
  if (!file_is(fd)) return fdopen(fd, mode);
  cookie_io_functions_t functions = {cookie_read, cookie_write, NULL, cookie_close};
  return fopencookie((void*)(intptr_t)fd, mode, functions);
}

EXPORT FILE* fopen(const char* path, const char* mode) {
  char tree[PATH_MAX];
  return tree_path(AT_FDCWD, path, tree) ? open_stream(tree, mode) : NEXT(fopen)(path, mode);
}
EXPORT FILE* fopen64(const char* path, const char* mode) {
  char tree[PATH_MAX];
  return tree_path(AT_FDCWD, path, tree) ? open_stream(tree, mode) : NEXT(fopen64)(path, mode);
}

EXPORT DIR* opendir(const char* path) {
  char tree[PATH_MAX];
  return NEXT(opendir)(tree_path(AT_FDCWD, path, tree) ? tree : path);
}
EXPORT int scandir(const char* path, struct dirent*** list, int (*filter)(const struct dirent*),
                   int (*compare)(const struct dirent**, const struct dirent**)) {
  char tree[PATH_MAX];
  return NEXT(scandir)(tree_path(AT_FDCWD, path, tree) ? tree : path, list, filter, compare);
}
EXPORT int scandir64(const char* path, struct dirent64*** list,
                     int (*filter)(const struct dirent64*),
                     int (*compare)(const struct dirent64**, const struct dirent64**)) {
  char tree[PATH_MAX];
  return NEXT(scandir64)(tree_path(AT_FDCWD, path, tree) ? tree : path, list, filter, compare);
}

EXPORT int access(const char* path, int mode) {
  char tree[PATH_MAX];
  return NEXT(access)(tree_path(AT_FDCWD, path, tree) ? tree : path, mode);
}
EXPORT int euidaccess(const char* path, int mode) {
  char tree[PATH_MAX];
  return NEXT(euidaccess)(tree_path(AT_FDCWD, path, tree) ? tree : path, mode);
}
EXPORT int faccessat(int dirfd, const char* path, int mode, int flags) {
  char tree[PATH_MAX];
  if (tree_path(dirfd, path, tree)) return NEXT(faccessat)(AT_FDCWD, tree, mode, flags);
  return NEXT(faccessat)(dirfd, path, mode, flags);
}
EXPORT ssize_t readlink(const char* path, char* buffer, size_t size) {
  char tree[PATH_MAX];
  return NEXT(readlink)(tree_path(AT_FDCWD, path, tree) ? tree : path, buffer, size);
}
EXPORT ssize_t readlinkat(int dirfd, const char* path, char* buffer, size_t size) {
  char tree[PATH_MAX];
  if (tree_path(dirfd, path, tree)) return NEXT(readlinkat)(AT_FDCWD, tree, buffer, size);
  return NEXT(readlinkat)(dirfd, path, buffer, size);
}
EXPORT ssize_t __readlink_chk(const char* path, char* buffer, size_t size, size_t limit) {
  if (size > limit) abort();
  return readlink(path, buffer, size);
}
EXPORT char* realpath(const char* path, char* resolved) {
  char tree[PATH_MAX];
  if (!tree_path(AT_FDCWD, path, tree)) return NEXT(realpath)(path, resolved);
  char* answer = NEXT(realpath)(tree, resolved);
  if (answer) tree_strip(answer);
  return answer;
}
EXPORT char* __realpath_chk(const char* path, char* resolved, size_t limit) {
  if (limit < PATH_MAX) abort();
  return realpath(path, resolved);
}
EXPORT char* canonicalize_file_name(const char* path) { return realpath(path, NULL); }

EXPORT int chdir(const char* path) {
  char tree[PATH_MAX];
  bool inside = tree_path(AT_FDCWD, path, tree);
  int result = NEXT(chdir)(inside ? tree : path);
  if (result == 0) tree_entered(inside);
  return result;
}

EXPORT int statfs(const char* path, struct statfs* out) {
  char tree[PATH_MAX];
  return NEXT(statfs)(tree_path(AT_FDCWD, path, tree) ? tree : path, out);
}
EXPORT int statfs64(const char* path, struct statfs64* out) {
  char tree[PATH_MAX];
  return NEXT(statfs64)(tree_path(AT_FDCWD, path, tree) ? tree : path, out);
}
