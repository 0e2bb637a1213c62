// SPDX-License-Identifier: Apache-2.0
//
// The host ioctls: provisioning, which keeps a record and makes no LUN (that would take a
// rescan), and debug commands, whose data the AFU keeps and gives back.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../../native/abi/cxlflash.h"
#include "../afu/memory.h"
#include "adapter.h"
#include "flash.h"

#define PORTS 2
#define MOST_BLOCKS (1ull << 28)
#define FIRST_ID 0x100

enum { CREATE = 1, DELETE = 2, QUERY = 3 };

_Static_assert(SCRATCH_SIZE == CXLFLASH_DEBUG_MAX_DATA, "what the AFU keeps");

static void count_port(int port, uint64_t* luns, uint64_t* blocks) {
  *luns = *blocks = 0;
  for (int i = 0; i < FLASH_PATHS; i++) {
    if (flash_paths[i].port != port) continue;
    ++*luns;
    struct flash_lun* lun = lun_of(&flash_paths[i]);
    *blocks += lun->blocks * lun->block_size / SIZE_UNIT;
  }
  for (int i = 0; i < MOST_MADE; i++) {
    if (!flash->made[i].blocks || flash->made[i].port != port) continue;
    ++*luns;
    *blocks += flash->made[i].blocks;
  }
}

static int create(struct cxlflash_lun_provision* request, uint64_t luns, uint64_t blocks) {
  if (!request->size || luns >= MOST_MADE || blocks + request->size > MOST_BLOCKS) return -EIO;
  for (int i = 0; i < MOST_MADE; i++) {
    if (flash->made[i].blocks) continue;
    flash->made[i].blocks = request->size;
    flash->made[i].port = request->port;
    request->lun_id = (uint64_t)(FIRST_ID + i) << 48;
    memset(request->wwid, i, sizeof request->wwid);
    request->wwid[0] = 0x60;
    return 0;
  }
  return -EIO;
}

static int delete_lun(struct cxlflash_lun_provision* request) {
  uint64_t index = (request->lun_id >> 48) - FIRST_ID;
  if (index >= MOST_MADE || !flash->made[index].blocks || flash->made[index].port != request->port)
    return -EIO;
  flash->made[index].blocks = 0;
  return 0;
}

static int provision(struct cxlflash_lun_provision* request) {
  uint64_t luns, blocks;
  if (request->port >= PORTS) return -EINVAL;
  count_port(request->port, &luns, &blocks);
  switch (request->hdr.rsvd[0]) {
    case CREATE:
      return create(request, luns, blocks);
    case DELETE:
      return delete_lun(request);
    case QUERY:
      request->max_num_luns = MOST_MADE;
      request->cur_num_luns = luns;
      request->max_cap_port = MOST_BLOCKS;
      request->cur_cap_port = blocks;
      return 0;
    default:
      return -EINVAL;
  }
}

static int debug(struct cxlflash_afu_debug* request) {
  size_t size = request->data_len;
  if (size > CXLFLASH_DEBUG_MAX_DATA) return -EINVAL;
  size_t done = request->hdr.flags & CXLFLASH_HOST_WRITE
                    ? memory_load(flash->scratch, request->data_ea, size)
                    : memory_store(request->data_ea, flash->scratch, size);
  return done < size ? -EFAULT : 0;
}

int flash_host_ioctl(unsigned long request, void* argument) {
  union {
    struct cxlflash_header hdr;
    struct cxlflash_lun_provision provision;
    struct cxlflash_afu_debug debug;
  } copy;
  unsigned long number = (uint32_t)request;
  size_t size = _IOC_SIZE(number);
  uint64_t address = (uint64_t)(uintptr_t)argument;
  if (number != CXLFLASH_LUN_PROVISION && number != CXLFLASH_AFU_DEBUG) return -EINVAL;
  if (memory_load(&copy, address, size) < size) return -EFAULT;
  if (copy.hdr.version || copy.hdr.rsvd[1] || copy.hdr.rsvd[2] || copy.hdr.return_flags) {
    return -EINVAL;
  }
  flash_lock();
  int error = number == CXLFLASH_AFU_DEBUG ? debug(&copy.debug) : provision(&copy.provision);
  flash_unlock();
  if (error) return error;
  return memory_store(address, &copy, size) < size ? -EFAULT : 0;
}
