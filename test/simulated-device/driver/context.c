// SPDX-License-Identifier: Apache-2.0

#include "context.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../afu/engine.h"
#include "../calls/next.h"
#include "area.h"
#include "events.h"

// In a guest the hypervisor assigns the numbers of process elements.
#define GUEST_ELEMENT_BASE 32

// How long the driver waits for an attach: CXL_TIMEOUT, and in a guest CXL_HCALL_TIMEOUT.
#define ATTACH_TIMEOUT_MS 5000
#define GUEST_ATTACH_TIMEOUT_MS 60000

static int allocate_element(struct afu* afu) {
  for (int pe = 0; pe < afu->num_procs; pe++) {
    if (!afu->contexts[pe] && !(afu->claims && afu->claims[pe].pid)) return pe;
  }
  return -ENOSPC;
}

int context_open(struct afu* afu, bool master, bool nonblocking, struct context** out) {
  device_tick();
  if (!afu || !afu->card->present || !afu->mode) return -ENODEV;
  if (!afu->card->link_up) return -EIO;
  int pe = allocate_element(afu);
  if (pe < 0) return pe;
  struct context* context = calloc(1, sizeof *context);
  if (!context) return -ENOMEM;
  context->event_fd = eventfd(0, EFD_CLOEXEC | (nonblocking ? EFD_NONBLOCK : 0));
  if (context->event_fd < 0) {
    free(context);
    return -errno;
  }
  context->afu = afu;
  context->page_fd = -1;
  context->pe = pe;
  context->external_pe = options.guest ? -1 : pe;
  context->master = master;
  context->descriptors = 1;
  afu->contexts[pe] = context;
  if (afu->claims) afu->claims[pe] = (struct claim){getpid(), 0};
  afu->open_contexts++;
  counters.opens++;
  *out = context;
  return 0;
}

uint64_t context_area_offset(struct context* context) {
  struct afu* afu = context->afu;
  if (context->master || !afu->pp_size) return 0;
  return afu->pp_offset + (uint64_t)context->pe * afu->pp_size;
}

uint64_t context_area_size(struct context* context) {
  struct afu* afu = context->afu;
  return context->master || !afu->pp_size ? afu->ps_size : afu->pp_size;
}

uint8_t* context_registers(struct context* context) {
  struct afu* afu = context->afu;
  if (afu->mode != MODE_DIRECTED) return afu->area;
  return afu->area + afu->pp_offset + (uint64_t)context->pe * afu->pp_size;
}

static int check_work(struct context* context, struct cxl_ioctl_start_work* work) {
  struct afu* afu = context->afu;
  if (work->reserved1 || work->reserved2[0] || work->reserved2[1] || work->reserved2[2] ||
      work->reserved2[3] || (work->flags & ~(uint64_t)CXL_START_WORK_ALL)) {
    return -EINVAL;
  }
  if (!(work->flags & CXL_START_WORK_NUM_IRQS)) {
    work->num_interrupts = (int16_t)afu->irqs_min;
  } else if (work->num_interrupts < afu->irqs_min || work->num_interrupts > afu->irqs_max) {
    return -EINVAL;
  }
  return 0;
}

// In a guest each context has one interrupt for the PSL besides those of the AFU.
static int interrupts_needed(int count) { return options.guest ? count + 1 : count; }

static int interrupts_left(struct afu* afu) {
  int left = afu->card->irqs_free;
  for (int pe = 0; afu->claims && pe < afu->num_procs; pe++) {
    if (afu->claims[pe].pid != getpid()) left -= afu->claims[pe].interrupts;
  }
  return left;
}

// The thread id register (TIDR), which only POWER9 on bare metal has.
static uint16_t thread_id(void) {
  if (options.caia == 1 || options.guest) return 0;
  return (uint16_t)((uint32_t)gettid() % 65535 + 1);
}

int context_start(struct context* context, struct cxl_ioctl_start_work* work) {
  struct afu* afu = context->afu;
  struct card* card = afu->card;
  // The driver's status mutex, which is held during an attach.
  while (context->attaching) device_wait();
  if (context->status != OPENED) return -EIO;
  int error = check_work(context, work);
  if (error) return error;
  int needed = interrupts_needed(work->num_interrupts);
  if (needed > interrupts_left(afu)) return -ENOSPC;
  context->err_ff = (work->flags & CXL_START_WORK_ERR_FF) != 0;
  if (card->contexts < 0) return -EBUSY;
  card->irqs_free -= needed;
  card->contexts++;

  uint64_t slow = afu->slow_attach_ms;
  uint64_t limit = options.guest ? GUEST_ATTACH_TIMEOUT_MS : ATTACH_TIMEOUT_MS;
  afu->slow_attach_ms = 0;
  if (slow) {
    context->attaching = true;
    device_unlock();
    sleep_ms(slow < limit ? slow : limit);
    device_lock();
    context->attaching = false;
    device_wake();
  }
  bool gone = context->status != OPENED || !card->link_up || !card->present;
  if (gone || slow > limit) {
    card->irqs_free += needed;
    if (card->contexts > 0) card->contexts--;
    return gone ? -EIO : -EBUSY;
  }

  context->irq_count = work->num_interrupts;
  context->wed = work->work_element_descriptor;
  if (options.guest) {
    context->external_pe = GUEST_ELEMENT_BASE + context->pe;
    afu->shown_pp_size = afu->pp_size;
  }
  if (work->flags & CXL_START_WORK_TID) work->tid = thread_id();
  if (afu->claims) afu->claims[context->pe].interrupts = needed;
  context->status = STARTED;
  afu->enabled = true;
  counters.attaches++;
  memcpy_afu_attach(context);
  engine_wake();
  return 0;
}

void context_detach(struct context* context) {
  enum status status = context->status;
  struct card* card = context->afu->card;
  context->status = CLOSED;
  // The driver does not wake readers of a context that was never started.
  if (status != STARTED || context->foreign) return;
  card->irqs_free += interrupts_needed(context->irq_count);
  if (context->afu->claims) context->afu->claims[context->pe].interrupts = 0;
  context->irq_count = 0;
  if (card->contexts > 0) card->contexts--;
  counters.detaches++;
  event_signal(context);
}

void context_put(struct context* context) {
  // Nothing can wait any longer: epoll sets drop a file with its last descriptor.
  if (!context->descriptors && context->event_fd >= 0) {
    NEXT(close)(context->event_fd);
    context->event_fd = -1;
  }
  if (context->descriptors || context->mappings) return;
  struct afu* afu = context->afu;
  if (context->status == STARTED && slow_close_ms) {
    uint64_t slow = slow_close_ms;
    device_unlock();
    sleep_ms(slow);
    device_lock();
  }
  context_detach(context);
  if (!context->orphan) {
    afu->contexts[context->pe] = NULL;
    if (afu->claims && !context->foreign) afu->claims[context->pe].pid = 0;
    afu->open_contexts--;
  }
  event_discard(context);
  if (context->page_fd >= 0) NEXT(close)(context->page_fd);
  free(context);
}
