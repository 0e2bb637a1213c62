// SPDX-License-Identifier: Apache-2.0
// Events a second of many contexts, by epoll_wait() and read(). Each raises its next interrupt when
// one has been read.
// Usage: contexts NODE AREA_SIZE CONTEXTS SECONDS
#define _GNU_SOURCE
#include <sys/epoll.h>

#include "job.h"

int main(int count, char** words) {
  if (count != 5) return 2;
  static struct job jobs[512];
  static uint8_t events[CXL_READ_MIN_SIZE];
  int contexts = atoi(words[3]);
  double seconds = atof(words[4]);
  int set = epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < contexts; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
    job_open(&jobs[i], words[1], strtoul(words[2], NULL, 0));
    check(epoll_ctl(set, EPOLL_CTL_ADD, jobs[i].fd, &event), "epoll_ctl");
  }
  for (int i = 0; i < contexts; i++) job_raise(&jobs[i]);
  double start = now_us(), end = start + seconds * 1e6;
  uint64_t total = 0;
  while (now_us() < end) {
    struct epoll_event ready[64];
    int number = epoll_wait(set, ready, 64, -1);
    check(number, "epoll_wait");
    for (int i = 0; i < number; i++) {
      struct job* job = &jobs[ready[i].data.u32];
      check(read(job->fd, events, sizeof events), "read");
      job_raise(job);
      total++;
    }
  }
  printf("{\"value\":%.1f}\n", (double)total / ((now_us() - start) / 1e6));
  for (int i = 0; i < contexts; i++) job_close(&jobs[i]);
  return 0;
}
