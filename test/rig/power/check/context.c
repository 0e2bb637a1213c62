// SPDX-License-Identifier: Apache-2.0
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static int failed;

void check(bool good, const char* name, long found) {
  if (good) {
    printf("ok - %s\n", name);
  } else {
    printf("not ok - %s (found %ld)\n", name, found);
    failed++;
  }
  fflush(stdout);
}

int failures(void) { return failed; }

long errno_of(long answer) { return answer < 0 ? errno : 0; }

double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int open_context(const char* path) { return open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK); }

int start(int fd, uint64_t wed, uint64_t flags, int interrupts) {
  struct cxl_ioctl_start_work work = {.flags = flags, .work_element_descriptor = wed};
  if (interrupts >= 0) {
    work.flags |= CXL_START_WORK_NUM_IRQS;
    work.num_interrupts = (int16_t)interrupts;
  }
  return (int)errno_of(ioctl(fd, CXL_IOCTL_START_WORK, &work));
}

struct context attached(const char* path, uint64_t wed, uint64_t flags) {
  struct context context = {.fd = open_context(path)};
  int error = context.fd < 0 ? errno : start(context.fd, wed, flags, 4);
  void* area = MAP_FAILED;
  if (error == 0) {
    area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_SHARED, context.fd, 0);
    error = area == MAP_FAILED ? errno : 0;
  }
  if (error != 0) {
    check(false, "attach and map", error);
    exit(1);
  }
  context.area = area;
  return context;
}

void end(struct context* context) {
  munmap((void*)context->area, AREA);
  close(context->fd);
}

uint64_t load(const struct context* context, unsigned offset) {
  uint64_t value = context->area[offset / 8];
  __sync_synchronize();
  return be64toh(value);
}

void store(const struct context* context, unsigned offset, uint64_t value) {
  __sync_synchronize();
  context->area[offset / 8] = htobe64(value);
}

bool inject(const struct context* context, enum injection command, uint64_t argument,
            uint64_t value, uint64_t count) {
  uint64_t done = load(context, INJECTION_DONE);
  store(context, INJECTION_VALUE, value);
  store(context, INJECTION_COUNT, count);
  store(context, INJECTION_COMMAND, (uint64_t)command << 56 | argument);
  for (int waited = 0; waited < 20000; waited++) {
    if (load(context, INJECTION_DONE) != done) return true;
    usleep(1000);
  }
  return false;
}

int wait_events(int fd, int milliseconds) {
  struct pollfd entry = {.fd = fd, .events = POLLIN};
  return poll(&entry, 1, milliseconds) > 0 ? entry.revents : 0;
}

long read_event(int fd, struct cxl_event* event) {
  char buffer[CXL_READ_MIN_SIZE];
  long length = read(fd, buffer, sizeof buffer);
  if (length < 0) return -errno;
  memset(event, 0, sizeof *event);
  memcpy(event, buffer, (size_t)length < sizeof *event ? (size_t)length : sizeof *event);
  return length;
}
