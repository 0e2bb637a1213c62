// SPDX-License-Identifier: Apache-2.0

#include "device.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../afu/engine.h"
#include "../sysfs/tree.h"
#include "area.h"
#include "context.h"

struct options options;
struct card cards[CARDS];
struct counters counters;
uint64_t slow_close_ms;

static struct afu afus[CARDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static __thread bool locked_here;
static bool started;

#define RESET_MS 50  // duration of a reset
#define GUEST_INTERRUPTS 1024

// Threads of the program that wait for the lock. A mutex is not fair: the AFUs' thread, which takes
// it again at once, would keep them out.
static unsigned waiting;

// How often the AFUs' thread yields to them. Threads that take the lock again and again must not
// keep it from work either.
#define GIVE_WAY_TURNS 64

void device_lock(void) {
  if (pthread_mutex_trylock(&lock) != 0) {
    __atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&lock);
    __atomic_sub_fetch(&waiting, 1, __ATOMIC_RELAXED);
  }
  locked_here = true;
}

void device_unlock(void) {
  locked_here = false;
  pthread_mutex_unlock(&lock);
}

bool device_locked_here(void) { return locked_here; }

void device_give_way(void) {
  if (!__atomic_load_n(&waiting, __ATOMIC_RELAXED)) return;
  device_unlock();
  for (int turn = 0; turn < GIVE_WAY_TURNS; turn++) {
    sched_yield();
    if (!__atomic_load_n(&waiting, __ATOMIC_RELAXED)) break;
  }
  // Not counted as one that waits: no thread gives way to this one.
  pthread_mutex_lock(&lock);
  locked_here = true;
}

void device_lock_forked(void) { waiting = 0; }
void device_wait(void) { pthread_cond_wait(&changed, &lock); }
void device_wake(void) { pthread_cond_broadcast(&changed); }

int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

void sleep_ms(uint64_t milliseconds) {
  struct timespec left = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
  while (nanosleep(&left, &left) == -1 && errno == EINTR) continue;
}

static const char* const option_names[] = {
    "CXLSIM_FLAVOR",     "CXLSIM_PROCESSES", "CXLSIM_INTERRUPTS", "CXLSIM_IRQS_MIN", "CXLSIM_CAIA",
    "CXLSIM_FLASH_MODE", "CXLSIM_TREE",      "CXLSIM_MOUNTS",     "CXLSIM_SPIN",
};

// A misspelled option would run the tests on another device than they name.
static void check_option(const char* variable) {
  size_t length = strcspn(variable, "=");
  for (size_t i = 0; i < sizeof option_names / sizeof *option_names; i++) {
    const char* name = option_names[i];
    if (strlen(name) == length && strncmp(name, variable, length) == 0) return;
  }
  fprintf(stderr, "cxlsim: %s: no such option\n", variable);
  abort();
}

static int number_option(const char* name, int fallback, int low, int high) {
  const char* text = getenv(name);
  if (!text || !*text) return fallback;
  long value = strtol(text, NULL, 0);
  return value < low ? low : value > high ? high : (int)value;
}

static void read_options(void) {
  for (char** variable = environ; *variable; variable++) {
    if (strncmp(*variable, "CXLSIM_", 7) == 0) check_option(*variable);
  }
  const char* flavor = getenv("CXLSIM_FLAVOR");
  options.guest = flavor && strcmp(flavor, "guest") == 0;
  options.processes = number_option("CXLSIM_PROCESSES", 511, 1, 512);
  options.interrupts = number_option("CXLSIM_INTERRUPTS", 2037, 4, MAX_INTERRUPTS - 1);
  options.caia = number_option("CXLSIM_CAIA", 1, 1, 2);
  options.spin = number_option("CXLSIM_SPIN", 0, 0, 1) != 0;
  options.irqs_min = number_option("CXLSIM_IRQS_MIN", 4, 0, 16);
}

// In a guest an AFU of one process is taken for a dedicated one, which the driver cannot activate
// there: it removes the AFU.
static void add_afus(struct card* card) {
  card->without_afus = options.guest && card->afu->processes == 1;
  if (!card->without_afus) mode_activate(card->afu, card->afu->best_mode);
}

static void create_card(int number) {
  struct card* card = &cards[number];
  struct afu* afu = &afus[number];
  *card = (struct card){
      .number = number,
      .present = true,
      .link_up = true,
      .irqs_free = options.interrupts,
      .user_image_loaded = true,
      .perst_loads_image = true,
      .perst_select_user = true,
      .afu = afu,
  };
  bool directed = number == 0 || options.guest;
  // In a guest the hypervisor limits the interrupts of each AFU.
  int interrupts = options.guest && options.interrupts > GUEST_INTERRUPTS ? GUEST_INTERRUPTS
                                                                          : options.interrupts;
  *afu = (struct afu){
      .card = card,
      .best_mode = directed ? MODE_DIRECTED : MODE_DEDICATED,
      .modes_supported = options.guest ? MODE_DIRECTED
                         : directed    ? MODE_DIRECTED | MODE_DEDICATED
                                       : MODE_DEDICATED,
      .processes = number == 0     ? options.processes
                   : options.guest ? 4
                                   : 1,
      .irqs_min = options.irqs_min,
      .irqs_max = interrupts,
      .irqs_limit = interrupts,
      .enabled = options.guest,
      .ps_size = directed ? 64 << 20 : 1 << 20,
      .pp_size = directed ? 64 << 10 : 0,
      .pp_offset = directed ? 32 << 20 : 0,
      .area_fd = -1,
  };
  afu->shown_pp_size = options.guest ? 0 : afu->pp_size;
  afu->contexts = calloc(512, sizeof *afu->contexts);
  if (!afu->contexts || area_create(afu)) abort();
  add_afus(card);
}

