// SPDX-License-Identifier: Apache-2.0
// The driver taken from the device and given back, and the reset that only this undoes.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"

#define DRIVER "/sys/bus/platform/drivers/cxl_of/"
#define DEVICE "30000000.coherent-platform-facility"

// The errno of writing an attribute.
static long write_attribute(const char* path, const char* text) {
  int fd = open(path, O_WRONLY);
  if (fd < 0) return errno;
  long error = errno_of(write(fd, text, strlen(text)));
  close(fd);
  return error;
}

static void rebind(void) {
  check(write_attribute(DRIVER "unbind", DEVICE) == 0, "unbind", errno);
  check(write_attribute(DRIVER "bind", DEVICE) == 0, "bind", errno);
  for (int waited = 0; waited < 100 && access(SLAVE, F_OK) != 0; waited++) usleep(50000);
}

static void under_a_context(void) {
  struct context context = attached(SLAVE, 0, 0);
  int opened = open_context(SLAVE);
  struct cxl_event event;
  uint32_t element;

  check(write_attribute(DRIVER "unbind", DEVICE) == 0, "unbind while a context is attached", errno);
  check(access(SLAVE, F_OK) != 0 && access("/sys/class/cxl/card0", F_OK) != 0,
        "the nodes and sysfs are gone", 0);
  check(wait_events(context.fd, 5000) & POLLERR, "the context is POLLERR", 0);
  check(read_event(context.fd, &event) == -EIO, "its read is EIO", 0);
  check(errno_of(ioctl(context.fd, CXL_IOCTL_GET_PROCESS_ELEMENT, &element)) == EIO,
        "its ioctl is EIO", errno);
  end(&context);
  close(opened);
  check(write_attribute(DRIVER "bind", DEVICE) == 0, "bind", errno);
  for (int waited = 0; waited < 100 && access(SLAVE, F_OK) != 0; waited++) usleep(50000);
  struct context again = attached(SLAVE, 0, 0);
  check(true, "the AFU that came back attaches", 0);
  end(&again);
}

static void after_a_reset(void) {
  struct context context = attached(SLAVE, 0, 0);
  check(write_attribute("/sys/class/cxl/card0/reset", "1") == EBUSY,
        "a reset of the card is EBUSY while a context is attached", errno);
  end(&context);
  check(write_attribute("/sys/class/cxl/card0/reset", "1") == 0, "else it is done", errno);
  int fd = open_context(SLAVE);
  check(fd >= 0 && start(fd, 0, 0, -1) == EBUSY, "every START_WORK is EBUSY after it", errno);
  close(fd);
  rebind();
  struct context again = attached(SLAVE, 0, 0);
  check(true, "until the driver has been unbound and bound", 0);
  end(&again);
}

void check_unbind(void) {
  under_a_context();
  after_a_reset();
}
