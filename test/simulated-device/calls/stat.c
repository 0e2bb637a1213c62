// SPDX-License-Identifier: Apache-2.0
//
// Replacements of the stat calls: a file of the tree that is a device node is reported as a
// character device.

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../../../native/abi/cxl.h"
#include "../sysfs/tree.h"
#include "export.h"
#include "files.h"
#include "next.h"

// The device node of a path in the tree, or of a descriptor.
static bool node_at(const char* tree, bool follow, struct node* node) {
  char path[PATH_MAX];
  struct stat found;
  int before = errno;
  if (!follow && NEXT(lstat)(tree, &found) == 0 && S_ISLNK(found.st_mode)) return false;
  bool resolved = tree_resolve(tree, path);
  errno = before;
  return resolved && strncmp(path, "/dev/cxl/", 9) == 0 && tree_node(path + 9, node);
}

static bool node_of(int fd, struct node* node) {
  struct file* file = file_get(fd);
  if (!file) return false;
  bool device =
      (file->kind == FILE_CONTEXT && !file->context->anonymous) || file->kind == FILE_CARD;
  *node = file->node;
  file_put(file);
  return device;
}

static dev_t device_number(struct node node) {
  return makedev(MAJOR_NUMBER, (unsigned)tree_minor(node));
}

#define SHOW_NODE(out, node)              \
  do {                                    \
    (out)->st_mode = S_IFCHR | 0600;      \
    (out)->st_rdev = device_number(node); \
    (out)->st_size = 0;                   \
  } while (0)

// The bodies of the calls by path and by descriptor, for each of the structures.
#define BY_PATH(call, follow, dirfd, path, out)                       \
  bool ours = false;                                                  \
  struct node node;                                                   \
  int result = ON_PATH(-1, dirfd, path, follow, ({                    \
    int answer = call(at);                                            \
    ours = answer == 0 && at != (path) && node_at(at, follow, &node); \
    answer;                                                           \
  }));                                                                \
  if (ours) SHOW_NODE(out, node);                                     \
  return result

#define BY_DESCRIPTOR(call, fd, out)                           \
  struct node node;                                            \
  int result = call;                                           \
  if (result == 0 && node_of(fd, &node)) SHOW_NODE(out, node); \
  return result

#define CALL_STAT(p) NEXT(stat)(p, out)
#define CALL_STAT64(p) NEXT(stat64)(p, out)
#define CALL_LSTAT(p) NEXT(lstat)(p, out)
#define CALL_LSTAT64(p) NEXT(lstat64)(p, out)

EXPORT int stat(const char* path, struct stat* out) {
  BY_PATH(CALL_STAT, true, AT_FDCWD, path, out);
}
EXPORT int stat64(const char* path, struct stat64* out) {
  BY_PATH(CALL_STAT64, true, AT_FDCWD, path, out);
}
EXPORT int lstat(const char* path, struct stat* out) {
  BY_PATH(CALL_LSTAT, false, AT_FDCWD, path, out);
}
EXPORT int lstat64(const char* path, struct stat64* out) {
  BY_PATH(CALL_LSTAT64, false, AT_FDCWD, path, out);
}
EXPORT int fstat(int fd, struct stat* out) { BY_DESCRIPTOR(NEXT(fstat)(fd, out), fd, out); }
EXPORT int fstat64(int fd, struct stat64* out) { BY_DESCRIPTOR(NEXT(fstat64)(fd, out), fd, out); }

#define FOLLOWS(flags) (!((flags)&AT_SYMLINK_NOFOLLOW))
#define CALL_AT(p) NEXT(fstatat)(dirfd, p, out, flags)
#define CALL_AT64(p) NEXT(fstatat64)(dirfd, p, out, flags)

EXPORT int fstatat(int dirfd, const char* path, struct stat* out, int flags) {
  if ((flags & AT_EMPTY_PATH) && !*path) return fstat(dirfd, out);
  BY_PATH(CALL_AT, FOLLOWS(flags), dirfd, path, out);
}
EXPORT int fstatat64(int dirfd, const char* path, struct stat64* out, int flags) {
  if ((flags & AT_EMPTY_PATH) && !*path) return fstat64(dirfd, out);
  BY_PATH(CALL_AT64, FOLLOWS(flags), dirfd, path, out);
}

// The names that programs linked against older C libraries use.
EXPORT int __xstat(int version, const char* path, struct stat* out) {
  (void)version;
  return stat(path, out);
}
EXPORT int __xstat64(int version, const char* path, struct stat64* out) {
  (void)version;
  return stat64(path, out);
}
EXPORT int __lxstat(int version, const char* path, struct stat* out) {
  (void)version;
  return lstat(path, out);
}
EXPORT int __lxstat64(int version, const char* path, struct stat64* out) {
  (void)version;
  return lstat64(path, out);
}
EXPORT int __fxstat(int version, int fd, struct stat* out) {
  (void)version;
  return fstat(fd, out);
}
EXPORT int __fxstat64(int version, int fd, struct stat64* out) {
  (void)version;
  return fstat64(fd, out);
}
EXPORT int __fxstatat(int version, int dirfd, const char* path, struct stat* out, int flags) {
  (void)version;
  return fstatat(dirfd, path, out, flags);
}
EXPORT int __fxstatat64(int version, int dirfd, const char* path, struct stat64* out, int flags) {
  (void)version;
  return fstatat64(dirfd, path, out, flags);
}

static void show_statx(struct statx* out, struct node node) {
  out->stx_mode = S_IFCHR | 0600;
  out->stx_rdev_major = MAJOR_NUMBER;
  out->stx_rdev_minor = (uint32_t)tree_minor(node);
  out->stx_size = 0;
}

EXPORT int statx(int dirfd, const char* path, int flags, unsigned mask, struct statx* out) {
  struct node node;
  bool ours = false;
  int result = ON_PATH(-1, dirfd, path, FOLLOWS(flags), ({
    int answer = NEXT(statx)(dirfd, at, flags, mask, out);
    ours = answer == 0 && at != path && node_at(at, FOLLOWS(flags), &node);
    answer;
  }));
  bool by_descriptor = (flags & AT_EMPTY_PATH) && !*path;
  if (result == 0 && !ours && by_descriptor) ours = node_of(dirfd, &node);
  if (ours) show_statx(out, node);
  return result;
}

static bool anonymous(int fd) {
  struct file* file = file_get(fd);
  if (!file) return false;
  bool answer = file->kind == FILE_CONTEXT && file->context->anonymous;
  file_put(file);
  return answer;
}

EXPORT int fstatfs(int fd, struct statfs* out) {
  int result = NEXT(fstatfs)(fd, out);
  if (result == 0 && anonymous(fd)) out->f_type = CXL_PSEUDO_FS_MAGIC;
  if (result == 0 && tree_in_sysfs(fd)) out->f_type = SYSFS_MAGIC;
  return result;
}
EXPORT int fstatfs64(int fd, struct statfs64* out) {
  int result = NEXT(fstatfs64)(fd, out);
  if (result == 0 && anonymous(fd)) out->f_type = CXL_PSEUDO_FS_MAGIC;
  if (result == 0 && tree_in_sysfs(fd)) out->f_type = SYSFS_MAGIC;
  return result;
}