void device_start(void) {
  device_lock();
  if (!started) {
    started = true;
    read_options();
    for (int number = 0; number < CARDS; number++) create_card(number);
  }
  device_unlock();
}

struct afu* find_afu(int card) {
  if (card < 0 || card >= CARDS || !cards[card].present) return NULL;
  return cards[card].without_afus ? NULL : cards[card].afu;
}

int mode_activate(struct afu* afu, int mode) {
  if (mode == MODE_NONE) return 0;
  if (!(mode & afu->modes_supported)) return -EINVAL;
  if (!afu->card->link_up) return -EIO;
  afu->mode = mode;
  afu->num_procs = mode == MODE_DEDICATED ? 1 : afu->processes;
  tree_changed();
  return 0;
}

void mode_deactivate(struct afu* afu) {
  afu->mode = MODE_NONE;
  afu->num_procs = 0;
  afu->enabled = options.guest;
  tree_changed();
}

static void each_context(struct afu* afu, void (*action)(struct context*)) {
  for (int pe = 0; pe < 512; pe++) {
    if (afu->contexts[pe]) action(afu->contexts[pe]);
  }
}

static void force_detach(struct context* context) {
  context_detach(context);
  area_back(context, BACKING_FAULT);
}

void detach_all(struct afu* afu) { each_context(afu, force_detach); }

static void show_ones(struct context* context) {
  if (context->status == STARTED) area_back(context, BACKING_ONES);
}

static void show_device(struct context* context) {
  if (context->status == STARTED) area_back(context, BACKING_DEVICE);
}

void card_link_down(struct card* card, uint64_t milliseconds) {
  if (!card->present) return;
  card->link_up = false;
  each_context(card->afu, show_ones);
  card->notice_at = card->recovery_at = 0;
  if (milliseconds) {
    int64_t length = (int64_t)milliseconds * 1000000;
    card->notice_at = now() + length / 4;
    card->recovery_at = now() + length;
  }
  engine_wake();
}

void card_link_up(struct card* card) {
  if (card->link_up || !card->present) return;
  card->link_up = true;
  card->notice_at = card->recovery_at = 0;
  each_context(card->afu, show_device);
}

// Contexts of a removed card exist until they are closed, without a process element.
static void orphan(struct context* context) {
  context->orphan = true;
  context->afu->contexts[context->pe] = NULL;
  context->afu->open_contexts--;
}

void card_remove_afus(struct card* card) {
  detach_all(card->afu);
  each_context(card->afu, orphan);
  mode_deactivate(card->afu);
  card->without_afus = true;
}

static void remove_card(struct card* card) {
  if (!card->present) return;
  card_remove_afus(card);
  card->present = false;
}

void card_unplug(struct card* card) {
  remove_card(card);
  card->notice_at = card->recovery_at = 0;
}

void card_plug(struct card* card) {
  if (card->present) return;
  card->present = true;
  card->link_up = true;
  card->notice_at = card->recovery_at = 0;
  card->contexts = 0;
  if (card->perst_loads_image) card->user_image_loaded = card->perst_select_user;
  card->perst_same_image = false;
  add_afus(card);
  tree_changed();
}

int card_lock(struct card* card) {
  if (card->contexts != 0) return -EBUSY;
  card->contexts = -1;
  return 0;
}

void card_unlock(struct card* card) { card->contexts = 0; }

// The driver notices that the link is down. On bare metal it removes its nodes, and the card too
// when the reset may load another image.
static void notice(struct card* card) {
  card->notice_at = 0;
  if (!options.guest && card->perst_loads_image && !card->perst_same_image) {
    remove_card(card);
    return;
  }
  detach_all(card->afu);
  if (options.guest) return;
  mode_deactivate(card->afu);
  card_lock(card);
}

static void recover(struct card* card) {
  if (card->notice_at) notice(card);
  card->recovery_at = 0;
  if (!card->present) {
    card_plug(card);
    return;
  }
  card->link_up = true;
  if (options.guest) return;
  card_unlock(card);
  mode_activate(card->afu, card->afu->best_mode);
}

int card_reset(struct card* card, int value) {
  int error = value == 1 ? card_lock(card) : 0;
  if (error) return error;
  if (options.guest) {
    // In a guest the reset is immediate, and the driver does not unlock the adapter after one that
    // was not forced.
    detach_all(card->afu);
    return 0;
  }
  if (card->perst_same_image) {
    if (value == 1) card_unlock(card);
    return -EINVAL;
  }
  card_link_down(card, RESET_MS);
  notice(card);
  return 0;
}

int afu_reset(struct afu* afu) {
  if (afu->open_contexts) return -EBUSY;
  if (!options.guest) afu->enabled = false;
  if (!options.guest && !afu->card->link_up) return -EIO;
  memset(afu->area, 0, 0x4000);
  return 0;
}

void device_tick(void) {
  if (!device_busy()) return;
  int64_t time = now();
  for (int number = 0; number < CARDS; number++) {
    struct card* card = &cards[number];
    if (card->notice_at && time >= card->notice_at) notice(card);
    if (card->recovery_at && time >= card->recovery_at) recover(card);
  }
}

bool device_busy(void) {
  for (int number = 0; number < CARDS; number++) {
    if (cards[number].recovery_at) return true;
  }
  return false;
}
