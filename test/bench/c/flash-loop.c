// SPDX-License-Identifier: Apache-2.0
//
// The block device is compared with this program: the same ioctls and commands in C. Completions
// are noticed as the block device notices them: by polling the response ring, or by interrupts
// (poll() and read() of the adapter's descriptor). Prints commands a second.
// Usage: flash-loop NODE DEPTH SECONDS poll|interrupt

#define _GNU_SOURCE
#include <endian.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../../../native/abi/cxlflash.h"
#include "../../simulated-device/flash/sislite.h"

#define BLOCK 4096
#define MAX_DEPTH 1024
#define RESPONSE_INTERRUPT 2
#define SYNC_ERROR_INTERRUPT 1

struct slot {
  struct sisl_ioarcb command;
  struct sisl_ioasa status;
} __attribute__((aligned(128)));

static struct slot slots[MAX_DEPTH];
static struct sisl_ioarcb ring[MAX_DEPTH + 1] __attribute__((aligned(64)));
static volatile uint64_t responses[MAX_DEPTH] __attribute__((aligned(64)));
static uint8_t data[MAX_DEPTH][BLOCK] __attribute__((aligned(4096)));
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

/** Sleeps until the adapter raises an interrupt, and reads what is pending. */
static void wait_for_interrupt(int adapter) {
  static uint8_t events[4096];
  struct pollfd wait = {.fd = adapter, .events = POLLIN};
  if (poll(&wait, 1, -1) != 1 || read(adapter, events, sizeof events) < 0) {
    perror("wait");
    exit(1);
  }
}

static int tail;

static void issue(int number, uint64_t lba) {
  struct slot* slot = &slots[number];
  uint64_t be_lba = htobe64(lba);
  uint32_t be_blocks = htobe32(1);
  memset(&slot->status, 0, sizeof slot->status);
  memcpy(slot->command.cdb + 2, &be_lba, sizeof be_lba);
  memcpy(slot->command.cdb + 10, &be_blocks, sizeof be_blocks);
  ring[tail] = slot->command;
  tail = (tail + 1) % (depth + 1);
  store(SISL_SQ_TAIL, (uintptr_t)&ring[tail]);
}

int main(int count, char** words) {
  if (count != 5) return 2;
  depth = atoi(words[2]);
  double seconds = atof(words[3]);
  int by_interrupts = strcmp(words[4], "interrupt") == 0;
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
    slots[i].command = (struct sisl_ioarcb){.ctx_id = (uint16_t)attach.context_id,
                                            .req_flags = SISL_REQ_FLAGS_RES_HNDL,
                                            .res_hndl = (uint32_t)direct.rsrc_handle,
                                            .data_len = BLOCK,
                                            .data_ea = (uintptr_t)data[i],
                                            .msi = RESPONSE_INTERRUPT,
                                            .cdb[0] = SCSI_READ_16,
                                            .ioasa = (uintptr_t)&slots[i].status};
  }
  store(SISL_ENDIAN_CTRL, SISL_ENDIAN_CTRL_HOST);
  store(SISL_RRQ_START, (uintptr_t)responses);
  store(SISL_RRQ_END, (uintptr_t)&responses[depth - 1]);
  store(SISL_SQ_START, (uintptr_t)&ring[0]);
  store(SISL_SQ_END, (uintptr_t)&ring[depth]);
  store(SISL_CTX_CTRL, SYNC_ERROR_INTERRUPT);

  uint64_t lba = 0, done = 0, toggle = 1;
  int next = 0;
  for (int i = 0; i < depth; i++) issue(i, lba++ % attach.last_lba);
  double start = now(), end = start + seconds;
  while (done % 64 || now() < end) {
    uint64_t entry = responses[next];
    if ((entry & SISL_RESP_HANDLE_T_BIT) != toggle) {
      // Without an interrupt: the device may need this processor.
      if (by_interrupts)
        wait_for_interrupt(adapter);
      else
        sched_yield();
      continue;
    }
    __sync_synchronize();
    uint64_t status = entry & ~SISL_RESP_HANDLE_T_BIT;
    int number = (int)((struct slot*)(status - offsetof(struct slot, status)) - slots);
    const struct sisl_ioasa* result = &slots[number].status;
    if (result->rc.flags | result->rc.afu_rc | result->rc.scsi_rc) return 1;
    if (++next == depth) {
      next = 0;
      toggle ^= SISL_RESP_HANDLE_T_BIT;
    }
    done++;
    issue(number, lba++ % attach.last_lba);
  }
  printf("{\"value\":%.1f}\n", (double)done / (now() - start));
  munmap((void*)(uintptr_t)page, attach.mmio_size);
  call(fd, CXLFLASH_DETACH, &detach, "DETACH");
  close(adapter);
  return 0;
}
