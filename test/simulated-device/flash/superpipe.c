// SPDX-License-Identifier: Apache-2.0
//
// The superpipe ioctls: LUN modes, contexts, handles, chunks, recovery.

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../native/abi/cxl.h"
#include "../afu/engine.h"
#include "../calls/files.h"
#include "../calls/next.h"
#include "../trap/trap.h"
#include "adapter.h"
#include "flash.h"
#include "ioctl.h"

// How contexts that this process attaches take commands.
static enum { MODE_UNKNOWN, MODE_SQ, MODE_IOARRIN } command_mode;

int flash_set_mode(const char* name) {
  if (name && strcmp(name, "sq") == 0) {
    command_mode = MODE_SQ;
  } else if (name && strcmp(name, "ioarrin") == 0) {
    if (!TRAP_SUPPORTED) return -EOPNOTSUPP;
    command_mode = MODE_IOARRIN;
  } else {
    return -EINVAL;
  }
  return 0;
}

static bool squeue_wanted(void) {
  if (command_mode == MODE_UNKNOWN) {
    const char* name = getenv("CXLSIM_FLASH_MODE");
    int error = flash_set_mode(name ? name : "sq");
    if (error) {
      fprintf(stderr, "cxlsim: CXLSIM_FLASH_MODE=%s: %s\n", name, strerror(-error));
      abort();
    }
  }
  return command_mode == MODE_SQ;
}

static uint64_t mode_flag(struct flash_context* context) {
  return context->squeue ? CXLFLASH_CONTEXT_SQ_CMD_MODE : 0;
}

// The context is freed with its last LUN.
static void detach_lun(struct flash_context* context, struct flash_lun* lun) {
  release_handles(context, lun);
  context->luns &= ~(1u << lun_index(lun));
  if (--context->references == 0) record_free(context);
}

// A started context of the AFU and a descriptor for it.
static int start(struct flash_context* context) {
  struct context* started;
  // cxl_get_fd() makes a descriptor that blocks.
  int error = context_open(&this_process.afu, false, false, &started);
  if (error) return -ENODEV;
  struct cxl_ioctl_start_work work = {.flags = CXL_START_WORK_NUM_IRQS | CXL_START_WORK_ERR_FF,
                                      .num_interrupts = (int16_t)context->interrupts};
  error = context_start(started, &work);
  if (!error && flash->closed_contexts) {
    flash->closed_contexts--;
    error = -EAGAIN;
  }
  int fd = started->event_fd;
  started->event_fd = error ? -1 : NEXT(fcntl)(fd, F_DUPFD_CLOEXEC, 3);
  if (started->event_fd < 0) {
    NEXT(close)(fd);
    started->descriptors = 0;
    // cxl_stop_context() and cxl_release_context() free no interrupts: the card has lost them.
    started->irq_count = 0;
    context_put(started);
    return error ? error : -ENODEV;
  }
  struct context* replaced = context_of(context);
  if (replaced) replaced->unmappable = true;
  this_process.contexts[record_index(context)] = started;
  started->anonymous = started->paged = true;
  context->id = (uint64_t)context->cookie << 32 | (uint32_t)started->pe;
  context->in_error = false;
  started->trapped = context->squeue ? NULL : &host_page;
  sislite_attach(context);
  return file_adopt(started, fd);
}

static int attach(const struct flash_path* path, void* argument) {
  struct cxlflash_attach* request = argument;
  struct flash_lun* lun = lun_of(path);
  struct flash_context* context;
  int fd = -1;
  if (request->num_interrupts > 4) return -EINVAL;
  if (!lun->last_lba && !read_capacity(lun)) return -ENODEV;
  if (request->hdr.flags & CXLFLASH_REUSE_CONTEXT) {
    context = record_find(request->context_id, getpid(), NULL, false);
    if (!context || record_reaches(context, lun)) return -EINVAL;
    context->references++;
  } else {
    context = record_new(getpid());
    if (!context) return -ENODEV;
    context->permissions = (uint32_t)(request->hdr.flags + 1) & 3;
    context->interrupts = (int)request->num_interrupts;
    context->references = 1;
    context->squeue = squeue_wanted();
    fd = start(context);
    if (fd < 0) {
      record_free(context);
      return fd;
    }
  }
  context->luns |= 1u << lun_index(lun);
  request->hdr.return_flags = mode_flag(context) | (fd >= 0 ? CXLFLASH_APP_CLOSE_ADAP_FD : 0);
  request->context_id = context->id;
  request->mmio_size = SISL_HOST_MAP_SIZE;
  request->block_size = lun->block_size;
  request->adap_fd = (uint64_t)(int64_t)fd;
  request->last_lba = lun->last_lba;
  request->max_xfer = 16777216 / lun->block_size;
  return 0;
}

