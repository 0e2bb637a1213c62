// SPDX-License-Identifier: Apache-2.0
//
// The driver's records of the contexts of all processes that share the adapter.

#include <string.h>
#include <unistd.h>

#include "adapter.h"
#include "flash.h"

struct flash_context* record_new(int pid) {
  for (int i = 0; i < FLASH_CONTEXTS; i++) {
    struct flash_context* record = &flash->contexts[i];
    if (record->pid) continue;
    memset(handles_of(record), 0, sizeof(struct handle) * (size_t)flash->handles);
    *record = (struct flash_context){.pid = pid, .cookie = ++flash->cookies};
    return record;
  }
  return NULL;
}

void record_free(struct flash_context* record) {
  if (record->pid == getpid()) {
    struct context* started = context_of(record);
    if (started) started->unmappable = true;
    this_process.contexts[record_index(record)] = NULL;
  }
  record->pid = 0;
}

void record_release(struct flash_context* record) {
  for (int lun = 0; lun < FLASH_LUNS; lun++) {
    if (record->luns & (1u << lun)) release_handles(record, &flash->luns[lun]);
  }
  record_free(record);
}

bool record_reaches(struct flash_context* record, struct flash_lun* lun) {
  return record->luns & (1u << lun_index(lun));
}

struct flash_context* record_find(uint64_t id, int pid, struct flash_lun* lun, bool in_error) {
  for (int i = 0; i < FLASH_CONTEXTS; i++) {
    struct flash_context* record = &flash->contexts[i];
    if (!record->pid || record->id != id || record->pid != pid) continue;
    if (record->in_error && !in_error) continue;
    if (lun && !record_reaches(record, lun)) continue;
    return record;
  }
  return NULL;
}

void records_sweep(int ended) {
  // Neighboring records often belong to one process, which is then checked only once.
  int asked = ended ? ended : getpid();
  bool gone = ended != 0;
  for (int i = 0; i < FLASH_CONTEXTS; i++) {
    const int owners[] = {flash->contexts[i].pid, flash->claims[i].pid};
    for (int which = 0; which < 2; which++) {
      int pid = owners[which];
      if (!pid || (ended && pid != ended)) continue;
      if (pid != asked) {
        asked = pid;
        gone = !segment_alive(pid);
      }
      if (!gone) continue;
      if (which == 0) record_release(&flash->contexts[i]);
      if (which == 1) flash->claims[i] = (struct claim){0, 0};
    }
  }
}

void flash_context_closed(struct context* closed) {
  if (!flash) return;
  for (int i = 0; i < FLASH_CONTEXTS; i++) {
    if (this_process.contexts[i] != closed) continue;
    flash_lock();
    record_release(&flash->contexts[i]);
    flash_unlock();
    return;
  }
}
