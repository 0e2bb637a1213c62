// SPDX-License-Identifier: Apache-2.0
//
// Replacements of the C library's calls on descriptors and mappings.

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../driver/area.h"
#include "../driver/context.h"
#include "../driver/events.h"
#include "../driver/image.h"
#include "../flash/flash.h"
#include "export.h"
#include "files.h"
#include "next.h"

EXPORT int close(int fd) {
  file_closing(fd);
  return NEXT(close)(fd);
}
EXPORT int close_range(unsigned first, unsigned last, int flags) {
  if (!(flags & CLOSE_RANGE_CLOEXEC)) file_closing_range(first, last);
  return NEXT(close_range)(first, last, flags);
}
EXPORT void closefrom(int first) {
  file_closing_range((unsigned)(first < 0 ? 0 : first), UINT_MAX);
  NEXT(closefrom)(first);
}

EXPORT int dup(int fd) {
  int copy = NEXT(dup)(fd);
  if (file_is(fd) || file_is(copy)) file_duplicated(fd, copy);
  return copy;
}
EXPORT int dup2(int fd, int target) {
  if (fd != target) file_closing(target);
  int copy = NEXT(dup2)(fd, target);
  if (copy >= 0 && file_is(fd)) file_duplicated(fd, copy);
  return copy;
}
EXPORT int dup3(int fd, int target, int flags) {
  if (fd != target) file_closing(target);
  int copy = NEXT(dup3)(fd, target, flags);
  if (copy >= 0 && file_is(fd)) file_duplicated(fd, copy);
  return copy;
}

static int fcntl_any(int fd, int command, void* argument) {
  int result = NEXT(fcntl64)(fd, command, argument);
  bool copied = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
  if (copied && result >= 0 && (file_is(fd) || file_is(result))) file_duplicated(fd, result);
  return result;
}
#define ARGUMENT(last)                       \
  va_list arguments;                         \
  va_start(arguments, last);                 \
  void* argument = va_arg(arguments, void*); \
  va_end(arguments);

EXPORT int fcntl(int fd, int command, ...) {
  ARGUMENT(command)
  return fcntl_any(fd, command, argument);
}
EXPORT int fcntl64(int fd, int command, ...) {
  ARGUMENT(command)
  return fcntl_any(fd, command, argument);
}

static ssize_t answer(ssize_t result) {
  if (result >= 0) return result;
  errno = (int)-result;
  return -1;
}

static struct file* context_file(int fd) {
  struct file* file = file_get(fd);
  if (file && file->kind != FILE_CONTEXT) {
    file_put(file);
    return NULL;
  }
  return file;
}

static ssize_t read_context(struct file* file, void* buffer, size_t count) {
  ssize_t result = file->access == O_WRONLY ? -EBADF : event_read(file->context, buffer, count);
  file_put(file);
  return answer(result);
}

// Whether a read of a benchmark's context would be EAGAIN. Found out without the device lock, as
// the driver's read holds up nobody: a program that reads again and again would keep the lock from
// the AFUs' thread. For programs that close no descriptor while they read it.
static bool nothing_to_read(int fd, size_t count) {
  if (!options.spin || count < CXL_READ_MIN_SIZE || !file_is_context(fd)) return false;
  for (int number = 0; number < CARDS; number++) {
    if (!cards[number].link_up) return false;
  }
  struct pollfd wanted = {.fd = fd, .events = POLLIN};
  return NEXT(fcntl)(fd, F_GETFL) & O_NONBLOCK && NEXT(poll)(&wanted, 1, 0) == 0;
}

EXPORT ssize_t read(int fd, void* buffer, size_t count) {
  if (nothing_to_read(fd, count)) return answer(-EAGAIN);
  struct file* file = context_file(fd);
  return file ? read_context(file, buffer, count) : NEXT(read)(fd, buffer, count);
}
EXPORT ssize_t __read_chk(int fd, void* buffer, size_t count, size_t limit) {
  if (count > limit) abort();
  return read(fd, buffer, count);
}
EXPORT ssize_t readv(int fd, const struct iovec* parts, int count) {
  struct file* file = context_file(fd);
  if (!file) return NEXT(readv)(fd, parts, count);
  // The driver has no read_iter, so the kernel calls read for each part until one is short.
  void* base = count > 0 ? parts[0].iov_base : NULL;
  return read_context(file, base, count > 0 ? parts[0].iov_len : 0);
}

static ssize_t write_file(struct file* file, const void* data, size_t size) {
  ssize_t result = file_write(file, data, size);
  file_put(file);
  return result;
}

