// SPDX-License-Identifier: Apache-2.0
// Accesses to registers, with a guard against SIGBUS in the manner of libcxl (sigsetjmp() before
// each access) and without, and blocks by a loop of volatile accesses with byte swap: nanoseconds
// an access or an element. The fastest of many rounds. Usage: mmio NODE AREA_SIZE
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>

#include "job.h"

#define CALLS 20000
#define ROUNDS 60

static sigjmp_buf recovery;
static volatile int guarded;
static struct job job;
static uint64_t block[8192];
static volatile uint64_t sink;

static void on_fault(int signal) {
  (void)signal;
  if (guarded) siglongjmp(recovery, 1);
  abort();
}

static uint64_t load(unsigned offset) {
  uint64_t value = be64toh(job.area[offset / 8]);
  __sync_synchronize();
  return value;
}

static void guarded_load(void) {
  if (sigsetjmp(recovery, 1)) exit(1);
  guarded = 1;
  sink = load(MEMCPY_PROCESS_HANDLE);
  guarded = 0;
}
static void guarded_store(void) {
  if (sigsetjmp(recovery, 1)) exit(1);
  guarded = 1;
  store64(&job, MEMCPY_TIMEBASE, 0);
  guarded = 0;
}
static void bare_load(void) { sink = load(MEMCPY_PROCESS_HANDLE); }
static void bare_store(void) { store64(&job, MEMCPY_TIMEBASE, 0); }

static void read_block(unsigned elements) {
  for (unsigned i = 0; i < elements; i++) block[i] = be64toh(job.area[i]);
  __sync_synchronize();
}
// To the part of the area that has no registers.
static void write_block(unsigned elements) {
  __sync_synchronize();
  for (unsigned i = 0; i < elements; i++) job.area[0x2000 / 8 + i] = htobe64(block[i]);
}
static void read_4k(void) { read_block(512); }
static void write_4k(void) { write_block(512); }
// An area has 64 KiB: from 0x2000 on there is room for 56.
static void read_56k(void) { read_block(7168); }
static void write_56k(void) { write_block(7168); }

static double fastest(void (*access)(void), int calls) {
  double least = 1e18;
  for (int round = 0; round < ROUNDS; round++) {
    double start = now_us();
    for (int i = 0; i < calls; i++) access();
    double each = (now_us() - start) * 1e3 / calls;
    if (each < least) least = each;
  }
  return least;
}

int main(int count, char** words) {
  if (count != 3) return 2;
  struct sigaction action = {.sa_handler = on_fault};
  sigaction(SIGBUS, &action, NULL);
  job_open(&job, words[1], strtoul(words[2], NULL, 0));
  printf("{\"guardedLoad\":%.2f,\"guardedStore\":%.2f,", fastest(guarded_load, CALLS),
         fastest(guarded_store, CALLS));
  printf("\"load\":%.2f,\"store\":%.2f,", fastest(bare_load, CALLS), fastest(bare_store, CALLS));
  printf("\"readBlock4\":%.2f,\"writeBlock4\":%.2f,", fastest(read_4k, 100),
         fastest(write_4k, 100));
  printf("\"readBlock56\":%.2f,\"writeBlock56\":%.2f}\n", fastest(read_56k, 10),
         fastest(write_56k, 10));
  job_close(&job);
  return 0;
}
