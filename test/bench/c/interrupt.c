// SPDX-License-Identifier: Apache-2.0
// From raising an interrupt to having read it, by poll() and read(): microseconds.
// Usage: interrupt NODE AREA_SIZE COUNT
#define _GNU_SOURCE
#include <poll.h>

#include "job.h"

int main(int count, char** words) {
  if (count != 4) return 2;
  static uint8_t events[CXL_READ_MIN_SIZE];
  struct job job;
  int rounds = atoi(words[3]);
  job_open(&job, words[1], strtoul(words[2], NULL, 0));
  printf("{\"samples\":[");
  for (int round = 0; round < rounds; round++) {
    double start = now_us();
    struct pollfd wait = {.fd = job.fd, .events = POLLIN};
    job_raise(&job);
    check(poll(&wait, 1, -1), "poll");
    check(read(job.fd, events, sizeof events), "read");
    printf("%s%.2f", round ? "," : "", now_us() - start);
  }
  printf("]}\n");
  job_close(&job);
  return 0;
}