EXPORT ssize_t write(int fd, const void* data, size_t size) {
  struct file* file = file_get(fd);
  return file ? write_file(file, data, size) : NEXT(write)(fd, data, size);
}
EXPORT ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  struct file* file = file_get(fd);
  return file ? write_file(file, data, size) : NEXT(pwrite)(fd, data, size, offset);
}
EXPORT ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  struct file* file = file_get(fd);
  return file ? write_file(file, data, size) : NEXT(pwrite64)(fd, data, size, offset);
}
EXPORT ssize_t writev(int fd, const struct iovec* parts, int count) {
  struct file* file = file_get(fd);
  if (!file) return NEXT(writev)(fd, parts, count);
  if (count > 0) return write_file(file, parts[0].iov_base, parts[0].iov_len);
  file_put(file);
  return 0;
}

static bool device_file(int fd) {
  struct file* file = file_get(fd);
  if (!file) return false;
  bool device = file->kind == FILE_CONTEXT || file->kind == FILE_CARD;
  file_put(file);
  return device;
}
EXPORT off_t lseek(int fd, off_t offset, int whence) {
  return device_file(fd) ? answer(-ESPIPE) : NEXT(lseek)(fd, offset, whence);
}
EXPORT off64_t lseek64(int fd, off64_t offset, int whence) {
  return device_file(fd) ? answer(-ESPIPE) : NEXT(lseek64)(fd, offset, whence);
}
EXPORT int ftruncate(int fd, off_t length) {
  return file_is(fd) ? (int)answer(-EINVAL) : NEXT(ftruncate)(fd, length);
}
EXPORT int ftruncate64(int fd, off64_t length) {
  return file_is(fd) ? (int)answer(-EINVAL) : NEXT(ftruncate64)(fd, length);
}

static int ioctl_file(struct file* file, int fd, unsigned long request, void* argument) {
  // The kernel handles these itself.
  if (request == FIONBIO || request == FIOCLEX || request == FIONCLEX) {
    file_put(file);
    return NEXT(ioctl)(fd, request, argument);
  }
  device_lock();
  int result = file->kind == FILE_CONTEXT ? context_ioctl(file->context, request, argument)
               : file->kind == FILE_CARD  ? image_ioctl(file->card, request, argument)
               : file->kind == FILE_FLASH && file->flash
                   ? flash_ioctl(file->flash, request, argument)
               : file->kind == FILE_FLASH ? flash_host_ioctl(request, argument)
                                          : -ENOTTY;
  device_unlock();
  file_put(file);
  return (int)answer(result);
}

EXPORT int ioctl(int fd, unsigned long request, ...) {
  ARGUMENT(request)
  struct file* file = file_get(fd);
  return file ? ioctl_file(file, fd, request, argument) : NEXT(ioctl)(fd, request, argument);
}

// A fixed mapping replaces the mappings of its range.
static void replaced(void* address, size_t length, int flags) {
  if (!(flags & MAP_FIXED) || !area_any() || device_locked_here()) return;
  device_lock();
  area_forget(address, length);
  device_unlock();
}

EXPORT void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
  struct file* file = flags & MAP_ANONYMOUS ? NULL : context_file(fd);
  if (!file) {
    void* at = NEXT(mmap)(address, length, protection, flags, fd, offset);
    if (at != MAP_FAILED) replaced(at, length, flags);
    return at;
  }
  // Under one lock, so that another thread never finds a replaced register unmapped.
  device_lock();
  if (flags & MAP_FIXED) area_forget(address, length);
  void* at = area_map(file->context, file->access, address, length, protection, flags, offset);
  device_unlock();
  int error = errno;
  file_put(file);
  errno = error;
  return at;
}
EXPORT void* mmap64(void* address, size_t length, int protection, int flags, int fd,
                    off64_t offset) {
  return mmap(address, length, protection, flags, fd, (off_t)offset);
}
EXPORT int munmap(void* address, size_t length) {
  if (!area_any() || device_locked_here()) return NEXT(munmap)(address, length);
  // Under the lock, so that a detach cannot map anything there meanwhile.
  device_lock();
  int result = NEXT(munmap)(address, length);
  int error = errno;
  if (result == 0) area_forget(address, length);
  device_unlock();
  errno = error;
  return result;
}

// libuv makes some of its calls by number.
EXPORT long syscall(long number, ...) {
  va_list arguments;
  va_start(arguments, number);
  long a = va_arg(arguments, long), b = va_arg(arguments, long), c = va_arg(arguments, long);
  long d = va_arg(arguments, long), e = va_arg(arguments, long), f = va_arg(arguments, long);
  va_end(arguments);
  switch (number) {
    case SYS_close:
      file_closing((int)a);
      break;
    case SYS_statx:
      return statx((int)a, (const char*)b, (int)c, (unsigned)d, (struct statx*)e);
    case SYS_close_range:
      if (!(c & CLOSE_RANGE_CLOEXEC)) file_closing_range((unsigned)a, (unsigned)b);
      break;
    case SYS_ioctl:
      return ioctl((int)a, (unsigned long)b, (void*)c);
    case SYS_read:
      return read((int)a, (void*)b, (size_t)c);
    case SYS_write:
      return write((int)a, (const void*)b, (size_t)c);
  }
  return NEXT(syscall)(number, a, b, c, d, e, f);
}
