// SPDX-License-Identifier: Apache-2.0
// open(), START_WORK, mmap() and close() of a context: microseconds.
// Usage: life NODE AREA_SIZE COUNT
#define _GNU_SOURCE
#include "job.h"

int main(int count, char** words) {
  if (count != 4) return 2;
  int rounds = atoi(words[3]);
  printf("{\"samples\":[");
  for (int round = 0; round < rounds; round++) {
    struct job job;
    double start = now_us();
    job_open(&job, words[1], strtoul(words[2], NULL, 0));
    job_close(&job);
    printf("%s%.2f", round ? "," : "", now_us() - start);
  }
  printf("]}\n");
  return 0;
}
