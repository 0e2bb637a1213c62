// SPDX-License-Identifier: Apache-2.0
//
// The superpipe ioctls: LUN modes, contexts, handles, chunks, recovery.

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../../native/abi/cxlflash.h"
#include "../abi.h"
#include "../area.h"
#include "../files.h"
#include "../memory.h"
#include "../next.h"
#include "adapter.h"
#include "flash.h"

#define IRQS_MIN 2

static void prepare(void) {
  if (flash.ready) return;
  flash.ready = true;
  flash.handles = (int)(sysconf(_SC_PAGESIZE) / 16);
  flash.card = (struct card){.number = CARDS,
                             .present = true,
                             .link_up = true,
                             .user_irqs = 2037,
                             .irqs_free = 2037,
                             .afu = &flash.afu};
  flash.afu = (struct afu){.card = &flash.card,
                           .mode = MODE_DIRECTED,
                           .best_mode = MODE_DIRECTED,
                           .modes_supported = MODE_DIRECTED,
                           .processes = FLASH_CONTEXTS,
                           .num_procs = FLASH_CONTEXTS,
                           .irqs_min = IRQS_MIN,
                           .irqs_max = 2037,
                           .ps_size = (uint64_t)FLASH_CONTEXTS * HOST_PAGE,
                           .pp_size = HOST_PAGE,
                           .area_fd = -1};
  flash.afu.contexts = calloc(FLASH_CONTEXTS, sizeof *flash.afu.contexts);
  if (!flash.afu.contexts || area_create(&flash.afu)) abort();
  for (int i = 0; i < FLASH_LUNS; i++) {
    struct flash_lun* lun = &flash.luns[i];
    lun->data = NEXT(mmap)(NULL, lun->blocks * BLOCK_SIZE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (lun->data == MAP_FAILED) abort();
  }
}

static bool reaches(struct flash_context* context, struct flash_lun* lun) {
  for (int i = 0; i < FLASH_LUNS; i++) {
    if (context->luns[i] == lun) return true;
  }
  return false;
}

static void join(struct flash_context* context, struct flash_lun* lun) {
  context->luns[lun - flash.luns] = lun;
}

static struct flash_context* find(uint64_t id, int pid, struct flash_lun* lun, bool in_error) {
  for (int i = 0; i < FLASH_CONTEXTS; i++) {
    struct flash_context* context = flash.contexts[i];
    if (!context || context->id != id || context->pid != pid) continue;
    if (context->in_error && !in_error) continue;
    if (lun && !reaches(context, lun)) continue;
    return context;
  }
  return NULL;
}

static void forget(struct flash_context* context) {
  for (int i = 0; i < FLASH_CONTEXTS; i++) {
    if (flash.contexts[i] == context) flash.contexts[i] = NULL;
  }
  free(context->table);
  free(context);
}

// True when that was the last.
static bool detach_lun(struct flash_context* context, struct flash_lun* lun) {
  for (int i = 0; i < flash.handles; i++) {
    if (context->table[i].kind != HANDLE_FREE && context->table[i].lun == lun) {
      release_handle(context, lun, &context->table[i]);
    }
  }
  context->luns[lun - flash.luns] = NULL;
  if (--context->references > 0) return false;
  forget(context);
  return true;
}

void flash_context_closed(struct context* closed) {
  for (int i = 0; i < FLASH_CONTEXTS; i++) {
    struct flash_context* context = flash.contexts[i];
    if (!context || context->context != closed) continue;
    for (int lun = 0; lun < FLASH_LUNS; lun++) {
      if (context->luns[lun] && detach_lun(context, context->luns[lun])) return;
    }
    forget(context);
    return;
  }
}

// A started context of the AFU and a descriptor for it.
static int start(struct flash_context* context) {
  struct context* started;
  int error = context_open(&flash.afu, false, true, &started);
  if (error) return -ENODEV;
  struct start_work work = {.flags = START_WORK_NUM_IRQS | START_WORK_ERR_FF,
                            .num_interrupts = (int16_t)context->interrupts};
  error = context_start(started, &work);
  int fd = started->event_fd;
  started->event_fd = error ? -1 : NEXT(fcntl)(fd, F_DUPFD_CLOEXEC, 3);
  if (started->event_fd < 0) {
    NEXT(close)(fd);
    started->descriptors = 0;
    context_put(started);
    return error ? error : -ENODEV;
  }
  context->context = started;
  context->id = (uint64_t)(uintptr_t)context << 32 | (uint32_t)started->pe;
  context->in_error = false;
  sislite_attach(context);
  return file_adopt(started, fd);
}

static int attach(struct flash_path* path, struct cxlflash_attach* request) {
  struct flash_lun* lun = path->lun;
  struct flash_context* context;
  int fd = -1;
  if (request->num_interrupts > 4) return -EINVAL;
  if (!lun->last_lba && !read_capacity(lun)) return -ENODEV;
  if (request->hdr.flags & CXLFLASH_REUSE_CONTEXT) {
    context = find(request->context_id, getpid(), NULL, false);
    if (!context || reaches(context, lun)) return -EINVAL;
    context->references++;
    join(context, lun);
  } else {
    context = calloc(1, sizeof *context);
    context->table = calloc((size_t)flash.handles, sizeof *context->table);
    context->pid = getpid();
    context->permissions = (uint32_t)(request->hdr.flags + 1) & 3;
    context->interrupts = (int)request->num_interrupts;
    context->references = 1;
    fd = start(context);
    if (fd < 0) {
      free(context->table);
      free(context);
      return fd;
    }
    join(context, lun);
    for (int i = 0; i < FLASH_CONTEXTS; i++) {
      if (flash.contexts[i]) continue;
      flash.contexts[i] = context;
      break;
    }
  }
  request->hdr.return_flags =
      CXLFLASH_CONTEXT_SQ_CMD_MODE | (fd >= 0 ? CXLFLASH_APP_CLOSE_ADAP_FD : 0);
  request->context_id = context->id;
  request->mmio_size = HOST_PAGE;
  request->block_size = BLOCK_SIZE;
  request->adap_fd = (uint64_t)(int64_t)fd;
  request->last_lba = lun->last_lba;
  request->max_xfer = 16777216 / BLOCK_SIZE;
  return 0;
}

static int user_direct(struct flash_path* path, struct cxlflash_udirect* request) {
  struct flash_lun* lun = path->lun;
  if (!lun_attach(lun, LUN_PHYSICAL)) return -EINVAL;
  struct flash_context* context = find(request->context_id, getpid(), lun, false);
  struct handle* handle = context ? check_out(context, lun, HANDLE_PHYSICAL) : NULL;
  if (!handle) {
    lun_detach(lun);
    return context ? -EMFILE : -EINVAL;
  }
  handle->ports = 1u << path->port;
  if (!sync_afu()) {
    check_in(handle);
    lun_detach(lun);
    return -EAGAIN;
  }
  request->rsrc_handle = (uint64_t)(handle - context->table);
  request->last_lba = lun->last_lba;
  return 0;
}

static int user_virtual(struct flash_path* path, struct cxlflash_uvirtual* request) {
  struct flash_lun* lun = path->lun;
  if (lun->mode == LUN_FREE && !total_chunks(lun)) return -ENOMEM;
  if (!lun_attach(lun, LUN_VIRTUAL)) return -EINVAL;
  struct flash_context* context = find(request->context_id, getpid(), lun, false);
  struct handle* handle = context ? check_out(context, lun, HANDLE_VIRTUAL) : NULL;
  if (!handle) {
    lun_detach(lun);
    return context ? -EMFILE : -EINVAL;
  }
  int error = resize_handle(context, lun, handle, request->lun_size);
  if (error) {
    check_in(handle);
    lun_detach(lun);
    return error;
  }
  handle->scrub = request->hdr.flags & CXLFLASH_NEED_WRITE_SAME;
  request->hdr.return_flags = lun->ports & (lun->ports - 1) ? CXLFLASH_ALL_PORTS_ACTIVE : 0;
  request->rsrc_handle = (uint64_t)(handle - context->table);
  request->last_lba = last_lba_of(handle);
  return 0;
}

static int resize(struct flash_path* path, struct cxlflash_resize* request) {
  if (path->lun->mode != LUN_VIRTUAL) return -EINVAL;
  struct flash_context* context = find(request->context_id, getpid(), path->lun, true);
  struct handle* handle = context ? find_handle(context, request->rsrc_handle, path->lun) : NULL;
  if (!handle) return -EINVAL;
  int error = resize_handle(context, path->lun, handle, request->req_size);
  if (!error) request->last_lba = last_lba_of(handle);
  return error;
}

static int release(struct flash_path* path, struct cxlflash_release* request) {
  struct flash_context* context = find(request->context_id, getpid(), path->lun, true);
  struct handle* handle = context ? find_handle(context, request->rsrc_handle, path->lun) : NULL;
  return handle ? release_handle(context, path->lun, handle) : -EINVAL;
}

static int detach(struct flash_path* path, struct cxlflash_detach* request) {
  struct flash_context* context = find(request->context_id, getpid(), path->lun, true);
  if (!context) return -EINVAL;
  detach_lun(context, path->lun);
  return 0;
}

static int judge_sense(struct flash_lun* lun, const uint8_t* sense) {
  if ((sense[0] & 0x70) != 0x70) return -EINVAL;
  bool descriptor = (sense[0] & 0x7f) >= 0x72;
  int key = sense[descriptor ? 1 : 2] & 0xf;
  int code = descriptor ? sense[2] : sense[7] + 8 > 12 ? sense[12] : 0;
  if (key <= 2) return 0;
  if (key != 6) return -EIO;
  if (code == 0x29 || code == 0x2a) return read_capacity(lun) ? 0 : -ENODEV;
  return code == 0x3f ? 0 : -EIO;
}

static int verify(struct flash_path* path, struct cxlflash_verify* request) {
  struct flash_context* context = find(request->context_id, getpid(), path->lun, false);
  struct handle* handle = context ? find_handle(context, request->rsrc_handle, path->lun) : NULL;
  if (!handle) return -EINVAL;
  if (request->hint & CXLFLASH_HINT_SENSE) {
    int error = judge_sense(path->lun, request->sense_data);
    if (error) return error;
  }
  request->last_lba = path->lun->mode == LUN_VIRTUAL ? last_lba_of(handle) : path->lun->last_lba;
  return 0;
}

static int recover(struct flash_path* path, struct cxlflash_recover_afu* request) {
  struct flash_context* context = find(request->context_id, getpid(), path->lun, true);
  if (!context) return -EINVAL;
  if (!context->in_error) return 0;
  int fd = start(context);
  if (fd < 0) return fd;
  request->hdr.return_flags =
      CXLFLASH_APP_CLOSE_ADAP_FD | CXLFLASH_CONTEXT_RESET | CXLFLASH_CONTEXT_SQ_CMD_MODE;
  request->context_id = context->id;
  request->mmio_size = HOST_PAGE;
  request->adap_fd = (uint64_t)fd;
  return 0;
}

static int manage(struct flash_path* path, struct cxlflash_manage_lun* request) {
  if (request->hdr.flags & CXLFLASH_ENABLE_SUPERPIPE) {
    path->superpipe = true;
    path->lun->ports |= 1u << path->port;
  } else if (request->hdr.flags & CXLFLASH_DISABLE_SUPERPIPE) {
    if (path->lun->mode != LUN_FREE) return -EBUSY;
    path->superpipe = false;
    path->lun->ports &= ~(1u << path->port);
  }
  return 0;
}

// Only the contexts of a parent process can be cloned, and every process has a device of its
// own here: there is none to find.
static int clone(struct flash_path* path, struct cxlflash_clone* request) {
  if (request->context_id_src == request->context_id_dst) return -EINVAL;
  return find(request->context_id_src, getppid(), path->lun, false) ? -ENOSYS : -EINVAL;
}

static int perform(struct flash_path* path, unsigned long number, void* request) {
  switch (number) {
    case CXLFLASH_ATTACH:
      return attach(path, request);
    case CXLFLASH_USER_DIRECT:
      return user_direct(path, request);
    case CXLFLASH_RELEASE:
      return release(path, request);
    case CXLFLASH_DETACH:
      return detach(path, request);
    case CXLFLASH_VERIFY:
      return verify(path, request);
    case CXLFLASH_RECOVER_AFU:
      return recover(path, request);
    case CXLFLASH_MANAGE_LUN:
      return manage(path, request);
    case CXLFLASH_USER_VIRTUAL:
      return user_virtual(path, request);
    case CXLFLASH_VLUN_RESIZE:
      return resize(path, request);
    case CXLFLASH_VLUN_CLONE:
      return clone(path, request);
    default:
      return -EINVAL;
  }
}

// The LUN and the adapter's state come before the structure is looked at.
static int allowed(struct flash_path* path, unsigned long number) {
  if (number == CXLFLASH_MANAGE_LUN) return 0;
  if (!path->superpipe) return -EINVAL;
  while (flash.state == ADAPTER_RESET) device_wait();
  bool cleans =
      number == CXLFLASH_VLUN_RESIZE || number == CXLFLASH_RELEASE || number == CXLFLASH_DETACH;
  return flash.state == ADAPTER_FAILED && !cleans ? -ENODEV : 0;
}

int flash_ioctl(struct flash_path* path, unsigned long request, void* argument) {
  union {
    struct cxlflash_header hdr;
    uint8_t bytes[160];
  } copy;
  unsigned long number = (uint32_t)request;
  size_t size = _IOC_SIZE(number);
  uint64_t address = (uint64_t)(uintptr_t)argument;
  prepare();
  if (_IOC_TYPE(number) != 0xCA || size > sizeof copy) return -EINVAL;
  int error = allowed(path, number);
  if (error) return error;
  if (memory_load(&copy, address, size) < size) return -EFAULT;
  if (copy.hdr.version || copy.hdr.rsvd[0] || copy.hdr.rsvd[1] || copy.hdr.rsvd[2] ||
      copy.hdr.return_flags) {
    return -EINVAL;
  }
  error = perform(path, number, &copy);
  if (error) return error;
  return memory_store(address, &copy, size) < size ? -EFAULT : 0;
}
