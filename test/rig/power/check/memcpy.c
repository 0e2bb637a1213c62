// SPDX-License-Identifier: Apache-2.0
// The memcpy AFU: every command, and memory that is not there.
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

#define QUEUE_LINES 4095
#define QUEUE_SIZE (QUEUE_LINES * 128u)
#define COPY_LENGTH 128
#define VALID 0x80
#define COMPLETE 0x80
#define ADDRESS_ERROR 0x20

struct element {
  volatile uint8_t command, status;
  uint16_t length;
  uint8_t extra, reserved[3];
  uint64_t operand, source, destination;
};

struct queue {
  struct element* elements;
  unsigned next;
};

static struct element* post(struct queue* queue, struct element element, uint8_t command) {
  struct element* slot = &queue->elements[queue->next++];
  element.command = 0;
  memcpy((void*)slot, (const void*)&element, sizeof element);
  __sync_synchronize();
  slot->command = VALID | command;
  return slot;
}

static uint8_t finish(struct element* element) {
  for (int waited = 0; element->status == 0 && waited < 10000; waited++) usleep(1000);
  __sync_synchronize();
  return element->status;
}

static uint64_t address(const void* pointer) { return htobe64((uint64_t)pointer); }

static void commands(struct queue* queue, const struct context* context) {
  static uint8_t from[COPY_LENGTH], to[COPY_LENGTH];
  static uint64_t word __attribute__((aligned(8)));
  struct cxl_event event;
  uint32_t counter = htobe32(41), counted = 0;

  for (unsigned i = 0; i < sizeof from; i++) from[i] = (uint8_t)(i * 7 + 1);
  uint8_t status = finish(
      post(queue,
           (struct element){
               .length = htobe16(COPY_LENGTH), .source = address(from), .destination = address(to)},
           0));
  check(status == COMPLETE && memcmp(from, to, sizeof from) == 0, "copy", status);

  status = finish(post(
      queue, (struct element){.source = address(&counter), .destination = address(&counted)}, 4));
  check(status == COMPLETE && be32toh(counted) == 42, "increment", be32toh(counted));

  word = 5;
  status = finish(post(
      queue,
      (struct element){.extra = 0x11, .operand = 5, .source = 9, .destination = address(&word)},
      5));
  check(status == COMPLETE && word == 9, "compare and swap, equal", (long)word);
  status = finish(post(
      queue,
      (struct element){.extra = 0x10, .operand = 9, .source = 1, .destination = address(&word)},
      5));
  check(status == COMPLETE && word == 9, "compare and swap, not equal", (long)word);
  status = finish(post(queue, (struct element){.destination = address(&word)}, 0x3f));
  check(status == 0x01, "an undefined command", status);

  status = finish(post(queue, (struct element){.length = htobe16(3)}, 1));
  check(status == COMPLETE && wait_events(context->fd, 5000) == POLLIN &&
            read_event(context->fd, &event) == 16 && event.irq.irq == 3,
        "an interrupt element", event.irq.irq);
  check(load(context, REGISTER_STATUS) == 0x0800000000000000, "the AFU has stopped", 0);
  store(context, REGISTER_CONTROL, 1ull << 63);
  status = finish(post(queue, (struct element){.length = htobe16(0x7000)}, 1));
  check(status == 0x04, "an interrupt element with an invalid source", status);
  for (int waited = 0; load(context, REGISTER_STATUS) == 0 && waited < 1000; waited++) usleep(1000);
  check(load(context, REGISTER_STATUS) == 0x0800000000000000, "stops it, too", 0);
  store(context, REGISTER_CONTROL, 1ull << 63);
}

// Pages the program never touched, or may not write: the driver brings them in, or refuses.
static void faults(struct queue* queue, const struct context* context) {
  size_t page = (size_t)getpagesize();
  uint8_t* fresh = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uint8_t* constant = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct cxl_event event;

  fresh[page - 64] = 1;
  uint8_t status = finish(post(queue,
                               (struct element){.length = htobe16(COPY_LENGTH),
                                                .source = address(fresh + page - 64),
                                                .destination = address(fresh + 2 * page - 64)},
                               0));
  check(status == COMPLETE && fresh[2 * page - 64] == 1, "a copy to pages not yet there", status);
  status = finish(
      post(queue,
           (struct element){
               .length = htobe16(64), .source = address(fresh), .destination = address(constant)},
           0));
  check(status == ADDRESS_ERROR, "a copy to a read-only page", status);
  check(read_event(context->fd, &event) == 40 && event.fault.addr == (uint64_t)constant &&
            (event.fault.dsisr & 0x02000000) != 0,
        "is a data storage fault of a store", (long)event.fault.dsisr);
  munmap(fresh, 3 * page);
  status = finish(
      post(queue,
           (struct element){
               .length = htobe16(64), .source = address(fresh), .destination = address(fresh)},
           0));
  check(status == ADDRESS_ERROR && read_event(context->fd, &event) == 40 &&
            event.fault.addr == (uint64_t)fresh,
        "a copy from unmapped memory is one of a load", (long)event.fault.addr);
  munmap(constant, page);
}

// Every AFU copies for such a process element and so much at once; that of a CAIA 2 card no more.
#define COPIES(handle) ((handle) % 4 == 1)
#define ATTEMPTS 4

static void start_queue(struct queue* queue) {
  queue->elements = aligned_alloc((size_t)getpagesize(), QUEUE_SIZE);
  queue->next = 0;
  memset((void*)queue->elements, 0, QUEUE_SIZE);
}

void check_memcpy(void) {
  struct queue queues[ATTEMPTS];
  struct context contexts[ATTEMPTS];
  int last = -1;

  do {
    last++;
    start_queue(&queues[last]);
    contexts[last] = attached(SLAVE, (uint64_t)queues[last].elements | QUEUE_LINES, 0);
  } while (!COPIES(load(&contexts[last], REGISTER_HANDLE) >> 48) && last + 1 < ATTEMPTS);
  commands(&queues[last], &contexts[last]);
  faults(&queues[last], &contexts[last]);
  for (; last >= 0; last--) {
    end(&contexts[last]);
    free(queues[last].elements);
  }
}
