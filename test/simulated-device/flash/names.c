// SPDX-License-Identifier: Apache-2.0
//
// The paths of the adapter: the nodes and attributes of its LUNs, and where they are mounted.

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../calls/next.h"
#include "adapter.h"
#include "flash.h"

// The card's PCI function, and the one that the cxl driver makes of its AFU, which cxlflash drives.
#define ROOT "/sys/devices/pci0008:00"
#define BRIDGE ROOT "/0008:00:00.0"
#define CARD BRIDGE "/0008:01:00.0"
#define ADAPTER CARD "/pci0009:00/0009:00:00.0"
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
                                      "/sys/class/scsi_host", "/sys/class/cxlflash", ROOT};

// More lines of /proc/self/mounts, or NULL.
static const char* mounts(void) { return getenv("CXLSIM_MOUNTS"); }

static bool below(const char* path, const char* folder) {
  size_t length = strlen(folder);
  return strncmp(path, folder, length) == 0 && (!path[length] || path[length] == '/');
}

// The folders of block devices hold those of the machine too.
static bool block_folder(const char* path) {
  for (int i = 0; i < FLASH_PATHS; i++) {
    char place[PLACE_SIZE];
    snprintf(place, sizeof place, "/sys/class/block/%s", names[i].block);
    if (below(path, place)) return true;
    snprintf(place, sizeof place, "/sys/block/%s", names[i].block);
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
  snprintf(out, PLACE_SIZE, ADAPTER "/" HOST "/target20:%d:%d/20:%d:%d:0", port, target, port,
           target);
}

static void put_text(const struct tree_maker* make, const char* folder, const char* name,
                     const char* format, ...) {
  char place[PLACE_SIZE + 96], text[256];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  snprintf(place, sizeof place, "%s/%s", folder, name);
  make->file(place, text, (size_t)size);
}

static void put_link(const struct tree_maker* make, const char* folder, const char* name,
                     const char* to) {
  char place[PLACE_SIZE + 64];
  snprintf(place, sizeof place, "%s/%s", folder, name);
  make->link(place, to);
}

// The folder of a class device, its links and `uevent`, and the links to it in the folder of the
// class.
static void put_in_class(const struct tree_maker* make, const char* device, const char* class,
                         const char* name, const char* uevent, char out[PLACE_SIZE + 64]) {
  char folder[PLACE_SIZE];
  snprintf(out, PLACE_SIZE + 64, "%s/%s/%s", device, class, name);
  make->folder(out);
  put_link(make, out, "device", device);
  snprintf(folder, sizeof folder, "/sys/class/%s", class);
  make->folder(folder);
  put_link(make, out, "subsystem", folder);
  put_text(make, out, "uevent", "%s", uevent);
  put_link(make, folder, name, out);
}

// A page of vital product data: its header and its content.
static void put_page(const struct tree_maker* make, const char* device, int number,
                     const uint8_t* content, uint8_t size) {
  uint8_t page[64] = {0, (uint8_t)number, 0, size};
  char place[PLACE_SIZE + 32];
  memcpy(page + 4, content, size);
  snprintf(place, sizeof place, "%s/vpd_pg%02x", device, number);
  make->file(place, (const char*)page, 4 + (size_t)size);
}

static void put_vital_data(const struct tree_maker* make, const char* device, const char* wwid) {
  // One descriptor: binary, of the logical unit, type NAA, 16 bytes.
  uint8_t identification[20] = {0x01, 0x03, 0x00, 16};
  for (int i = 0; i < 16; i++) {
    sscanf(wwid + 2 * (size_t)i, "%2hhx", &identification[4 + i]);
  }
  put_page(make, device, 0x80, (const uint8_t*)wwid, 32);
  put_page(make, device, 0x83, identification, sizeof identification);
}

#define SECTOR_SIZE 512
#define FIRST_GENERIC 90
#define GENERIC_MAJOR 21
#define BLOCK_MAJOR 259

static void put_block(const struct tree_maker* make, const char* device, int i) {
  char folder[PLACE_SIZE + 64], queue[PLACE_SIZE + 96], uevent[128];
  const char* name = names[i].block;
  unsigned size = flash_block_size(flash_paths[i].lun);
  snprintf(uevent, sizeof uevent, "MAJOR=%d\nMINOR=%d\nDEVNAME=%s\nDEVTYPE=disk\n", BLOCK_MAJOR,
           16 * i, name);
  put_in_class(make, device, "block", name, uevent, folder);
  make->folder("/sys/block");
  put_link(make, "/sys/block", name, folder);
  put_text(make, folder, "dev", "%d:%d\n", BLOCK_MAJOR, 16 * i);
  put_text(make, folder, "size", "");
  put_text(make, folder, "ro", "0\n");
  put_text(make, folder, "removable", "0\n");
  snprintf(queue, sizeof queue, "%s/queue", folder);
  make->folder(queue);
  put_text(make, queue, "logical_block_size", "%u\n", size);
  put_text(make, queue, "physical_block_size", "%u\n", size);
  put_text(make, queue, "max_sectors_kb", "16384\n");
  put_text(make, queue, "max_hw_sectors_kb", "16384\n");
  put_text(make, queue, "rotational", "0\n");
  snprintf(queue, sizeof queue, "/dev/%s", name);
  make->file(queue, "", 0);
}

static void put_path(const struct tree_maker* make, int i) {
  char device[PLACE_SIZE], folder[PLACE_SIZE + 64], uevent[128];
  device_folder(i, device);
  make->folder(device);
  put_in_class(make, device, "scsi_device", strrchr(device, '/') + 1, "", folder);
  snprintf(uevent, sizeof uevent, "MAJOR=%d\nMINOR=%d\nDEVNAME=%s\n", GENERIC_MAJOR,
           FIRST_GENERIC + i, names[i].generic);
  put_in_class(make, device, "scsi_generic", names[i].generic, uevent, folder);
  put_text(make, folder, "dev", "%d:%d\n", GENERIC_MAJOR, FIRST_GENERIC + i);
  put_block(make, device, i);
  put_link(make, device, "subsystem", "/sys/bus/scsi");
  put_text(make, device, "uevent", "DEVTYPE=scsi_device\nDRIVER=sd\nMODALIAS=scsi:t-0x00\n");
  put_text(make, device, "wwid", "naa.%s\n", lun_names[flash_paths[i].lun]);
  put_text(make, device, "vendor", "IBM     \n");
  put_text(make, device, "model", "FlashSystem     \n");
  put_text(make, device, "rev", "0000\n");
  put_text(make, device, "type", "0\n");
  put_text(make, device, "state", "running\n");
  put_text(make, device, "mode", "");
  put_vital_data(make, device, lun_names[flash_paths[i].lun]);
  snprintf(folder, sizeof folder, "/dev/%s", names[i].generic);
  make->file(folder, "", 0);
}

static void put_function(const struct tree_maker* make, const char* folder, unsigned device,
                         unsigned class, unsigned subsystem, const char* driver) {
  const char* slot = strrchr(folder, '/') + 1;
  char place[64];
  make->folder(folder);
  make->folder("/sys/bus/pci");
  put_link(make, folder, "subsystem", "/sys/bus/pci");
  put_text(make, folder, "vendor", "0x1014\n");
  put_text(make, folder, "device", "0x%04x\n", device);
  put_text(make, folder, "class", "0x%06x\n", class);
  put_text(make, folder, "subsystem_vendor", "0x1014\n");
  put_text(make, folder, "subsystem_device", "0x%04x\n", subsystem);
  put_text(make, folder, "revision", "0x00\n");
  put_text(make, folder, "enable", "1\n");
  put_text(make, folder, "irq", "0\n");
  put_text(make, folder, "numa_node", "0\n");
  put_text(make, folder, "uevent",
           "%s%s%sPCI_CLASS=%X\nPCI_ID=1014:%04X\nPCI_SUBSYS_ID=1014:%04X\nPCI_SLOT_NAME=%s\n",
           driver ? "DRIVER=" : "", driver ? driver : "", driver ? "\n" : "", class, device,
           subsystem, slot);
  if (!driver) return;
  snprintf(place, sizeof place, "/sys/bus/pci/drivers/%s", driver);
  make->folder(place);
  put_link(make, folder, "driver", place);
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
  make->file(MOUNTS, text, strlen(text));
}

void flash_tree(const struct tree_maker* make) {
  put_function(make, BRIDGE, 0x03dc, 0x060400, 0x04a9, "pcieport");
  put_function(make, CARD, 0x0601, 0x120000, 0x0666, "cxl-pci");
  put_function(make, ADAPTER, 0x0600, 0x010000, 0x0000, "cxlflash");
  make->folder(ADAPTER "/" HOST "/scsi_host/" HOST);
  make->folder("/sys/class/scsi_host");
  put_link(make, "/sys/class/scsi_host", HOST, ADAPTER "/" HOST "/scsi_host/" HOST);
  put_link(make, ADAPTER "/" HOST "/scsi_host/" HOST, "device", ADAPTER "/" HOST);
  put_text(make, ADAPTER "/" HOST "/scsi_host/" HOST, "proc_name", "cxlflash\n");
  make->folder("/sys/class/cxlflash/cxlflash0");
  make->folder("/dev/cxlflash");
  make->file(FLASH_HOST_NODE, "", 0);
  for (int i = 0; i < FLASH_PATHS; i++) put_path(make, i);
  if (mounts()) put_mounts(make);
}

// The part of a path after the folder of a LUN, or NULL.
static const char* in_device(const char* path, int i) {
  char place[PLACE_SIZE];
  device_folder(i, place);
  size_t length = strlen(place);
  return strncmp(path, place, length) || path[length] != '/' ? NULL : path + length + 1;
}

const char* flash_attribute(const char* path) {
  static char text[32];  // guarded by the device lock
  for (int i = 0; i < FLASH_PATHS; i++) {
    const char* name = in_device(path, i);
    char size[32];
    if (!name) continue;
    snprintf(size, sizeof size, "block/%s/size", names[i].block);
    bool mode = strcmp(name, "mode") == 0;
    if (!mode && strcmp(name, size)) continue;
    flash_lock();
    const struct flash_lun* lun = lun_of(&flash_paths[i]);
    uint64_t sectors = lun->blocks * (lun->block_size / SECTOR_SIZE);
    snprintf(text, sizeof text, "%llu\n", (unsigned long long)sectors);
    if (mode) strcpy(text, flash->superpipe[i] ? "superpipe\n" : "legacy\n");
    flash_unlock();
    return text;
  }
  return NULL;
}
