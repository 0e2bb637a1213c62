// SPDX-License-Identifier: Apache-2.0
//
// The paths of the adapter: the nodes and attributes of its LUNs, and where they are mounted.

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../calls/next.h"
#include "adapter.h"
#include "flash.h"

#define CARD "/sys/devices/pci0008:00"
#define HOST "host20"
#define MOUNTS "/proc/self/mounts"
#define PLACE_SIZE 256

// Names that no disk of the machine is likely to have.
static const struct {
  const char* generic;
  const char* block;
} names[FLASH_PATHS] = {{"sg90", "sdya"}, {"sg91", "sdyb"}, {"sg92", "sdyc"}, {"sg93", "sdyd"},
                        {"sg94", "sdye"}, {"sg95", "sdyf"}, {"sg96", "sdyg"}, {"sg97", "sdyh"}};

static const char* const folders[] = {"/sys/class/scsi_device", "/sys/class/scsi_generic",
                                      "/sys/class/scsi_host", "/sys/class/cxlflash", CARD};

// More lines of /proc/self/mounts, or NULL.
static const char* mounts(void) { return getenv("CXLSIM_MOUNTS"); }

static bool below(const char* path, const char* folder) {
  size_t length = strlen(folder);
  return strncmp(path, folder, length) == 0 && (!path[length] || path[length] == '/');
}

static bool block_folder(const char* path) {
  for (int i = 0; i < FLASH_PATHS; i++) {
    char place[PLACE_SIZE];
    snprintf(place, sizeof place, "/sys/class/block/%s", names[i].block);
    if (below(path, place)) return true;
  }
  return false;
}

bool flash_ours(const char* path) {
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
    if (below(path, folders[i])) return true;
  }
  if (strcmp(path, MOUNTS) == 0) return mounts() != NULL;
  return strcmp(path, FLASH_HOST_NODE) == 0 || block_folder(path) || flash_find(path) != NULL;
}

const struct flash_path* flash_find(const char* node) {
  if (strncmp(node, "/dev/", 5)) return NULL;
  for (int i = 0; i < FLASH_PATHS; i++) {
    if (strcmp(names[i].generic, node + 5) == 0 || strcmp(names[i].block, node + 5) == 0) {
      return &flash_paths[i];
    }
  }
  return NULL;
}

static void device_folder(int i, char* out) {
  int port = flash_paths[i].port, target = flash_paths[i].lun;
  snprintf(out, PLACE_SIZE, CARD "/0008:00:00.0/" HOST "/target20:%d:%d/20:%d:%d:0", port, target,
           port, target);
}

// The folder of a class device, its link `device`, and the link to it in the folder of the class.
static void put_in_class(const struct tree_maker* make, const char* device, const char* class,
                         const char* name) {
  char folder[PLACE_SIZE + 32], place[PLACE_SIZE + 64];
  snprintf(folder, sizeof folder, "%s/%s/%s", device, class, name);
  make->folder(folder);
  snprintf(place, sizeof place, "%s/device", folder);
  make->link(place, device);
  snprintf(place, sizeof place, "/sys/class/%s", class);
  make->folder(place);
  snprintf(place, sizeof place, "/sys/class/%s/%s", class, name);
  make->link(place, folder);
}

static void put_path(const struct tree_maker* make, int i) {
  char device[PLACE_SIZE], place[PLACE_SIZE + 32], text[64];
  device_folder(i, device);
  const char* address = strrchr(device, '/') + 1;
  put_in_class(make, device, "scsi_device", address);
  put_in_class(make, device, "scsi_generic", names[i].generic);
  put_in_class(make, device, "block", names[i].block);
  snprintf(text, sizeof text, "naa.%s\n", lun_names[flash_paths[i].lun]);
  snprintf(place, sizeof place, "%s/wwid", device);
  make->text(place, text);
  snprintf(place, sizeof place, "%s/vendor", device);
  make->text(place, "IBM     \n");
  snprintf(place, sizeof place, "%s/model", device);
  make->text(place, "FlashSystem     \n");
  snprintf(place, sizeof place, "%s/mode", device);
  make->text(place, "");
  snprintf(place, sizeof place, "/dev/%s", names[i].generic);
  make->text(place, "");
  snprintf(place, sizeof place, "/dev/%s", names[i].block);
  make->text(place, "");
}

static void put_mounts(const struct tree_maker* make) {
  char text[65536];
  int fd = NEXT(open)(MOUNTS, O_RDONLY | O_CLOEXEC);
  ssize_t length = 0, part;
  while (fd >= 0 && (size_t)length < sizeof text / 2 &&
         (part = NEXT(read)(fd, text + length, sizeof text / 2 - (size_t)length)) > 0) {
    length += part;
  }
  if (fd >= 0) NEXT(close)(fd);
  snprintf(text + length, sizeof text - (size_t)length, "%s\n", mounts());
  make->folder("/proc/self");
  make->text(MOUNTS, text);
}

void flash_tree(const struct tree_maker* make) {
  make->folder("/sys/class/scsi_host/" HOST);
  make->text("/sys/class/scsi_host/" HOST "/proc_name", "cxlflash\n");
  make->folder("/sys/class/cxlflash/cxlflash0");
  make->folder("/dev/cxlflash");
  make->text(FLASH_HOST_NODE, "");
  for (int i = 0; i < FLASH_PATHS; i++) put_path(make, i);
  if (mounts()) put_mounts(make);
}

const char* flash_attribute(const char* path) {
  for (int i = 0; i < FLASH_PATHS; i++) {
    char place[PLACE_SIZE];
    device_folder(i, place);
    size_t length = strlen(place);
    if (strncmp(path, place, length) || strcmp(path + length, "/mode")) continue;
    flash_lock();
    bool superpipe = flash->superpipe[i];
    flash_unlock();
    return superpipe ? "superpipe\n" : "legacy\n";
  }
  return NULL;
}
