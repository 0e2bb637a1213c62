// SPDX-License-Identifier: Apache-2.0
// What the C programs have in common: a context of the memcpy AFU whose program raises interrupt 1
// by a work element, as their counterparts in JavaScript do (programs/job.mjs).
#pragma once

#include <endian.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../../../native/abi/cxl.h"
#include "../../simulated-device/afu/memcpy.h"

// Elements of one cache line of the queue.
#define ELEMENTS 4

struct job {
  int fd;
  size_t area_size;
  volatile uint64_t* area;
  struct element* queue;
  unsigned next;
  uint8_t wrap;
};

static inline double now_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static inline void check(long result, const char* what) {
  if (result >= 0) return;
  perror(what);
  exit(1);
}

static inline void store64(struct job* job, unsigned offset, uint64_t value) {
  __sync_synchronize();
  job->area[offset / 8] = htobe64(value);
}

static inline void job_open(struct job* job, const char* path, size_t area_size) {
  struct cxl_ioctl_start_work work = {0};
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  *job = (struct job){.fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK), .area_size = area_size};
  check(job->fd, path);
  job->queue = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  work.work_element_descriptor = (uintptr_t)job->queue | 1;
  check(ioctl(job->fd, CXL_IOCTL_START_WORK, &work), "START_WORK");
  job->area = mmap(NULL, area_size, PROT_READ | PROT_WRITE, MAP_SHARED, job->fd, 0);
  check(job->area == MAP_FAILED ? -1 : 0, "mmap");
}

static inline void job_close(struct job* job) {
  munmap((void*)(uintptr_t)job->area, job->area_size);
  close(job->fd);
  munmap(job->queue, (size_t)sysconf(_SC_PAGESIZE));
}

// The AFU is stopped after each interrupt.
static inline void job_raise(struct job* job) {
  struct element* element = &job->queue[job->next];
  element->status = 0;
  element->length = htobe16(1);
  __sync_synchronize();
  *(volatile uint8_t*)&element->command = ELEMENT_VALID | job->wrap | ELEMENT_INTERRUPT;
  if (++job->next == ELEMENTS) {
    job->next = 0;
    job->wrap ^= ELEMENT_WRAP;
  }
  store64(job, MEMCPY_CONTROL, MEMCPY_CONTROL_RESTART);
}
