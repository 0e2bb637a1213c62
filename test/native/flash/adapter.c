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

struct flash_adapter flash = {
    .ports_up = 3,
    .luns = {{.wwid = "60050760000000000000000000000a01", .blocks = 262144},
             {.wwid = "60050760000000000000000000000a02", .blocks = 131072},
             {.wwid = "60050760000000000000000000000a03", .blocks = 1000}},
    .paths = {{"/dev/sg90", "20:0:0:0", &flash.luns[0], 0, false},
              {"/dev/sg91", "20:1:0:0", &flash.luns[0], 1, false},
              {"/dev/sg92", "20:0:1:0", &flash.luns[1], 0, false},
              {"/dev/sg93", "20:1:1:0", &flash.luns[1], 1, false},
              {"/dev/sg94", "20:0:2:0", &flash.luns[2], 0, false}},
};

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

struct flash_path* flash_find(const char* node) {
  for (int i = 0; i < FLASH_PATHS; i++) {
    if (strcmp(flash.paths[i].node, node) == 0) return &flash.paths[i];
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
    struct flash_path* path = &flash.paths[i];
    const char* generic = path->node + strlen("/dev/");
    snprintf(text, sizeof text, "naa.%s\n", path->lun->wwid);
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
  if (flash.state != ADAPTER_NORMAL) return;
  flash.state = ADAPTER_RESET;
  flash.held = false;
  flash.card.link_up = false;
  flash.reset_ends = now() + (int64_t)milliseconds * 1000000;
  for (int i = 0; i < FLASH_CONTEXTS; i++) {
    struct flash_context* context = flash.contexts[i];
    if (!context || context->in_error) continue;
    context->in_error = true;
    context->enabled = false;
    // The driver shows a page of all ones for what is left of the context.
    area_back(context->context, BACKING_ONES);
  }
  engine_wake();
}

static void end_reset(void) {
  flash.card.link_up = true;
  for (int i = 0; i < FLASH_CONTEXTS; i++) {
    struct flash_context* context = flash.contexts[i];
    if (context && context->in_error && context->context) context_detach(context->context);
  }
  flash.state = flash.reset_fails ? ADAPTER_FAILED : ADAPTER_NORMAL;
  device_wake();
}

bool flash_busy(void) { return flash.state == ADAPTER_RESET; }

bool flash_step(bool* attached) {
  bool worked = false;
  if (!flash.ready) return false;
  if (flash.state == ADAPTER_RESET && now() >= flash.reset_ends) end_reset();
  for (int i = 0; i < FLASH_CONTEXTS; i++) {
    struct flash_context* context = flash.contexts[i];
    if (!context) continue;
    *attached = true;
    if (context->in_error || !context->context || context->context->status != STARTED) continue;
    worked |= flash_provoke(context);
    if (!context->in_error) worked |= sislite_step(context);
  }
  return worked;
}
