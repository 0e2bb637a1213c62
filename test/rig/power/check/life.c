// SPDX-License-Identifier: Apache-2.0
// The life of a context, call by call.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void before_attach(int fd) {
  struct cxl_afu_id id;
  struct cxl_event event;
  uint32_t element = 0;
  char small[64];

  check(ioctl(fd, CXL_IOCTL_GET_PROCESS_ELEMENT, &element) == 0 && element == UINT32_MAX,
        "a guest knows no process element before attach", element);
  check(ioctl(fd, CXL_IOCTL_GET_AFU_ID, &id) == 0 && id.flags == CXL_AFUID_FLAG_SLAVE &&
            id.card_id == 0 && id.afu_offset == 0 && id.afu_mode == CXL_MODE_DIRECTED,
        "the AFU id of a slave", id.afu_mode);
  check(errno_of(ioctl(fd, _IO(CXL_MAGIC, 0x7f), 0)) == EINVAL, "an unknown ioctl is EINVAL",
        errno);
  check(errno_of((long)mmap(NULL, AREA, PROT_READ, MAP_SHARED, fd, 0)) == EIO,
        "mmap before attach is EIO", errno);
  check(errno_of(read(fd, small, sizeof small)) == EINVAL, "a read of under 4096 bytes is EINVAL",
        errno);
  check(read_event(fd, &event) == -EAGAIN, "nothing to read is EAGAIN", 0);
  check(wait_events(fd, 20) == 0, "nothing to poll", 0);
  check(errno_of(write(fd, small, 8)) == EINVAL, "write is EINVAL", errno);
  check(errno_of(lseek(fd, 0, SEEK_SET)) == ESPIPE, "lseek is ESPIPE", errno);
}

static void attach_arguments(int fd) {
  struct cxl_ioctl_start_work reserved = {.reserved3 = 1};

  check(start(fd, 0, 1ull << 40, -1) == EINVAL, "an unknown flag is EINVAL", 0);
  check(errno_of(ioctl(fd, CXL_IOCTL_START_WORK, &reserved)) == EINVAL,
        "a reserved field is EINVAL", errno);
  check(start(fd, 0, 0, 3) == EINVAL, "fewer interrupts than irqs_min is EINVAL", 0);
  check(start(fd, 0, 0, 33) == EINVAL, "more interrupts than irqs_max is EINVAL", 0);
  check(start(fd, 0, 0, -1) == 0, "START_WORK without the interrupt flag", 0);
  check(start(fd, 0, 0, -1) == EIO, "a second START_WORK is EIO", 0);
}

static void mappings(int fd) {
  uint32_t element = 0;
  void* area;

  check(errno_of((long)mmap(NULL, AREA, PROT_READ, MAP_SHARED, fd, AREA)) == EINVAL,
        "mmap past the area is EINVAL", errno);
  check(errno_of((long)mmap(NULL, 2 * AREA, PROT_READ, MAP_SHARED, fd, 0)) == EINVAL,
        "mmap longer than the area is EINVAL", errno);
  area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  check(area != MAP_FAILED, "mmap", errno);
  if (area == MAP_FAILED) return;
  struct context context = {.fd = fd, .area = area};
  ioctl(fd, CXL_IOCTL_GET_PROCESS_ELEMENT, &element);
  check(load(&context, REGISTER_HANDLE) >> 48 == element,
        "the handle register holds the process element", element);
  check(element != 0 && element != UINT32_MAX, "the process element is the hypervisor's", element);
  munmap(area, AREA);
}

static void read_only(void) {
  int fd = open(SLAVE, O_RDONLY | O_CLOEXEC);
  check(start(fd, 0, 0, -1) == 0, "START_WORK on a read-only descriptor", 0);
  check(errno_of((long)mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == EACCES,
        "its writable mapping is EACCES", errno);
  close(fd);
}

static void master(void) {
  struct cxl_afu_id id;
  struct context context = attached(MASTER, 0, 0);
  long size = 0;
  FILE* file = fopen("/sys/class/cxl/afu0.0m/mmio_size", "r");
  if (file != NULL) {
    if (fscanf(file, "%ld", &size) != 1) size = -1;
    fclose(file);
  }
  check(ioctl(context.fd, CXL_IOCTL_GET_AFU_ID, &id) == 0 && id.flags == 0,
        "the AFU id of a master", (long)id.flags);
  void* whole = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, context.fd, 0);
  check(whole != MAP_FAILED, "a master maps the whole area", size);
  if (whole != MAP_FAILED) munmap(whole, (size_t)size);
  check(inject(&context, INJECT_INTERRUPT, 1, 0, 0),
        "a master has its injection registers at the start of the area", 0);
  end(&context);
}

// The second AFU has three process elements.
static void exhaustion(void) {
  int fds[4];
  for (int i = 0; i < 4; i++) fds[i] = open_context("/dev/cxl/afu0.1s");
  check(fds[2] >= 0, "three contexts of an AFU with three process elements", fds[2]);
  check(fds[3] < 0 && errno == ENOSPC, "the fourth is ENOSPC", errno);
  for (int i = 0; i < 4; i++) close(fds[i]);
  // Freed only after a grace period, but the number at once.
  int again = open_context("/dev/cxl/afu0.1s");
  check(again >= 0, "a closed context's process element is free at once", errno);
  close(again);
}

// A mapping holds the file: what close() leaves behind until munmap().
static void mapping_outlives_close(void) {
  void* areas[3];
  for (int i = 0; i < 3; i++) {
    int fd = open_context("/dev/cxl/afu0.1s");
    check(start(fd, 0, 0, -1) == 0, "attach", 0);
    areas[i] = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
  }
  check(open_context("/dev/cxl/afu0.1s") < 0 && errno == ENOSPC,
        "a closed context that is still mapped keeps its process element", errno);
  for (int i = 0; i < 3; i++) munmap(areas[i], AREA);
  int fd = open_context("/dev/cxl/afu0.1s");
  check(fd >= 0, "until it is unmapped", errno);
  close(fd);
}

// The AFU works on the memory of the process that attaches, not of the one that opened.
static void attach_in_a_child(void) {
  int fd = open_context(SLAVE);
  pid_t child = fork();
  if (child == 0) {
    uint64_t* word = aligned_alloc(AREA, AREA);
    *word = 1;
    bool good = start(fd, 0, 0, -1) == 0;
    volatile uint64_t* area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct context context = {.fd = fd, .area = area};
    struct cxl_event event;
    good = good && inject(&context, INJECT_DATA_STORAGE, 0, (uint64_t)word, 0) &&
           read_event(fd, &event) == -EAGAIN;
    _exit(good ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  check(status == 0, "a child attaches its own memory to a context its parent opened", status);
  check(start(fd, 0, 0, -1) == EIO, "which is then taken for the parent", errno);
  close(fd);
}

static void interrupt_exhaustion(void) {
  int fds[16];
  int error = 0, count = 0;
  for (; count < 16 && error == 0; count++) {
    fds[count] = open_context(SLAVE);
    error = start(fds[count], 0, 0, 32);
  }
  check(error == ENOSPC, "START_WORK without enough interrupts left is ENOSPC", error);
  while (count-- > 0) close(fds[count]);
}

void check_life(void) {
  int fd = open_context(SLAVE);
  check(fd >= 0, "open", errno);
  before_attach(fd);
  attach_arguments(fd);
  mappings(fd);
  check(close(fd) == 0, "close", errno);
  read_only();
  master();
  exhaustion();
  mapping_outlives_close();
  attach_in_a_child();
  interrupt_exhaustion();
}
