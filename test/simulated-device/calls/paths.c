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
#include <sys/xattr.h>
#include <unistd.h>

#include "../sysfs/tree.h"
#include "export.h"
#include "files.h"
#include "next.h"

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
    if (tree_link_path(dirfd, path, !(flags & O_NOFOLLOW), tree)) {
      return open_tree(tree, flags, mode);
    }
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

static FILE* open_file(const char* path, const char* mode,
                       FILE* (*next)(const char*, const char*)) {
  char tree[PATH_MAX];
  if (tree_path(AT_FDCWD, path, tree)) return open_stream(tree, mode);
  FILE* stream = next(path, mode);
  if (stream || errno != ENOENT || !tree_link_path(AT_FDCWD, path, true, tree)) return stream;
  return open_stream(tree, mode);
}
EXPORT FILE* fopen(const char* path, const char* mode) {
  return open_file(path, mode, NEXT(fopen));
}
EXPORT FILE* fopen64(const char* path, const char* mode) {
  return open_file(path, mode, NEXT(fopen64));
}

EXPORT DIR* opendir(const char* path) {
  return ON_PATH(NULL, AT_FDCWD, path, true, NEXT(opendir)(at));
}
EXPORT int scandir(const char* path, struct dirent*** list, int (*filter)(const struct dirent*),
                   int (*compare)(const struct dirent**, const struct dirent**)) {
  return ON_PATH(-1, AT_FDCWD, path, true, NEXT(scandir)(at, list, filter, compare));
}
EXPORT int scandir64(const char* path, struct dirent64*** list,
                     int (*filter)(const struct dirent64*),
                     int (*compare)(const struct dirent64**, const struct dirent64**)) {
  return ON_PATH(-1, AT_FDCWD, path, true, NEXT(scandir64)(at, list, filter, compare));
}

EXPORT int access(const char* path, int mode) {
  return ON_PATH(-1, AT_FDCWD, path, true, NEXT(access)(at, mode));
}
EXPORT int euidaccess(const char* path, int mode) {
  return ON_PATH(-1, AT_FDCWD, path, true, NEXT(euidaccess)(at, mode));
}
EXPORT int faccessat(int dirfd, const char* path, int mode, int flags) {
  bool follow = !(flags & AT_SYMLINK_NOFOLLOW);
  return ON_PATH(-1, dirfd, path, follow, NEXT(faccessat)(dirfd, at, mode, flags));
}
EXPORT ssize_t readlink(const char* path, char* buffer, size_t size) {
  return ON_PATH(-1, AT_FDCWD, path, false, NEXT(readlink)(at, buffer, size));
}
EXPORT ssize_t readlinkat(int dirfd, const char* path, char* buffer, size_t size) {
  return ON_PATH(-1, dirfd, path, false, NEXT(readlinkat)(dirfd, at, buffer, size));
}
EXPORT ssize_t __readlink_chk(const char* path, char* buffer, size_t size, size_t limit) {
  if (size > limit) abort();
  return readlink(path, buffer, size);
}
EXPORT char* realpath(const char* path, char* resolved) {
  char* answer = ON_PATH(NULL, AT_FDCWD, path, true, NEXT(realpath)(at, resolved));
  if (answer) tree_strip(answer);
  return answer;
}
EXPORT char* __realpath_chk(const char* path, char* resolved, size_t limit) {
  if (limit < PATH_MAX) abort();
  return realpath(path, resolved);
}
EXPORT char* canonicalize_file_name(const char* path) { return realpath(path, NULL); }

EXPORT int chdir(const char* path) {
  bool inside = false;
  int result = ON_PATH(-1, AT_FDCWD, path, true, (inside = at != path, NEXT(chdir)(at)));
  if (result == 0) tree_entered(inside);
  return result;
}

EXPORT int statfs(const char* path, struct statfs* out) {
  return ON_PATH(-1, AT_FDCWD, path, true, NEXT(statfs)(at, out));
}
EXPORT int statfs64(const char* path, struct statfs64* out) {
  return ON_PATH(-1, AT_FDCWD, path, true, NEXT(statfs64)(at, out));
}

// ls asks for the security label of each file.
EXPORT ssize_t getxattr(const char* path, const char* name, void* value, size_t size) {
  return ON_PATH(-1, AT_FDCWD, path, true, NEXT(getxattr)(at, name, value, size));
}
EXPORT ssize_t lgetxattr(const char* path, const char* name, void* value, size_t size) {
  return ON_PATH(-1, AT_FDCWD, path, false, NEXT(lgetxattr)(at, name, value, size));
}
EXPORT ssize_t listxattr(const char* path, char* list, size_t size) {
  return ON_PATH(-1, AT_FDCWD, path, true, NEXT(listxattr)(at, list, size));
}
EXPORT ssize_t llistxattr(const char* path, char* list, size_t size) {
  return ON_PATH(-1, AT_FDCWD, path, false, NEXT(llistxattr)(at, list, size));
}