static int user_direct(const struct flash_path* path, void* argument) {
  struct cxlflash_udirect* request = argument;
  struct flash_lun* lun = lun_of(path);
  if (!lun_attach(lun, LUN_PHYSICAL)) return -EINVAL;
  struct flash_context* context = record_find(request->context_id, getpid(), lun, false);
  struct handle* handle = context ? check_out(context, lun, HANDLE_PHYSICAL) : NULL;
  if (!handle) {
    lun_detach(lun);
    return context ? -EMFILE : -EINVAL;
  }
  handle->ports = 1u << path->port;
  if (!sync_afu()) {
    release_handle(context, lun, handle);
    return -EAGAIN;
  }
  request->rsrc_handle = (uint64_t)(handle - handles_of(context));
  request->last_lba = lun->last_lba;
  return 0;
}

static int user_virtual(const struct flash_path* path, void* argument) {
  struct cxlflash_uvirtual* request = argument;
  struct flash_lun* lun = lun_of(path);
  if (lun->mode == LUN_FREE && !total_chunks(lun)) return -ENOMEM;
  if (!lun_attach(lun, LUN_VIRTUAL)) return -EINVAL;
  int full = lun_enter_table(lun);
  if (full) {
    lun_detach(lun);
    return full;
  }
  struct flash_context* context = record_find(request->context_id, getpid(), lun, false);
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
  request->rsrc_handle = (uint64_t)(handle - handles_of(context));
  request->last_lba = last_lba_of(handle);
  return 0;
}

static int resize(const struct flash_path* path, void* argument) {
  struct cxlflash_resize* request = argument;
  struct flash_lun* lun = lun_of(path);
  if (lun->mode != LUN_VIRTUAL) return -EINVAL;
  struct flash_context* context = record_find(request->context_id, getpid(), lun, true);
  struct handle* handle = context ? find_handle(context, request->rsrc_handle, lun) : NULL;
  if (!handle) return -EINVAL;
  int error = resize_handle(context, lun, handle, request->req_size);
  if (!error) request->last_lba = last_lba_of(handle);
  return error;
}

static int release(const struct flash_path* path, void* argument) {
  struct cxlflash_release* request = argument;
  struct flash_lun* lun = lun_of(path);
  struct flash_context* context = record_find(request->context_id, getpid(), lun, true);
  struct handle* handle = context ? find_handle(context, request->rsrc_handle, lun) : NULL;
  return handle ? release_handle(context, lun, handle) : -EINVAL;
}

static int detach(const struct flash_path* path, void* argument) {
  struct cxlflash_detach* request = argument;
  struct flash_lun* lun = lun_of(path);
  struct flash_context* context = record_find(request->context_id, getpid(), lun, true);
  if (!context) return -EINVAL;
  detach_lun(context, lun);
  return 0;
}

static int check_sense(struct flash_lun* lun, const uint8_t* sense) {
  if ((sense[0] & 0x70) != 0x70) return -EINVAL;
  bool descriptor = (sense[0] & 0x7f) >= 0x72;
  int key = sense[descriptor ? 1 : 2] & 0xf;
  int code = descriptor ? sense[2] : sense[7] + 8 > 12 ? sense[12] : 0;
  if (key <= 2) return 0;
  if (key != 6) return -EIO;
  if (code == 0x29 || code == 0x2a) return read_capacity(lun) ? 0 : -ENODEV;
  return code == 0x3f ? 0 : -EIO;
}

static int verify(const struct flash_path* path, void* argument) {
  struct cxlflash_verify* request = argument;
  struct flash_lun* lun = lun_of(path);
  struct flash_context* context = record_find(request->context_id, getpid(), lun, false);
  struct handle* handle = context ? find_handle(context, request->rsrc_handle, lun) : NULL;
  if (!handle) return -EINVAL;
  if (request->hint & CXLFLASH_HINT_SENSE) {
    int error = check_sense(lun, request->sense_data);
    if (error) return error;
  }
  request->last_lba = lun->mode == LUN_VIRTUAL ? last_lba_of(handle) : lun->last_lba;
  return 0;
}

// 0, or -ENODEV when the adapter has failed.
static int wait_for_reset(void) {
  while (flash->state == ADAPTER_RESET) {
    // The engine's thread also notices the end of a reset by another process.
    engine_wake();
    flash_unlock();
    device_wait();
    flash_lock();
  }
  return flash->state == ADAPTER_FAILED ? -ENODEV : 0;
}

// How long RECOVER_AFU waits after it has read all ones.
#define NOTICE_MS 1000

