// SPDX-License-Identifier: Apache-2.0
// Events: what is read, in which order, and what is merged.
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"

static void interrupts(struct context* context) {
  struct cxl_event event;

  check(inject(context, INJECT_INTERRUPT, 1 << 2, 0, 0), "interrupt 3 raised", 0);
  check(wait_events(context->fd, 5000) == POLLIN, "an interrupt is POLLIN", 0);
  check(read_event(context->fd, &event) == 16 && event.header.type == CXL_EVENT_AFU_INTERRUPT &&
            event.header.size == 16 && event.irq.irq == 3,
        "interrupt 3 read", event.irq.irq);
  check(inject(context, INJECT_INTERRUPT, 0xb, 0, 5), "interrupts 1, 2 and 4 raised five times", 0);
  for (int expected = 1; expected <= 4; expected++) {
    if (expected == 3) continue;
    check(read_event(context->fd, &event) == 16 && event.irq.irq == expected,
          "once each, lowest first", event.irq.irq);
  }
  check(read_event(context->fd, &event) == -EAGAIN, "then nothing", 0);
}

static void order(struct context* context) {
  struct cxl_event event;

  inject(context, INJECT_AFU_ERROR, 0, 0x1122334455667788, 0);
  inject(context, INJECT_AFU_ERROR, 0, 0xdead, 0);
  inject(context, INJECT_DATA_STORAGE, 0, 0x1000, 0);
  inject(context, INJECT_DATA_STORAGE, 0, 0x2008, 0);
  inject(context, INJECT_INTERRUPT, 2, 0, 0);
  check(read_event(context->fd, &event) == 16 && event.irq.irq == 2, "an interrupt comes first",
        event.header.type);
  check(read_event(context->fd, &event) == 40 && event.header.type == CXL_EVENT_DATA_STORAGE &&
            event.fault.addr == 0x2008,
        "then the data storage fault, the later address", (long)event.fault.addr);
  check(event.fault.dsisr >> 62 == 1, "its DSISR is the PSL's", (long)event.fault.dsisr);
  check(read_event(context->fd, &event) == 24 && event.header.type == CXL_EVENT_AFU_ERROR &&
            event.afu_error.error == 0x1122334455667788,
        "then the AFU error, the earlier one", (long)event.afu_error.error);
  check(read_event(context->fd, &event) == -EAGAIN, "then nothing", 0);
}

// The AFU is interrupting the driver all the time; what a close then does wrong is on the console.
static void closes_amid_faults(void) {
  for (unsigned round = 0; round < 100; round++) {
    struct context context = attached(SLAVE, 0, 0);
    store(&context, INJECTION_VALUE, 0x1000);
    store(&context, INJECTION_COUNT, 1000000);
    store(&context, INJECTION_COMMAND, (uint64_t)INJECT_DATA_STORAGE << 56);
    usleep(round * 200);
    end(&context);
  }
  check(true, "a hundred contexts closed amid faults", 0);
}

void check_events(void) {
  struct context context = attached(SLAVE, 0, 0);
  int mapped = 1;

  interrupts(&context);
  order(&context);
  inject(&context, INJECT_DATA_STORAGE, 0, (uint64_t)&mapped, 0);
  check(wait_events(context.fd, 50) == 0, "a touch of valid memory is no event", 0);
  check(inject(&context, INJECT_SLICE_ERROR, 0, 0, 0), "a slice error", 0);
  check(wait_events(context.fd, 50) == 0, "is no event", 0);
  end(&context);

  struct context other = attached(SLAVE, 0, 0);
  check(inject(&other, INJECT_SLOW_ATTACH, 700, 0, 0), "the next attach is to be slow", 0);
  double before = now();
  struct context slow = attached(SLAVE, 0, 0);
  double took = now() - before;
  check(took >= 0.6, "the next attach is slow", (long)(took * 1000));
  end(&slow);
  end(&other);
  closes_amid_faults();
}
