// SPDX-License-Identifier: Apache-2.0
//
// LUN modes, resource handles, and the chunks of virtual LUNs.

#include <errno.h>
#include <string.h>

#include "adapter.h"

bool sync_afu(void) {
  if (flash.state != ADAPTER_NORMAL || !flash.slow_syncs) return true;
  flash.slow_syncs--;
  return false;
}

bool lun_attach(struct flash_lun* lun, enum lun_mode mode) {
  if (lun->mode != LUN_FREE && lun->mode != mode) return false;
  lun->mode = mode;
  lun->users++;
  return true;
}

void lun_detach(struct flash_lun* lun) {
  if (--lun->users > 0) return;
  lun->mode = LUN_FREE;
  memset(lun->owners, 0, sizeof lun->owners);
}

bool read_capacity(struct flash_lun* lun) {
  if (lun->unreadable) return false;
  lun->last_lba = lun->blocks - 1;
  return true;
}

int total_chunks(struct flash_lun* lun) { return (int)((lun->last_lba + 1) / CHUNK_BLOCKS); }

struct handle* find_handle(struct flash_context* context, uint64_t number, struct flash_lun* lun) {
  uint32_t index = (uint32_t)number;
  if (index >= (uint32_t)flash.handles) return NULL;
  struct handle* handle = &context->table[index];
  return handle->kind != HANDLE_FREE && handle->lun == lun ? handle : NULL;
}

struct handle* check_out(struct flash_context* context, struct flash_lun* lun,
                         enum handle_kind kind) {
  for (int i = 0; i < flash.handles; i++) {
    struct handle* handle = &context->table[i];
    if (handle->kind != HANDLE_FREE) continue;
    handle->kind = kind;
    handle->lun = lun;
    handle->permissions = context->permissions;
    return handle;
  }
  return NULL;
}

// The chunks stay with the entry, as the driver's do.
void check_in(struct handle* handle) {
  handle->kind = HANDLE_FREE;
  handle->lun = NULL;
  handle->permissions = 0;
  handle->scrub = false;
  handle->ports = 0;
}

uint64_t last_lba_of(struct handle* handle) {
  return (uint64_t)handle->chunk_count * CHUNK_BLOCKS - 1;
}

static int grow(struct flash_lun* lun, struct handle* handle, uint64_t wanted) {
  int granted = 0;
  for (int chunk = 0; chunk < total_chunks(lun); chunk++) {
    if ((uint64_t)handle->chunk_count >= wanted) break;
    if (lun->owners[chunk]) continue;
    lun->owners[chunk] = 1;
    handle->chunks[handle->chunk_count++] = (uint8_t)chunk;
    granted++;
  }
  return granted ? 0 : -ENOSPC;
}

static void shrink(struct flash_lun* lun, struct handle* handle, uint64_t wanted) {
  while ((uint64_t)handle->chunk_count > wanted) {
    int chunk = handle->chunks[--handle->chunk_count];
    if (handle->scrub && lun->owners[chunk] == 1) {
      memset(lun->data + (uint64_t)chunk * CHUNK_BLOCKS * BLOCK_SIZE, 0, CHUNK_BLOCKS * BLOCK_SIZE);
    }
    if (lun->owners[chunk]) lun->owners[chunk]--;
  }
}

int resize_handle(struct flash_context* context, struct flash_lun* lun, struct handle* handle,
                  uint64_t blocks) {
  uint64_t wanted = (blocks + CHUNK_BLOCKS - 1) / CHUNK_BLOCKS;
  uint64_t have = (uint64_t)handle->chunk_count;
  bool synced;
  if (wanted > have) {
    int error = grow(lun, handle, wanted);
    if (error) return error;
    synced = sync_afu();
  } else if (wanted < have) {
    synced = context->in_error || sync_afu();
    shrink(lun, handle, wanted);
  } else {
    synced = sync_afu();
  }
  return synced ? 0 : -EAGAIN;
}

int release_handle(struct flash_context* context, struct flash_lun* lun, struct handle* handle) {
  if (lun->mode == LUN_VIRTUAL) {
    int error = resize_handle(context, lun, handle, 0);
    if (error) return error;
  } else if (!context->in_error) {
    sync_afu();
  }
  check_in(handle);
  lun_detach(lun);
  return 0;
}
