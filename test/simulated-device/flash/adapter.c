// SPDX-License-Identifier: Apache-2.0

#include "adapter.h"

#include <errno.h>
#include <string.h>

#include "../afu/engine.h"
#include "../driver/area.h"
#include "../trap/trap.h"
#include "flash.h"

const char* const lun_names[FLASH_LUNS] = {
    "60050760000000000000000000000a01", "60050760000000000000000000000a02",
    "60050760000000000000000000000a03", "60050760000000000000000000000a04",
    "60050760000000000000000000000a05"};

const struct flash_path flash_paths[FLASH_PATHS] = {{0, 0}, {0, 1}, {1, 0}, {1, 1},
                                                    {2, 0}, {3, 0}, {4, 0}, {4, 1}};

// A reset detaches every context; the records stay until RECOVER_AFU.
void flash_reset(uint64_t milliseconds) {
  if (flash->state != ADAPTER_NORMAL) return;
  flash->state = ADAPTER_RESET;
  if (!reads_all_ones()) flash->transitions++;
  flash->notice_at = 0;
  flash->held = false;
  flash->reset_ends = now() + (int64_t)milliseconds * 1000000;
  for (int i = 0; i < FLASH_CONTEXTS; i++) {
    flash->contexts[i].in_error = true;
    flash->contexts[i].enabled = false;
  }
  flash_catch_up();
  engine_wake();
}

void flash_break_link(uint64_t delay, uint64_t milliseconds) {
  if (flash->state != ADAPTER_NORMAL || reads_all_ones()) return;
  flash->transitions++;
  flash->notice_at = now() + (int64_t)delay * 1000000;
  flash->notice_reset = milliseconds;
  flash_catch_up();
  engine_wake();
}

static void end_reset(void) {
  flash->state = flash->reset_fails ? ADAPTER_FAILED : ADAPTER_NORMAL;
  flash->transitions++;
}

void flash_catch_up(void) {
  if (flash->notice_at && now() >= flash->notice_at) flash_reset(flash->notice_reset);
  if (flash->state == ADAPTER_RESET && now() >= flash->reset_ends) end_reset();
  uint32_t seen = this_process.transitions, current = flash->transitions;
  if (seen == current) return;
  bool running = current & 1, ended = !running || current - seen > 1;
  this_process.transitions = current;
  this_process.card.link_up = !running;
  // All of these started before the reset: a start applies it first.
  for (int pe = 0; pe < FLASH_CONTEXTS; pe++) {
    struct context* context = this_process.afu.contexts[pe];
    if (!context || context->foreign || context->status != STARTED) continue;
    // The driver takes all pages away; one that is touched before RECOVER_AFU reads as all ones.
    area_back(context, TRAP_SUPPORTED ? BACKING_UNTOUCHED : BACKING_ONES);
    if (ended) context_detach(context);
  }
  if (ended) device_wake();
}

// Whether any process has a context.
static bool any_context(void) {
  records_sweep(0);
  for (int i = 0; i < FLASH_CONTEXTS; i++) {
    if (flash->contexts[i].pid) return true;
  }
  return false;
}

// Contexts are in error from now on, for good.
static void end_contexts(void) {
  flash->state = ADAPTER_FAILED;
  for (int i = 0; i < FLASH_CONTEXTS; i++) flash->contexts[i].in_error = true;
  flash->transitions += 2;
  flash_catch_up();
}

// One look of cxlflash_remove() at the adapter: whether it has ended. Lock held.
static bool unbind_step(void) {
  if (flash->state == ADAPTER_RESET) return false;
  if (flash->state == ADAPTER_NORMAL) end_contexts();
  if (any_context()) return false;
  flash->removed = true;
  return true;
}

#define UNBIND_INTERVAL_MS 20

void flash_unbind(void) {
  for (;;) {
    device_lock();
    flash_lock();
    bool ended = unbind_step();
    flash_unlock();
    device_unlock();
    if (ended) return;
    sleep_ms(UNBIND_INTERVAL_MS);
  }
}

int flash_rebind(void) {
  flash_lock();
  int error = any_context() ? -EBUSY : 0;
  if (!error && flash->state != ADAPTER_RESET) {
    flash->state = ADAPTER_NORMAL;
    flash->removed = false;
    flash->reset_fails = false;
    memset(flash->superpipe, 0, sizeof flash->superpipe);
    for (int i = 0; i < FLASH_LUNS; i++) flash->luns[i].ports = 0;
    lun_clear_table();
  }
  flash_unlock();
  return error;
}

bool flash_busy(void) { return flash && (flash->state == ADAPTER_RESET || flash->notice_at); }

bool flash_step(bool* attached) {
  bool worked = false;
  if (!flash) return false;
  flash_lock();
  for (int i = 0; i < FLASH_CONTEXTS; i++) {
    if (!this_process.contexts[i]) continue;
    struct flash_context* context = &flash->contexts[i];
    *attached = true;
    if (context->in_error || this_process.contexts[i]->status != STARTED) continue;
    if (reads_all_ones()) continue;
    worked |= flash_inject(context);
    if (!context->in_error && !reads_all_ones()) worked |= sislite_step(context);
  }
  flash_unlock();
  return worked;
}
