// SPDX-License-Identifier: Apache-2.0
//
// LUN modes, resource handles, and the chunks of virtual LUNs.

#include <errno.h>
#include <string.h>

#include "adapter.h"

// A chunk has one owner and at most this many clones.
#define MAX_CLONES 255
// The last place of a port in the LUN table that is used.
#define LAST_PLACE 255
// Chunks of a word of the driver's bit map.
#define WORD_CHUNKS 64

bool sync_afu(void) {
  if (flash->state != ADAPTER_NORMAL) return true;
  if (flash->stuck_sync) {
    flash->stuck_sync = false;
    flash_reset(flash->stuck_sync_reset);
    return false;
  }
  if (!flash->slow_syncs) return true;
  flash->slow_syncs--;
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
  lun->current_word = 0;
}

void lun_clear_table(void) {
  flash->shared_place = 0;
  for (int port = 0; port < FLASH_PORTS; port++) flash->own_place[port] = LAST_PLACE;
  for (int i = 0; i < FLASH_LUNS; i++) flash->luns[i].in_table = false;
}

// No place is ever given back: a LUN whose superpipe mode was disabled takes another one
// (init_luntable() in vlun.c).
int lun_enter_table(struct flash_lun* lun) {
  int count = 0, last = 0;
  if (lun->in_table) return 0;
  for (int port = 0; port < FLASH_PORTS; port++) {
    if (!(lun->ports & 1u << port)) continue;
    if (flash->own_place[port] == flash->shared_place) return -ENOSPC;
    count++;
    last = port;
  }
  if (count > 1) {
    flash->shared_place++;
  } else {
    flash->own_place[last]--;
  }
  lun->in_table = true;
  return 0;
}

bool read_capacity(struct flash_lun* lun) {
  if (lun->unreadable) return false;
  lun->last_lba = lun->blocks - 1;
  return true;
}

int total_chunks(struct flash_lun* lun) {
  uint64_t total = (lun->last_lba + 1) / CHUNK_BLOCKS;
  return total < MAX_CHUNKS ? (int)total : MAX_CHUNKS;
}

struct handle* find_handle(struct flash_context* context, uint64_t number, struct flash_lun* lun) {
  uint32_t index = (uint32_t)number;
  if (index >= (uint32_t)flash->handles) return NULL;
  struct handle* handle = &handles_of(context)[index];
  return handle->kind != HANDLE_FREE && handle->lun == lun_index(lun) ? handle : NULL;
}

struct handle* check_out(struct flash_context* context, struct flash_lun* lun,
                         enum handle_kind kind) {
  for (int i = 0; i < flash->handles; i++) {
    struct handle* handle = &handles_of(context)[i];
    if (handle->kind != HANDLE_FREE) continue;
    handle->kind = kind;
    handle->lun = lun_index(lun);
    handle->permissions = context->permissions;
    return handle;
  }
  return NULL;
}

// As with the driver, the chunks stay with the entry.
void check_in(struct handle* handle) {
  handle->kind = HANDLE_FREE;
  handle->permissions = 0;
  handle->scrub = false;
  handle->ports = 0;
}

uint64_t last_lba_of(struct handle* handle) {
  uint64_t blocks = (uint64_t)handle->chunk_count * CHUNK_BLOCKS;
  return blocks * flash->luns[handle->lun].block_size / SIZE_UNIT - 1;
}

// The lowest free chunk of the current word and those after it, else of those before it
// (ba_alloc() in vlun.c); -1 when none is free.
static int allocate_chunk(struct flash_lun* lun) {
  int total = total_chunks(lun), first = lun->current_word * WORD_CHUNKS;
  for (int i = 0; i < total; i++) {
    int chunk = (first + i) % total;
    if (lun->owners[chunk]) continue;
    lun->owners[chunk] = 1;
    // The word stays the current one until its last chunk is allocated.
    lun->current_word = chunk / WORD_CHUNKS + (chunk % WORD_CHUNKS == WORD_CHUNKS - 1);
    if (lun->current_word * WORD_CHUNKS >= total) lun->current_word = 0;
    return chunk;
  }
  return -1;
}

static int grow(struct flash_lun* lun, struct handle* handle, uint64_t wanted) {
  int granted = 0;
  while ((uint64_t)handle->chunk_count < wanted) {
    int chunk = allocate_chunk(lun);
    if (chunk < 0) break;
    *handle_chunk(handle, handle->chunk_count++) = (uint16_t)chunk;
    granted++;
  }
  return granted ? 0 : -ENOSPC;
}

// With NEED_WRITE_SAME, 6.1 hands write_same16() the number of each freed chunk as a block address:
// the blocks of a chunk's size from that block on are zeroed, whoever has them, and the freed chunk
// keeps its data (shrink_lxt() in vlun.c). It sends no SCSI command to an adapter that has failed.
static void shrink(struct flash_lun* lun, struct handle* handle, uint64_t wanted) {
  bool zeroes = handle->scrub && flash->state == ADAPTER_NORMAL;
  while ((uint64_t)handle->chunk_count > wanted) {
    uint64_t chunk = *handle_chunk(handle, --handle->chunk_count);
    if (zeroes) lun_discard(lun, chunk * lun->block_size, CHUNK_BLOCKS * lun->block_size);
    if (lun->owners[chunk]) lun->owners[chunk]--;
  }
}

int resize_handle(struct flash_context* context, struct flash_lun* lun, struct handle* handle,
                  uint64_t size) {
  uint64_t blocks = size * SIZE_UNIT / lun->block_size;
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

void release_handles(struct flash_context* context, struct flash_lun* lun) {
  struct handle* handles = handles_of(context);
  for (int i = 0; i < flash->handles; i++) {
    if (handles[i].kind == HANDLE_FREE || handles[i].lun != lun_index(lun)) continue;
    release_handle(context, lun, &handles[i]);
  }
}

static int clone_chunks(struct flash_lun* lun, const struct handle* handle, struct handle* copy) {
  int error = 0;
  copy->chunk_count = 0;
  while (!error && copy->chunk_count < handle->chunk_count) {
    uint16_t chunk = *handle_chunk(handle, copy->chunk_count);
    if (!lun->owners[chunk] || lun->owners[chunk] > MAX_CLONES) {
      error = -EIO;
    } else {
      lun->owners[chunk]++;
      *handle_chunk(copy, copy->chunk_count++) = chunk;
    }
  }
  if (!error && !sync_afu()) error = -EAGAIN;
  while (error && copy->chunk_count) lun->owners[*handle_chunk(copy, --copy->chunk_count)]--;
  return error;
}

int clone_handles(struct flash_context* source, struct flash_context* target,
                  struct flash_lun* lun) {
  struct handle *from = handles_of(source), *into = handles_of(target);
  for (int i = 0; i < flash->handles; i++) {
    if (into[i].kind != HANDLE_FREE) return -EINVAL;
  }
  for (int i = 0; i < flash->handles; i++) {
    if (from[i].kind == HANDLE_FREE) continue;
    into[i].kind = from[i].kind;
    into[i].permissions = from[i].permissions & target->permissions;
    into[i].lun = from[i].lun;
    // The driver counts all of them for the LUN of the call.
    int error = clone_chunks(lun, &from[i], &into[i]);
    if (error) {
      check_in(&into[i]);
      release_handles(target, lun);
      return error;
    }
    lun_attach(lun, LUN_VIRTUAL);
  }
  target->luns |= source->luns;
  return 0;
}
