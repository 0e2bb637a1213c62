// SPDX-License-Identifier: Apache-2.0

#include "image.h"

#include <errno.h>

#include "abi.h"
#include "memory.h"

// The hypervisor's view of a transfer: it wants the whole image by each operation.
static uint64_t received;
static unsigned long operation;
static bool open_once;
static uint64_t resets;

int image_open(struct card* card) {
  (void)card;
  // The driver's semaphore: a second opener waits until the first has closed.
  while (open_once) device_wait();
  open_once = true;
  received = 0;
  operation = 0;
  return 0;
}

void image_close(struct card* card) {
  open_once = false;
  device_wake();
  // Closing resets the adapter, or has the module loaded anew after a new image.
  resets++;
  if (!card->present) return;
  card_unplug(card);
  card_plug(card);
}

uint64_t image_resets(void) { return resets; }

// Reads every byte, as the driver copies them.
static bool readable(uint64_t address, uint64_t size) {
  uint8_t page[4096];
  for (uint64_t done = 0; done < size; done += sizeof page) {
    size_t chunk = size - done < sizeof page ? size - done : sizeof page;
    if (memory_load(page, address + done, chunk) < chunk) return false;
  }
  return true;
}

int image_ioctl(struct card* card, unsigned long request, void* argument) {
  struct adapter_image image;
  if ((uint32_t)request != (uint32_t)IOCTL_DOWNLOAD_IMAGE &&
      (uint32_t)request != (uint32_t)IOCTL_VALIDATE_IMAGE) {
    return -EINVAL;
  }
  uint64_t address = (uint64_t)(uintptr_t)argument;
  if (memory_load(&image, address, sizeof image) < sizeof image) return -EFAULT;
  if (image.reserved[0] || image.reserved[1] || image.reserved[2] || image.reserved[3] ||
      (image.flags & ~(uint64_t)IMAGE_NEED_HEADER)) {
    return -EINVAL;
  }
  uint64_t chunk = image.len_data + (image.flags & IMAGE_NEED_HEADER ? IMAGE_HEADER_SIZE : 0);
  if (chunk > IMAGE_CHUNK) return -EINVAL;
  // The driver forgets to set an error for a bad address: its answer is 0.
  if (!readable(image.data, image.len_data)) return 0;
  if (operation != request) received = 0;
  operation = request;
  received += image.len_data;
  if (received < image.len_image) return 1;
  received = 0;
  operation = 0;
  if ((uint32_t)request == (uint32_t)IOCTL_VALIDATE_IMAGE) card_remove_afus(card);
  return 0;
}
