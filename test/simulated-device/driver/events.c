// SPDX-License-Identifier: Apache-2.0

#include "events.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../afu/memory.h"
#include "../calls/next.h"

// PSL_DSISR_An of POWER8: no translation found (DM, M), and whether it was a store (S).
#define DSISR_DM (1ull << 62)
#define DSISR_M 0x40000000ull
#define DSISR_S 0x02000000ull

static void wake(struct context* context) {
  // Every event wakes, as wake_up_all does, for edge-triggered waiters.
  uint64_t one = 1;
  if (context->event_fd < 0) return;
  if (NEXT(write)(context->event_fd, &one, sizeof one) == sizeof one) context->readable = true;
}

void event_interrupt(struct context* context, int number) {
  if (context->status != STARTED || number < 1 || number > context->irq_count) return;
  context->irq_bitmap[(number - 1) / 64] |= 1ull << ((number - 1) % 64);
  context->pending_irq = true;
  counters.interrupts++;
  wake(context);
}

void event_fault(struct context* context, uint64_t address, bool store) {
  context->pending_fault = true;
  context->fault_addr = address;
  context->fault_dsisr = DSISR_DM | DSISR_M | (store ? DSISR_S : 0);
  counters.faults++;
  wake(context);
}

void event_error(struct context* context, uint64_t value) {
  if (context->pending_error) {
    counters.dropped_errors++;
    return;
  }
  context->pending_error = true;
  context->afu_error = value;
  counters.errors++;
  wake(context);
}

void event_raw(struct context* context, const uint8_t* bytes, size_t size) {
  struct raw_event* event = malloc(sizeof *event + size);
  if (!event) return;
  event->next = NULL;
  event->size = size;
  memcpy(event->bytes, bytes, size);
  struct raw_event** end = &context->raw_events;
  while (*end) end = &(*end)->next;
  *end = event;
  wake(context);
}

bool event_pending(struct context* context) {
  return context->raw_events || context->pending_irq || context->pending_fault ||
         context->pending_error;
}

// Takes the count out of the descriptor. Never waits, although the descriptor may block: a reader
// in event_read() may have taken it.
static void drain(struct context* context) {
  uint64_t count;
  struct iovec place = {&count, sizeof count};
  struct pollfd wanted = {.fd = context->event_fd, .events = POLLIN};
  context->readable = false;
  if (preadv2(context->event_fd, &place, 1, -1, RWF_NOWAIT) >= 0 || errno == EAGAIN) return;
  // An emulator may not have RWF_NOWAIT.
  if (NEXT(poll)(&wanted, 1, 0) == 1) {
    (void)!NEXT(read)(context->event_fd, &count, sizeof count);
  }
}

void event_signal(struct context* context) {
  bool readable = event_pending(context) || context->status == CLOSED;
  if (readable == context->readable || context->event_fd < 0) return;
  if (readable) {
    wake(context);
  } else {
    drain(context);
  }
}

static int take_raw(struct context* context, uint8_t bytes[CXL_READ_MIN_SIZE]) {
  struct raw_event* event = context->raw_events;
  int size = event->size > CXL_READ_MIN_SIZE ? CXL_READ_MIN_SIZE : (int)event->size;
  memcpy(bytes, event->bytes, (size_t)size);
  context->raw_events = event->next;
  free(event);
  return size;
}

// The lowest pending interrupt. After a detach irq_count is 0, and the driver's search of an empty
// bitmap returns interrupt 1, once, whichever were pending.
static uint16_t take_interrupt(struct context* context) {
  int words = (context->irq_count + 63) / 64;
  int bit = 0;
  for (int word = 0; word < words; word++) {
    if (context->irq_bitmap[word]) {
      bit = word * 64 + __builtin_ctzll(context->irq_bitmap[word]);
      break;
    }
  }
  context->irq_bitmap[bit / 64] &= ~(1ull << (bit % 64));
  context->pending_irq = false;
  for (int word = 0; word < words; word++) {
    if (context->irq_bitmap[word]) context->pending_irq = true;
  }
  return (uint16_t)(bit + 1);
}

int event_take(struct context* context, uint8_t bytes[CXL_READ_MIN_SIZE]) {
  if (context->raw_events) return take_raw(context, bytes);
  struct cxl_event event = {
      .header = {.size = sizeof event.header, .process_element = (uint16_t)context->pe}};
  if (context->pending_irq) {
    event.header.type = CXL_EVENT_AFU_INTERRUPT;
    event.header.size += sizeof event.irq;
    event.irq.irq = take_interrupt(context);
  } else if (context->pending_fault) {
    event.header.type = CXL_EVENT_DATA_STORAGE;
    event.header.size += sizeof event.fault;
    event.fault.addr = context->fault_addr;
    event.fault.dsisr = context->fault_dsisr;
    context->pending_fault = false;
  } else if (context->pending_error) {
    event.header.type = CXL_EVENT_AFU_ERROR;
    event.header.size += sizeof event.afu_error;
    event.afu_error.error = context->afu_error;
    context->pending_error = false;
  } else {
    return context->status == CLOSED ? -EIO : 0;
  }
  memcpy(bytes, &event, event.header.size);
  return event.header.size;
}

void event_discard(struct context* context) {
  while (context->raw_events) {
    struct raw_event* event = context->raw_events;
    context->raw_events = event->next;
    free(event);
  }
}

// A size, a negative errno, or 0 when no event is pending.
static ssize_t read_once(struct context* context, void* buffer, size_t count) {
  uint8_t bytes[CXL_READ_MIN_SIZE];
  device_tick();
  if (!context->afu->card->link_up) return -EIO;
  if (count < CXL_READ_MIN_SIZE) return -EINVAL;
  int size = event_take(context, bytes);
  event_signal(context);
  if (size <= 0) return size;
  // As with the driver, an event that cannot be copied is lost.
  size_t stored = memory_store((uint64_t)(uintptr_t)buffer, bytes, (size_t)size);
  return stored == (size_t)size ? size : -EFAULT;
}

ssize_t event_read(struct context* context, void* buffer, size_t count) {
  device_lock();
  for (;;) {
    ssize_t result = read_once(context, buffer, count);
    device_unlock();
    if (result) return result;
    // The context's own descriptor, since the program may close its own meanwhile.
    int flags = NEXT(fcntl)(context->event_fd, F_GETFL);
    if (flags < 0) return -errno;
    if (flags & O_NONBLOCK) return -EAGAIN;
    // Blocks in the kernel, so signals interrupt or restart this read like that of the driver.
    uint64_t waited;
    if (NEXT(read)(context->event_fd, &waited, sizeof waited) < 0) return -errno;
    device_lock();
    context->readable = false;
    event_signal(context);
  }
}
