// SPDX-License-Identifier: Apache-2.0

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "self_test.h"

static void dedicated(void) {
  int fd = open("/dev/cxl/afu1.0", O_RDWR);
  check(fd >= 0, "the udev link of a dedicated AFU opens");
  check(REFUSAL(open("/dev/cxl/afu1.0d", O_RDWR)) == ENOSPC,
        "a second open of a dedicated AFU is ENOSPC");
  check(start(fd) == 0 && maps(fd, 1 << 20), "a dedicated AFU maps its whole area");
  check(!map(fd, (1 << 20) + 4096) && errno == EINVAL,
        "a dedicated AFU maps no page more than its area");
  close(fd);
}

static void forced_detach(void) {
  int fd = started("/dev/cxl/afu0.0s", O_NONBLOCK);
  int ones = open("/dev/cxl/afu0.0s", O_RDWR), idle = open("/dev/cxl/afu0.0s", O_RDWR);
  start_with(ones, (struct cxl_ioctl_start_work){.flags = CXL_START_WORK_ERR_FF});
  uint8_t* registers = map(fd, 65536);
  uint8_t* page = map(ones, 65536);
  inject(registers, INJECT_AFU_ERROR, 0, 9, 1);
  command("detach-all afu0.0\n");
  check(polled(fd) == POLLIN, "an event that was pending can be read after a detach");
  check(next_event(fd).header.type == CXL_EVENT_AFU_ERROR, "the pending event is read first");
  check(polled(fd) == POLLERR && next_event(fd).header.reserved1 == EIO,
        "then poll is POLLERR and read is EIO");
  uint32_t element;
  check(REFUSAL(ioctl(fd, CXL_IOCTL_GET_PROCESS_ELEMENT, &element)) == EIO, "ioctl is EIO");
  check(faults(registers), "an access to the mapping is SIGBUS");
  check(load_register(page, 8) == ~0ull, "a load from the mapping is all ones with ERR_FF");
  store_register(page, 8, 5);
  check(load_register(page, 8) == 5, "a store to a mapping with ERR_FF changes it");
  check(!map(ones, 65536) && errno == EIO, "mmap is EIO");
  check(REFUSAL(start(idle)) == EIO, "a context that never started is closed as well");
  munmap(registers, 65536);
  munmap(page, 65536);
  close(fd);
  close(ones);
  close(idle);
}

// The interrupts are released, so the driver's bitmap is empty.
static void interrupts_at_detach(void) {
  int fd = started("/dev/cxl/afu0.0s", O_NONBLOCK);
  uint8_t* registers = map(fd, 65536);
  inject(registers, INJECT_INTERRUPT, 0x6, 0, 1);
  command("detach-all afu0.0\n");
  check(is_interrupt(next_event(fd), 1),
        "interrupts unread at a detach are read as one event, of interrupt 1");
  check(next_event(fd).header.reserved1 == EIO,
        "read is EIO after the interrupts of a detached context");
  munmap(registers, 65536);
  close(fd);
}

// Accesses a mapping after a detach, without a signal handler.
static void access_detached(void) {
  int fd = started("/dev/cxl/afu0.0s", O_NONBLOCK);
  uint8_t* registers = map(fd, 65536);
  command("detach-all afu0.0\n");
  (void)*(volatile uint64_t*)(void*)registers;
  _exit(0);
}

static void uncaught(void) {
  int status = 0;
  pid_t child = fork();
  if (child == 0) access_detached();
  waitpid(child, &status, 0);
  check(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS, "a SIGBUS without a handler kills");
}

static void link_down(void) {
  char buffer[CXL_READ_MIN_SIZE];
  int fd = started("/dev/cxl/afu0.0s", O_NONBLOCK);
  uint8_t* registers = map(fd, 65536);
  command("link-down card0\n");
  check(REFUSAL(open("/dev/cxl/afu0.0s", O_RDWR)) == EIO, "open is EIO while the link is down");
  check(REFUSAL(read(fd, buffer, 4096)) == EIO, "read is EIO");
  check(load_register(registers, 8) == ~0ull, "a load is all ones");
  command("link-up card0\n");
  check(REFUSAL(read(fd, buffer, 4096)) == EAGAIN, "read is EAGAIN when the link is up again");
  // Longer than inject() takes on a busy machine: its accesses would be a SIGBUS after the
  // recovery.
  inject(registers, INJECT_ERROR_STATE, 500, 0, 1);
  WAIT_UNTIL(polled(fd) == POLLERR);
  check(polled(fd) == POLLERR, "the recovery from an error state detaches");
  int other;
  WAIT_UNTIL((other = open("/dev/cxl/afu0.0s", O_RDWR)) >= 0);
  check(other >= 0 && start(other) == 0, "the AFU can be opened after the recovery");
  close(other);
  munmap(registers, 65536);
  close(fd);
}

