// SPDX-License-Identifier: Apache-2.0

#include "adapter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../area.h"
#include "../engine.h"
#include "../next.h"
#include "flash.h"

#define HOST 20

const char* const lun_names[FLASH_LUNS] = {"60050760000000000000000000000a01",
                                           "60050760000000000000000000000a02",
                                           "60050760000000000000000000000a03"};

const struct flash_path flash_paths[FLASH_PATHS] = {{"/dev/sg90", "20:0:0:0", 0, 0},
                                                    {"/dev/sg91", "20:1:0:0", 0, 1},
                                                    {"/dev/sg92", "20:0:1:0", 1, 0},
                                                    {"/dev/sg93", "20:1:1:0", 1, 1},
                                                    {"/dev/sg94", "20:0:2:0", 2, 0}};

static const char* const folders[] = {"/sys/class/scsi_device", "/sys/class/scsi_generic",
                                      "/sys/class/scsi_host"};

bool flash_ours(const char* path) {
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
    size_t length = strlen(folders[i]);
    if (strncmp(path, folders[i], length) == 0 && (!path[length] || path[length] == '/')) {
      return true;
    }
  }
  return strcmp(path, FLASH_HOST_NODE) == 0 || flash_find(path) != NULL;
}

const struct flash_path* flash_find(const char* node) {
  for (int i = 0; i < FLASH_PATHS; i++) {
    if (strcmp(flash_paths[i].node, node) == 0) return &flash_paths[i];
  }
  return NULL;
}

void flash_tree(void (*put_folder)(const char* path),
                void (*put_text)(const char* path, const char* text)) {
  char place[128], text[64];
  snprintf(place, sizeof place, "%s/host%d", folders[2], HOST);
  put_folder(place);
  snprintf(place, sizeof place, "%s/host%d/proc_name", folders[2], HOST);
  put_text(place, "cxlflash\n");
  put_folder("/dev/cxlflash");
  put_text(FLASH_HOST_NODE, "");
  for (int i = 0; i < FLASH_PATHS; i++) {
    const struct flash_path* path = &flash_paths[i];
    const char* generic = path->node + strlen("/dev/");
    snprintf(text, sizeof text, "naa.%s\n", lun_names[path->lun]);
    snprintf(place, sizeof place, "%s/%s/device/scsi_generic/%s", folders[0], path->address,
             generic);
    put_folder(place);
    snprintf(place, sizeof place, "%s/%s/device/wwid", folders[0], path->address);
    put_text(place, text);
    snprintf(place, sizeof place, "%s/%s/device", folders[1], generic);
    put_folder(place);
    snprintf(place, sizeof place, "%s/%s/device/wwid", folders[1], generic);
    put_text(place, text);
    put_text(path->node, "");
  }
}

// The reset takes every context from the AFU; its record waits for recovery.
void flash_reset(uint64_t milliseconds) {
  if (flash->state != ADAPTER_NORMAL) return;
  flash->state = ADAPTER_RESET;
  flash->transitions++;
  flash->held = false;
  flash->reset_ends = now() + (int64_t)milliseconds * 1000000;
  for (int i = 0; i < FLASH_CONTEXTS; i++) {
    flash->contexts[i].in_error = true;
    flash->contexts[i].enabled = false;
  }
  flash_catch_up();
  engine_wake();
}

static void end_reset(void) {
  flash->state = flash->reset_fails ? ADAPTER_FAILED : ADAPTER_NORMAL;
  flash->transitions++;
}

void flash_catch_up(void) {
  if (flash->state == ADAPTER_RESET && now() >= flash->reset_ends) end_reset();
  uint32_t seen = here.transitions, current = flash->transitions;
  if (seen == current) return;
  bool running = current & 1, ended = !running || current - seen > 1;
  here.transitions = current;
  here.card.link_up = !running;
  // None of these was started since: that would have taken in the reset before.
  for (int pe = 0; pe < FLASH_CONTEXTS; pe++) {
    struct context* context = here.afu.contexts[pe];
    if (!context || context->foreign || context->status != STARTED) continue;
    // The driver shows a page of all ones for what is left of the context.
    area_back(context, BACKING_ONES);
    if (ended) context_detach(context);
  }
  if (ended) device_wake();
}

bool flash_busy(void) { return flash && flash->state == ADAPTER_RESET; }

bool flash_step(bool* attached) {
  bool worked = false;
  if (!flash) return false;
  flash_lock();
  for (int i = 0; i < FLASH_CONTEXTS; i++) {
    if (!here.contexts[i]) continue;
    struct flash_context* context = &flash->contexts[i];
    *attached = true;
    if (context->in_error || here.contexts[i]->status != STARTED) continue;
    worked |= flash_provoke(context);
    if (!context->in_error) worked |= sislite_step(context);
  }
  flash_unlock();
  return worked;
}
