// SPDX-License-Identifier: Apache-2.0
// Error state and detach from outside: what a context that was attached sees.
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"

static sigjmp_buf fault;
static void on_fault(int number) {
  (void)number;
  siglongjmp(fault, 1);
}

// 0 when the load faults, else 1 with the value.
static int try_load(const struct context* context, uint64_t* value) {
  if (sigsetjmp(fault, 1) != 0) return 0;
  *value = load(context, REGISTER_HANDLE);
  return 1;
}

static int reopen(void) {
  for (int waited = 0; waited < 200; waited++) {
    int fd = open_context(SLAVE);
    if (fd >= 0) return fd;
    usleep(50000);
  }
  return -1;
}

static void error_state(void) {
  struct context context = attached(SLAVE, 0, 0);
  struct context ones = attached(SLAVE, 0, CXL_START_WORK_ERR_FF);
  int opened = open_context(SLAVE);
  struct cxl_event event;
  uint64_t value = 0;
  uint32_t element;

  inject(&context, INJECT_INTERRUPT, 1, 0, 0);
  store(&context, INJECTION_COMMAND, (uint64_t)INJECT_ERROR_STATE << 56 | 1000);
  usleep(100000);
  check(load(&context, REGISTER_HANDLE) == UINT64_MAX, "a load in error state is all ones", 0);
  check(read_event(context.fd, &event) == -EIO, "a read in error state is EIO, events or not", 0);
  check(errno_of(ioctl(context.fd, CXL_IOCTL_GET_PROCESS_ELEMENT, &element)) == EIO,
        "an ioctl in error state is EIO", errno);
  check(open_context(SLAVE) < 0 && errno == EIO, "open in error state is EIO", errno);
  double before = now();
  int events = 0;
  while (now() - before < 10 && !((events = wait_events(ones.fd, 1000)) & POLLERR)) {
  }
  printf("# the driver noticed after %.1f s\n", now() - before);
  check(events & POLLERR, "POLLERR once the driver has noticed", events);
  check(wait_events(context.fd, 100) == POLLIN, "not while an event is pending", 0);
  int fresh = reopen();
  check(fresh >= 0, "open works again", errno);
  check(read_event(context.fd, &event) == 16, "the pending event is still read", 0);
  check(read_event(context.fd, &event) == -EIO, "then EIO", 0);
  check(try_load(&context, &value) == 0, "the old mapping raises SIGBUS", (long)value);
  check(try_load(&ones, &value) == 1 && value == UINT64_MAX, "or is all ones with ERR_FF",
        (long)value);
  store(&ones, INJECTION_VALUE, 5);
  check(load(&ones, INJECTION_VALUE) == 5, "where a store sticks", 0);
  check(errno_of(ioctl(context.fd, CXL_IOCTL_GET_PROCESS_ELEMENT, &element)) == EIO,
        "an ioctl afterwards is EIO", errno);
  check(wait_events(opened, 100) & POLLERR,
        "a context that was not started is POLLERR, for who looks", 0);
  check(start(fresh, 0, 0, -1) == 0, "a new context starts", 0);
  close(fresh);
  close(opened);
  end(&ones);
  end(&context);
}

static void detach_all(void) {
  struct context context = attached(SLAVE, 0, 0);
  struct cxl_event event;
  uint32_t element;

  store(&context, INJECTION_COMMAND, (uint64_t)INJECT_DETACH_ALL << 56);
  double before = now();
  int events = 0;
  while (now() - before < 10 && !((events = wait_events(context.fd, 1000)) & POLLERR)) {
  }
  printf("# detached after %.1f s\n", now() - before);
  check(events & POLLERR, "POLLERR after a detach with the link up", events);
  check(read_event(context.fd, &event) == -EIO, "read is EIO", 0);
  check(errno_of(ioctl(context.fd, CXL_IOCTL_GET_PROCESS_ELEMENT, &element)) == EIO, "ioctl is EIO",
        errno);
  struct context other = attached(SLAVE, 0, 0);
  check(true, "a new context attaches at once", 0);
  end(&other);
  end(&context);
}

void check_recovery(void) {
  struct sigaction action = {.sa_handler = on_fault};
  sigaction(SIGBUS, &action, NULL);
  error_state();
  detach_all();
}