static void adapter(void) {
  int fd = open("/dev/cxl/afu0.0s", O_RDWR);
  command("lock card0\n");
  check(REFUSAL(start(fd)) == EBUSY, "START_WORK is EBUSY while the adapter is locked");
  command("unlock card0\n");
  check(start(fd) == 0, "START_WORK succeeds after the unlock");
  int reset = open("/sys/class/cxl/card0/reset", O_WRONLY);
  check(REFUSAL(write(reset, "1", 1)) == EBUSY, "a reset is EBUSY while a context is attached");
  check(REFUSAL(write(reset, "2", 1)) == EINVAL, "a reset with another number is EINVAL");
  check(write(reset, "-1", 2) == 2, "a forced reset is accepted");
  check(polled(fd) == POLLERR, "a forced reset detaches");
  check(access("/dev/cxl/afu0.0s", F_OK) != 0, "a reset removes the nodes");
  int other;
  WAIT_UNTIL((other = open("/dev/cxl/afu0.0s", O_RDWR)) >= 0);
  uint32_t element = 1;
  check(ioctl(other, CXL_IOCTL_GET_PROCESS_ELEMENT, &element) == 0 && element == 0,
        "the nodes come back with all process elements free");
  close(other);
  close(reset);
  close(fd);
}

static void exhaustion(void) {
  static int fds[512];
  int count = 0;
  while (count < 512 && (fds[count] = open("/dev/cxl/afu0.0s", O_RDWR)) >= 0) count++;
  check(count == 511 && errno == ENOSPC, "511 processes, then ENOSPC");
  while (count) close(fds[--count]);
}

static void adopted(void) {
  char json[8192] = {0};
  struct statfs status;
  struct cxl_afu_id id;
  command("anon-context afu0.0 no-id\n");
  int report = open("/dev/cxl-sim", O_RDONLY);
  if (read(report, json, sizeof json - 1) < 0) perror("/dev/cxl-sim");
  close(report);
  char* last = strstr(json, "\"lastAnonymous\":");
  int fd = last ? atoi(last + 16) : -1;
  check(fstatfs(fd, &status) == 0 && (uint32_t)status.f_type == CXL_PSEUDO_FS_MAGIC,
        "an anonymous context has the driver's file system");
  check(REFUSAL(ioctl(fd, CXL_IOCTL_GET_AFU_ID, &id)) == EINVAL,
        "GET_AFU_ID of an anonymous context is EINVAL");
  check(maps(fd, 65536), "an anonymous context is started");
  close(fd);
}

static void other_process(void) {
  int fd = open("/dev/cxl/afu0.0s", O_RDWR);
  pid_t child = fork();
  if (child == 0) _exit(start(fd) || !map(fd, 65536));
  int status = -1;
  waitpid(child, &status, 0);
  check(status == 0, "a context opened here can be started in a child");
  check(start(fd) == 0, "the exit of a child does not close the parent's context");
  int copy = dup(fd);
  close(fd);
  check(maps(copy, 65536), "a duplicate keeps the context");
  close(copy);
}

static void attributes(void) {
  char text[64] = {0};
  FILE* file = fopen("/sys/class/cxl/afu0.0s/device/irqs_max", "r");
  check(file && fgets(text, sizeof text, file) && strcmp(text, "2037\n") == 0,
        "an attribute is read through the device link");
  if (file) fclose(file);
  int held = open("/dev/cxl/afu0.0s", O_RDWR);
  int fd = open("/sys/class/cxl/afu0.0/mode", O_WRONLY);
  check(REFUSAL(write(fd, "none", 4)) == EBUSY, "mode is EBUSY while a context exists");
  close(held);
  check(write(fd, "none", 4) == 4 && access("/dev/cxl/afu0.0s", F_OK),
        "mode none removes the nodes");
  check(write(fd, "afu_directed", 12) == 12 && !access("/dev/cxl/afu0.0s", F_OK),
        "mode afu_directed creates the nodes");
  check(REFUSAL(write(fd, "neither", 7)) == EINVAL, "an unknown mode is EINVAL");
  close(fd);
  check(REFUSAL(open("/sys/class/cxl/afu0.0/reset", O_RDONLY)) == EACCES, "reset is write-only");
}

void device_rules(void) {
  adopted();
  forced_detach();
  interrupts_at_detach();
  uncaught();
  link_down();
  other_process();
  attributes();
  adapter();
  exhaustion();
  dedicated();
}
