// SPDX-License-Identifier: Apache-2.0

#include "image.h"

#include <errno.h>

#include "../../../native/abi/cxl.h"
#include "../afu/memory.h"

// The hypervisor's state of a transfer. It expects the whole image from each operation.
static uint64_t received;
static unsigned long operation;
static bool open_once;
static uint64_t resets;

void image_open(void) {
  // The driver's semaphore: a second opener waits until the first has closed.
  while (open_once) device_wait();
  open_once = true;
  received = 0;
  operation = 0;
}

void image_close(struct card* card) {
  open_once = false;
  device_wake();
  // The driver resets the adapter when the file is closed, and then finds its AFUs again.
  resets++;
  if (!card->present) return;
  card_unplug(card);
  card_plug(card);
}

uint64_t image_resets(void) { return resets; }

// Whether every byte can be read, as the driver copies them all.
static bool readable(uint64_t address, uint64_t size) {
  uint8_t page[4096];
  for (uint64_t done = 0; done < size; done += sizeof page) {
    size_t chunk = size - done < sizeof page ? size - done : sizeof page;
    if (memory_load(page, address + done, chunk) < chunk) return false;
  }
  return true;
}

// After validation the AFUs are gone until the reset.
static const struct {
  unsigned long request;
  void (*complete)(struct card* card);
} ioctls[] = {
    {CXL_IOCTL_DOWNLOAD_IMAGE, NULL},
    {CXL_IOCTL_VALIDATE_IMAGE, card_remove_afus},
};

static int take_chunk(struct card* card, size_t index, const struct cxl_adapter_image* image) {
  unsigned long request = ioctls[index].request;
  uint64_t header = image->flags & CXL_AI_NEED_HEADER ? CXL_AI_HEADER_SIZE : 0;
  if (image->reserved[0] || image->reserved[1] || image->reserved[2] || image->reserved[3] ||
      (image->flags & ~(uint64_t)CXL_AI_NEED_HEADER)) {
    return -EINVAL;
  }
  if (image->len_data + header > CXL_AI_MAX_CHUNK_SIZE) return -EINVAL;
  // The driver forgets to set an error for a bad address and returns 0.
  if (!readable(image->data, image->len_data)) return 0;
  if (operation != request) received = 0;
  operation = request;
  received += image->len_data;
  if (received < image->len_image) return 1;
  received = 0;
  operation = 0;
  if (ioctls[index].complete) ioctls[index].complete(card);
  return 0;
}

int image_ioctl(struct card* card, unsigned long request, void* argument) {
  struct cxl_adapter_image image;
  for (size_t i = 0; i < sizeof ioctls / sizeof *ioctls; i++) {
    if (ioctls[i].request != (uint32_t)request) continue;
    int error = copy_from_user(&image, (uint64_t)(uintptr_t)argument, sizeof image);
    return error ? error : take_chunk(card, i, &image);
  }
  return -EINVAL;
}
