// SPDX-License-Identifier: Apache-2.0
//
// The ioctls of a context's file. A new one is a handler and its entry in the table below.

#include <errno.h>

#include "../../../native/abi/cxl.h"
#include "../afu/memory.h"
#include "context.h"

static int start_work(struct context* context, uint64_t argument) {
  struct cxl_ioctl_start_work work;
  int error = copy_from_user(&work, argument, sizeof work);
  if (!error) error = context_start(context, &work);
  if (error || !(work.flags & CXL_START_WORK_TID)) return error;
  return copy_to_user(argument, &work, sizeof work);
}

static int get_process_element(struct context* context, uint64_t argument) {
  uint32_t element = (uint32_t)context->external_pe;
  return copy_to_user(argument, &element, sizeof element);
}

static int get_afu_id(struct context* context, uint64_t argument) {
  struct afu* afu = context->afu;
  bool slave = afu->mode == MODE_DIRECTED && !context->master;
  struct cxl_afu_id id = {
      .flags = slave ? CXL_AFUID_FLAG_SLAVE : 0,
      .card_id = (uint32_t)afu->card->number,
      .afu_offset = 0,
      .afu_mode = afu->mode,
  };
  return context->without_id ? -EINVAL : copy_to_user(argument, &id, sizeof id);
}

static const struct {
  unsigned long request;
  int (*handler)(struct context* context, uint64_t argument);
} ioctls[] = {
    {CXL_IOCTL_START_WORK, start_work},
    {CXL_IOCTL_GET_PROCESS_ELEMENT, get_process_element},
    {CXL_IOCTL_GET_AFU_ID, get_afu_id},
};

int context_ioctl(struct context* context, unsigned long request, void* argument) {
  device_tick();
  if (context->status == CLOSED || !context->afu->card->link_up) return -EIO;
  for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls; i++) {
    if (ioctls[i].request != (uint32_t)request) continue;
    return ioctls[i].handler(context, (uint64_t)(uintptr_t)argument);
  }
  return -EINVAL;
}
