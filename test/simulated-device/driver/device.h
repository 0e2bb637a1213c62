// SPDX-License-Identifier: Apache-2.0
//
// The model of the driver: cards, AFUs and contexts. One lock (device_lock) guards all of it;
// headers say which functions need it held.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CARDS 2
#define MAJOR_NUMBER 245
#define MINORS_PER_CARD 13
#define MAX_INTERRUPTS 2048

enum mode { MODE_NONE = 0, MODE_DEDICATED = 1, MODE_DIRECTED = 2 };
enum status { OPENED, STARTED, CLOSED };

struct afu;

struct card {
  int number;
  bool present;
  bool without_afus;  // between the validation of a new image and the reset of the adapter
  bool link_up;
  int contexts;  // attached ones; -1 while the adapter is locked for a reset
  int irqs_free;
  bool user_image_loaded;
  bool perst_loads_image;
  bool perst_select_user;
  bool perst_same_image;
  // Monotonic time in ns at which the driver notices that the link is down, and at which the link
  // is up again; 0 for never.
  int64_t notice_at;
  int64_t recovery_at;
  struct afu* afu;
};

// A process element of an adapter that several processes share.
struct claim {
  int pid;  // 0: free
  int interrupts;
};

struct afu {
  struct card* card;
  enum mode mode;
  enum mode best_mode;
  int modes_supported;
  int processes;  // of the descriptor
  int num_procs;  // of the current mode
  int irqs_min;
  int irqs_max;
  int irqs_limit;  // the highest irqs_max
  bool enabled;    // an attach enables the AFU; in a guest it always is
  int prefault_mode;
  uint64_t ps_size;
  uint64_t pp_size;
  uint64_t shown_pp_size;  // what sysfs says: 0 in a guest until the first attach
  uint64_t pp_offset;
  int area_fd;
  uint8_t* area;
  struct context** contexts;  // by process element
  struct claim* claims;       // the process elements of all processes, or NULL when not shared
  int open_contexts;
  uint64_t slow_attach_ms;
};

struct raw_event {
  struct raw_event* next;
  size_t size;
  uint8_t bytes[];
};

struct context {
  struct afu* afu;
  const struct trapped_registers* trapped;  // NULL: registers are memory, which the engine polls
  int pe;
  int32_t external_pe;
  bool master;
  bool foreign;  // attached by the parent process, before a fork
  bool anonymous;
  bool orphan;  // its card was removed
  bool without_id;
  bool unmappable;  // another driver's, which has no record of it any more: mmap() is EIO
  bool paged;       // cxlflash's: each page of a mapping appears at the first access to it
  enum status status;
  bool attaching;
  bool err_ff;
  int page_fd;  // with err_ff: the page behind every page of the mappings after a detach; -1
  uint16_t tid;
  unsigned descriptors;  // 1 until the file is released
  unsigned mappings;

  int event_fd;  // readable while a read would not block
  bool readable;

  int irq_count;
  uint64_t irq_bitmap[MAX_INTERRUPTS / 64];
  bool pending_irq;
  bool pending_fault;
  uint64_t fault_addr;
  uint64_t fault_dsisr;
  bool pending_error;
  uint64_t afu_error;
  struct raw_event* raw_events;

  // The AFU's side of the process.
  uint64_t wed;
  uint32_t next_element;
  uint8_t pass;
  bool stopped;
};

struct options {
  bool guest;
  int processes;
  int interrupts;
  int irqs_min;
  int caia;   // 1: POWER8, 2: POWER9
  bool spin;  // The thread of the AFUs never sleeps.
};

extern struct options options;
extern struct card cards[CARDS];

struct counters {
  uint64_t opens, attaches, detaches, elements, interrupts, faults, errors;
  uint64_t dropped_errors, slice_errors;
};
extern struct counters counters;
extern uint64_t slow_close_ms;

void device_lock(void);
void device_unlock(void);
// For a thread that holds the lock for long: lets those that wait have it first.
void device_give_way(void);
// Whether the calling thread has it: then a call of the program's comes from a runtime below the
// device, as when a sanitizer unmaps what it has read for its report.
bool device_locked_here(void);
// In the child of a fork(), where the threads that waited do not exist.
void device_lock_forked(void);
// Releases the lock while it waits for another thread's device_wake.
void device_wait(void);
void device_wake(void);

// Sets the model up on first use. Takes the lock.
void device_start(void);
struct afu* find_afu(int card);
int64_t now(void);
void sleep_ms(uint64_t milliseconds);

// All of these need the lock, and return 0 or a negative errno.
void device_tick(void);  // advances error states
bool device_busy(void);  // whether a card is in an error state
int mode_activate(struct afu* afu, int mode);
void mode_deactivate(struct afu* afu);
void detach_all(struct afu* afu);
void card_link_down(struct card* card, uint64_t milliseconds);  // 0: until card_link_up
void card_link_up(struct card* card);
void card_unplug(struct card* card);
void card_plug(struct card* card);
void card_remove_afus(struct card* card);
int card_lock(struct card* card);  // no context can attach until card_unlock
void card_unlock(struct card* card);
int card_reset(struct card* card, int value);
int afu_reset(struct afu* afu);
