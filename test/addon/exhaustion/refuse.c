// SPDX-License-Identifier: Apache-2.0
//
// A library to preload: refuses one call that the addon makes to the C or C++ library, the nth
// since it was armed. The calls of Node and of the simulated device go through: what counts is
// where a call returns to.

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <unistd.h>

// A file that the test maps too, named by REFUSE_CONTROL.
static struct control {
  int32_t nth;    // 0: nothing is refused
  int32_t calls;  // of that name
  int32_t refused;
  char name[52];   // of the call
  char what[128];  // it was for: a path, or the number of an ioctl
} * control;

static uintptr_t addon_start, addon_end;

static int find_addon(struct dl_phdr_info* object, size_t size, void* unused) {
  (void)size;
  (void)unused;
  if (!strstr(object->dlpi_name, "node_cxl")) return 0;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr)* part = &object->dlpi_phdr[i];
    if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
    addon_end = object->dlpi_addr + part->p_vaddr + part->p_memsz;
    addon_start = object->dlpi_addr + part->p_vaddr;
  }
  return 1;
}

static void __attribute__((constructor)) map_control(void) {
  const char* path = getenv("REFUSE_CONTROL");
  if (!path) return;
  int (*really_open)(const char*, int, ...) = dlsym(RTLD_NEXT, "open64");
  void* (*really_map)(void*, size_t, int, int, int, off64_t) = dlsym(RTLD_NEXT, "mmap64");
  int fd = really_open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void* at = really_map(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at != MAP_FAILED) control = at;
  close(fd);
}

static int count(const char* name) {
  if (strcmp(name, control->name) != 0) return 0;
  int32_t number = __atomic_add_fetch(&control->calls, 1, __ATOMIC_ACQ_REL);
  if (number != control->nth) return 0;
  __atomic_store_n(&control->refused, 1, __ATOMIC_RELEASE);
  return 1;
}

static int refuse(const char* name, const char* what, void* caller) {
  if (!control || !__atomic_load_n(&control->nth, __ATOMIC_ACQUIRE)) return 0;
  if (!addon_end) dl_iterate_phdr(find_addon, NULL);
  uintptr_t at = (uintptr_t)caller;
  if (at < addon_start || at >= addon_end || !count(name)) return 0;
  snprintf(control->what, sizeof control->what, "%s", what);
  return 1;
}

#define REFUSED_FOR(name, what) refuse(name, what, __builtin_return_address(0))
#define REFUSED(name) REFUSED_FOR(name, "")
#define REALLY(result, name, ...)       \
  static result (*really)(__VA_ARGS__); \
  if (!really) *(void**)&really = dlsym(RTLD_NEXT, name)
#define FAIL(error, result) \
  do {                      \
    errno = error;          \
    return result;          \
  } while (0)

int open64(const char* path, int flags, ...) {
  REALLY(int, "open64", const char*, int, ...);
  va_list list;
  va_start(list, flags);
  int mode = va_arg(list, int);
  va_end(list);
  if (REFUSED_FOR("open", path)) FAIL(EMFILE, -1);
  return really(path, flags, mode);
}

int fcntl64(int fd, int command, ...) {
  REALLY(int, "fcntl64", int, int, ...);
  va_list list;
  va_start(list, command);
  void* argument = va_arg(list, void*);
  va_end(list);
  if (REFUSED("fcntl")) FAIL(ENOLCK, -1);
  return really(fd, command, argument);
}

int ioctl(int fd, unsigned long request, ...) {
  REALLY(int, "ioctl", int, unsigned long, ...);
  va_list list;
  va_start(list, request);
  void* argument = va_arg(list, void*);
  va_end(list);
  char number[32];
  snprintf(number, sizeof number, "0x%lx", request);
  if (REFUSED_FOR("ioctl", number)) FAIL(ENOMEM, -1);
  return really(fd, request, argument);
}

void* mmap64(void* address, size_t length, int protection, int flags, int fd, off64_t offset) {
  REALLY(void*, "mmap64", void*, size_t, int, int, int, off64_t);
  if (REFUSED("mmap")) FAIL(ENOMEM, MAP_FAILED);
  return really(address, length, protection, flags, fd, offset);
}

int madvise(void* address, size_t length, int advice) {
  REALLY(int, "madvise", void*, size_t, int);
  if (REFUSED("madvise")) FAIL(ENOMEM, -1);
  return really(address, length, advice);
}

ssize_t read(int fd, void* bytes, size_t size) {
  REALLY(ssize_t, "read", int, void*, size_t);
  if (REFUSED("read")) FAIL(ENOMEM, -1);
  return really(fd, bytes, size);
}

ssize_t pread64(int fd, void* bytes, size_t size, off64_t offset) {
  REALLY(ssize_t, "pread64", int, void*, size_t, off64_t);
  if (REFUSED("pread")) FAIL(ENOMEM, -1);
  return really(fd, bytes, size, offset);
}

ssize_t write(int fd, const void* bytes, size_t size) {
  REALLY(ssize_t, "write", int, const void*, size_t);
  if (REFUSED("write")) FAIL(ENOMEM, -1);
  return really(fd, bytes, size);
}

DIR* opendir(const char* path) {
  REALLY(DIR*, "opendir", const char*);
  if (REFUSED_FOR("opendir", path)) FAIL(EMFILE, NULL);
  return really(path);
}

char* realpath(const char* path, char* resolved) {
  REALLY(char*, "realpath", const char*, char*);
  if (REFUSED_FOR("realpath", path)) FAIL(ENOMEM, NULL);
  return really(path, resolved);
}

int epoll_create1(int flags) {
  REALLY(int, "epoll_create1", int);
  if (REFUSED("epoll_create1")) FAIL(EMFILE, -1);
  return really(flags);
}

struct epoll_event;
int epoll_ctl(int poll, int operation, int fd, struct epoll_event* event) {
  REALLY(int, "epoll_ctl", int, int, int, struct epoll_event*);
  // Removing cannot fail for want of anything.
  if (operation != 2 && REFUSED("epoll_ctl")) FAIL(ENOSPC, -1);
  return really(poll, operation, fd, event);
}

struct pollfd;
int poll(struct pollfd* files, unsigned long count, int timeout) {
  REALLY(int, "poll", struct pollfd*, unsigned long, int);
  if (REFUSED("poll")) FAIL(ENOMEM, -1);
  return really(files, count, timeout);
}

int fstatfs64(int fd, struct statfs64* out) {
  REALLY(int, "fstatfs64", int, struct statfs64*);
  if (REFUSED("fstatfs")) FAIL(ENOMEM, -1);
  return really(fd, out);
}

struct timespec;
int ppoll(struct pollfd* files, unsigned long count, const struct timespec* timeout,
          const void* mask) {
  REALLY(int, "ppoll", struct pollfd*, unsigned long, const struct timespec*, const void*);
  if (REFUSED("ppoll")) FAIL(ENOMEM, -1);
  return really(files, count, timeout, mask);
}

// By V8, for the buffer that a WaitSet reads events into: nothing else is known to have this size.
extern void* __libc_calloc(size_t count, size_t size);
void* calloc(size_t number, size_t size) {
  if (number * size == 32 * 1024 && control && control->nth && count("calloc")) return NULL;
  return __libc_calloc(number, size);
}

// By libuv: threads with the small stack that the addon alone asks for.
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*),
                   void* argument) {
  REALLY(int, "pthread_create", pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  size_t size = 0;
  if (attributes) pthread_attr_getstacksize(attributes, &size);
  if (size == 256 * 1024 && control && control->nth && count("pthread_create")) return EAGAIN;
  return really(thread, attributes, body, argument);
}
