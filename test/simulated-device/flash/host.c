// SPDX-License-Identifier: Apache-2.0
//
// The host ioctls: LUN provisioning, which records LUNs but creates none (a new LUN needs a rescan
// of the bus), and debug commands, whose data the AFU keeps for the next read.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../afu/memory.h"
#include "adapter.h"
#include "flash.h"
#include "ioctl.h"

#define MAX_BLOCKS (1ull << 28)
#define FIRST_ID 0x100

enum { CREATE = 1, DELETE = 2, QUERY = 3 };

_Static_assert(SCRATCH_SIZE == CXLFLASH_DEBUG_MAX_DATA, "debug data");

static void count_port(int port, uint64_t* luns, uint64_t* blocks) {
  *luns = *blocks = 0;
  for (int i = 0; i < FLASH_PATHS; i++) {
    if (flash_paths[i].port != port) continue;
    ++*luns;
    struct flash_lun* lun = lun_of(&flash_paths[i]);
    *blocks += lun->blocks * lun->block_size / SIZE_UNIT;
  }
  for (int i = 0; i < MAX_PROVISIONED; i++) {
    if (!flash->provisioned[i].blocks || flash->provisioned[i].port != port) continue;
    ++*luns;
    *blocks += flash->provisioned[i].blocks;
  }
}

static int create(struct cxlflash_lun_provision* request, uint64_t luns, uint64_t blocks) {
  if (!request->size || luns >= MAX_PROVISIONED || blocks + request->size > MAX_BLOCKS) return -EIO;
  for (int i = 0; i < MAX_PROVISIONED; i++) {
    if (flash->provisioned[i].blocks) continue;
    flash->provisioned[i].blocks = request->size;
    flash->provisioned[i].port = request->port;
    request->lun_id = (uint64_t)(FIRST_ID + i) << 48;
    memset(request->wwid, i, sizeof request->wwid);
    request->wwid[0] = 0x60;
    return 0;
  }
  return -EIO;
}

static int delete_lun(struct cxlflash_lun_provision* request) {
  uint64_t index = (request->lun_id >> 48) - FIRST_ID;
  if (index >= MAX_PROVISIONED || !flash->provisioned[index].blocks ||
      flash->provisioned[index].port != request->port)
    return -EIO;
  flash->provisioned[index].blocks = 0;
  return 0;
}

static int provision(void* argument) {
  struct cxlflash_lun_provision* request = argument;
  uint64_t luns, blocks;
  if (request->port >= FLASH_PORTS) return -EINVAL;
  count_port(request->port, &luns, &blocks);
  switch (request->hdr.rsvd[0]) {
    case CREATE:
      return create(request, luns, blocks);
    case DELETE:
      return delete_lun(request);
    case QUERY:
      request->max_num_luns = MAX_PROVISIONED;
      request->cur_num_luns = luns;
      request->max_cap_port = MAX_BLOCKS;
      request->cur_cap_port = blocks;
      return 0;
    default:
      return -EINVAL;
  }
}

static int debug(void* argument) {
  struct cxlflash_afu_debug* request = argument;
  size_t size = request->data_len;
  if (size > CXLFLASH_DEBUG_MAX_DATA) return -EINVAL;
  size_t done = request->hdr.flags & CXLFLASH_HOST_WRITE
                    ? memory_load(flash->scratch, request->data_ea, size)
                    : memory_store(request->data_ea, flash->scratch, size);
  return done < size ? -EFAULT : 0;
}

static const struct {
  unsigned long request;
  int (*handler)(void* argument);
} ioctls[] = {
    {CXLFLASH_LUN_PROVISION, provision},
    {CXLFLASH_AFU_DEBUG, debug},
};

static int call(size_t index, uint64_t address) {
  union flash_argument copy;
  unsigned long request = ioctls[index].request;
  int error = flash_copy_in(&copy, request, address);
  if (!error) error = ioctls[index].handler(&copy);
  return error ? error : flash_copy_out(&copy, request, address);
}

int flash_host_ioctl(unsigned long request, void* argument) {
  for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls; i++) {
    if (ioctls[i].request != (uint32_t)request) continue;
    flash_lock();
    int error = call(i, (uint64_t)(uintptr_t)argument);
    flash_unlock();
    return error;
  }
  return -EINVAL;
}
