// SPDX-License-Identifier: Apache-2.0
//
// What the block device is measured against: the same ioctls and the same commands, from C,
// polling the response ring. Usage: flash-loop NODE DEPTH SECONDS. Prints commands a
// second.

#define _GNU_SOURCE
#include <endian.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../../native/abi/cxlflash.h"

#define BLOCK 4096
#define MOST_DEPTH 1024

struct slot {
  uint16_t context, flags;
  uint32_t handle;
  uint64_t lun_id;
  uint32_t data_length, ioadl_length;
  uint64_t data;
  uint8_t interrupt, queue;
  uint16_t timeout;
  uint32_t reserved;
  uint8_t cdb[16];
  uint64_t status_address;
  uint8_t status[64];
} __attribute__((packed, aligned(128)));

static struct slot slots[MOST_DEPTH];
static uint8_t ring[MOST_DEPTH + 1][64] __attribute__((aligned(64)));
static volatile uint64_t responses[MOST_DEPTH] __attribute__((aligned(64)));
static uint8_t data[MOST_DEPTH][BLOCK] __attribute__((aligned(4096)));
static volatile uint64_t* page;
static int depth;

static void call(int fd, unsigned long request, void* argument, const char* name) {
  if (ioctl(fd, request, argument) == 0) return;
  perror(name);
  exit(1);
}

static void store(unsigned offset, uint64_t value) {
  __sync_synchronize();
  page[offset / 8] = htobe64(value);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int tail;

static void issue(int number, uint64_t lba) {
  struct slot* slot = &slots[number];
  uint64_t be_lba = htobe64(lba);
  uint32_t be_blocks = htobe32(1);
  memset(slot->status, 0, sizeof slot->status);
  memcpy(slot->cdb + 2, &be_lba, sizeof be_lba);
  memcpy(slot->cdb + 10, &be_blocks, sizeof be_blocks);
  memcpy(ring[tail], slot, sizeof ring[tail]);
  tail = (tail + 1) % (depth + 1);
  store(0x68, (uintptr_t)ring[tail]);
}

int main(int count, char** words) {
  if (count != 4) return 2;
  depth = atoi(words[2]);
  double seconds = atof(words[3]);
  struct cxlflash_manage_lun manage = {.hdr.flags = CXLFLASH_ENABLE_SUPERPIPE};
  struct cxlflash_attach attach = {.hdr.flags = O_RDWR, .num_interrupts = 4};
  struct cxlflash_udirect direct = {0};
  struct cxlflash_detach detach = {0};
  int fd = open(words[1], O_RDWR);
  call(fd, CXLFLASH_MANAGE_LUN, &manage, "MANAGE_LUN");
  call(fd, CXLFLASH_ATTACH, &attach, "ATTACH");
  direct.context_id = detach.context_id = attach.context_id;
  call(fd, CXLFLASH_USER_DIRECT, &direct, "USER_DIRECT");
  int adapter = (int)attach.adap_fd;
  page = mmap(NULL, attach.mmio_size, PROT_READ | PROT_WRITE, MAP_SHARED, adapter, 0);
  if (page == MAP_FAILED || !(attach.hdr.return_flags & CXLFLASH_CONTEXT_SQ_CMD_MODE)) return 1;

  for (int i = 0; i < depth; i++) {
    slots[i].context = (uint16_t)attach.context_id;
    slots[i].flags = 0x8000;
    slots[i].handle = (uint32_t)direct.rsrc_handle;
    slots[i].data_length = BLOCK;
    slots[i].data = (uintptr_t)data[i];
    slots[i].cdb[0] = 0x88;
    slots[i].status_address = (uintptr_t)slots[i].status;
  }
  store(0x00, __BYTE_ORDER == __BIG_ENDIAN ? 0x8000000000000080ull : 0);
  store(0x28, (uintptr_t)responses);
  store(0x30, (uintptr_t)&responses[depth - 1]);
  store(0x50, (uintptr_t)ring[0]);
  store(0x58, (uintptr_t)ring[depth]);

  uint64_t lba = 0, done = 0, toggle = 1;
  int next = 0;
  for (int i = 0; i < depth; i++) issue(i, lba++ % attach.last_lba);
  double start = now(), end = start + seconds;
  while (done % 64 || now() < end) {
    uint64_t entry = responses[next];
    if ((entry & 1) != toggle) {
      // The device needs a processor too.
      sched_yield();
      continue;
    }
    __sync_synchronize();
    int number = (int)((struct slot*)((entry & ~1ull) - offsetof(struct slot, status)) - slots);
    if (slots[number].status[0] | slots[number].status[1] | slots[number].status[2]) return 1;
    if (++next == depth) {
      next = 0;
      toggle ^= 1;
    }
    done++;
    issue(number, lba++ % attach.last_lba);
  }
  printf("%.0f\n", (double)done / (now() - start));
  munmap((void*)(uintptr_t)page, attach.mmio_size);
  call(fd, CXLFLASH_DETACH, &detach, "DETACH");
  close(adapter);
  return 0;
}