static int recover(const struct flash_path* path, void* argument) {
  struct cxlflash_recover_afu* request = argument;
  struct flash_lun* lun = lun_of(path);
  struct flash_context* context;
  for (;;) {
    context = record_find(request->context_id, getpid(), lun, true);
    if (!context) return -EINVAL;
    if (context->in_error) break;
    if (!reads_all_ones()) return 0;
    // An error that nobody has noticed: the driver gives its handler a second to begin the reset.
    flash_unlock();
    device_unlock();
    sleep_ms(NOTICE_MS);
    device_lock();
    flash_lock();
    int error = wait_for_reset();
    if (error) return error;
  }
  int fd = start(context);
  if (fd < 0) return fd;
  request->hdr.return_flags =
      CXLFLASH_APP_CLOSE_ADAP_FD | CXLFLASH_CONTEXT_RESET | mode_flag(context);
  request->context_id = context->id;
  request->mmio_size = SISL_HOST_MAP_SIZE;
  request->adap_fd = (uint64_t)fd;
  return 0;
}

static int manage(const struct flash_path* path, void* argument) {
  struct cxlflash_manage_lun* request = argument;
  struct flash_lun* lun = lun_of(path);
  bool* superpipe = &flash->superpipe[path - flash_paths];
  if (request->hdr.flags & CXLFLASH_ENABLE_SUPERPIPE) {
    *superpipe = true;
    lun->ports |= 1u << path->port;
  } else if (request->hdr.flags & CXLFLASH_DISABLE_SUPERPIPE) {
    if (lun->mode != LUN_FREE) return -EBUSY;
    *superpipe = false;
    lun->ports &= ~(1u << path->port);
    if (!lun->ports) lun->in_table = false;
  }
  return 0;
}

static int clone_context(const struct flash_path* path, void* argument) {
  struct cxlflash_clone* request = argument;
  struct flash_lun* lun = lun_of(path);
  if (request->context_id_src == request->context_id_dst) return -EINVAL;
  if (lun->mode != LUN_VIRTUAL) return -EINVAL;
  struct flash_context* source = record_find(request->context_id_src, getppid(), lun, false);
  struct flash_context* target = record_find(request->context_id_dst, getpid(), lun, false);
  return source && target ? clone_handles(source, target, lun) : -EINVAL;
}

enum {
  LEGACY_MODE = 1,    // works without superpipe, and with an adapter that has failed
  FAILED_ADAPTER = 2  // works with an adapter that has failed, to release what a context has
};

static const struct flash_ioctl {
  unsigned long request;
  int (*handler)(const struct flash_path* path, void* argument);
  unsigned allowed;
} ioctls[] = {
    {CXLFLASH_ATTACH, attach, 0},
    {CXLFLASH_USER_DIRECT, user_direct, 0},
    {CXLFLASH_RELEASE, release, FAILED_ADAPTER},
    {CXLFLASH_DETACH, detach, FAILED_ADAPTER},
    {CXLFLASH_VERIFY, verify, 0},
    {CXLFLASH_RECOVER_AFU, recover, 0},
    {CXLFLASH_MANAGE_LUN, manage, LEGACY_MODE},
    {CXLFLASH_USER_VIRTUAL, user_virtual, 0},
    {CXLFLASH_VLUN_RESIZE, resize, FAILED_ADAPTER},
    {CXLFLASH_VLUN_CLONE, clone_context, 0},
};

static const struct flash_ioctl* find_ioctl(unsigned long request) {
  for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls; i++) {
    if (ioctls[i].request == (uint32_t)request) return &ioctls[i];
  }
  return NULL;
}

// Checks the state of the LUN and of the adapter, before the program's structure is read.
static int check_state(const struct flash_path* path, unsigned allowed) {
  if (flash->removed) return -ENODEV;
  if (allowed & LEGACY_MODE) return 0;
  if (!flash->superpipe[path - flash_paths]) return -EINVAL;
  int error = wait_for_reset();
  return allowed & FAILED_ADAPTER ? 0 : error;
}

static int call(const struct flash_path* path, const struct flash_ioctl* ioctl, uint64_t address) {
  union flash_argument copy;
  int error = check_state(path, ioctl->allowed);
  if (!error) error = flash_copy_in(&copy, ioctl->request, address);
  if (!error && copy.hdr.rsvd[0]) error = -EINVAL;
  if (!error) error = ioctl->handler(path, &copy);
  return error ? error : flash_copy_out(&copy, ioctl->request, address);
}

int flash_ioctl(const struct flash_path* path, unsigned long request, void* argument) {
  const struct flash_ioctl* ioctl = find_ioctl(request);
  if (!ioctl) return -EINVAL;
  flash_lock();
  records_sweep(0);
  int error = call(path, ioctl, (uint64_t)(uintptr_t)argument);
  flash_unlock();
  return error;
}
