// SPDX-License-Identifier: Apache-2.0

#include "ioctl.h"

#include <errno.h>
#include <stdlib.h>

#include "../afu/memory.h"

int flash_copy_in(union flash_argument* argument, unsigned long request, uint64_t address) {
  size_t size = _IOC_SIZE(request);
  if (size > sizeof *argument) abort();
  int error = copy_from_user(argument, address, size);
  if (error) return error;
  // rsvd[0] is the sub-command of a host ioctl.
  const struct cxlflash_header* header = &argument->hdr;
  bool reserved = header->version || header->rsvd[1] || header->rsvd[2] || header->return_flags;
  return reserved ? -EINVAL : 0;
}

int flash_copy_out(const union flash_argument* argument, unsigned long request, uint64_t address) {
  return copy_to_user(address, argument, _IOC_SIZE(request));
}
