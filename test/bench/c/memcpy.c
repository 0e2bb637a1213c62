// SPDX-License-Identifier: Apache-2.0
// Copies a file by the memcpy AFU, as `node-cxl memcpy --poll` does: reads it, has it copied,
// compares the copy, writes it, and prints its SHA-256. Usage: memcpy NODE AREA_SIZE IN OUT
#define _GNU_SOURCE
#include <openssl/evp.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#include "job.h"

// One element copies so many bytes at most: 16 bits, whole cache lines.
#define PIECE 0xff80u
#define QUEUE_ELEMENTS 128u

int main(int count, char** words) {
  if (count != 5) return 2;
  struct stat stat;
  int in = open(words[3], O_RDONLY | O_CLOEXEC);
  check(in, words[3]);
  check(fstat(in, &stat), "fstat");
  size_t size = (size_t)stat.st_size;
  uint8_t* source = aligned_alloc(65536, size);
  uint8_t* target = aligned_alloc(65536, size);
  memset(target, 0, size);
  for (size_t done = 0; done < size;) {
    ssize_t got = read(in, source + done, size - done);
    check(got, "read");
    done += (size_t)got;
  }
  struct cxl_ioctl_start_work work = {0};
  int fd = open(words[1], O_RDWR | O_CLOEXEC | O_NONBLOCK);
  check(fd, words[1]);
  struct element* queue = aligned_alloc(65536, QUEUE_ELEMENTS * sizeof *queue);
  memset(queue, 0, QUEUE_ELEMENTS * sizeof *queue);
  work.work_element_descriptor = (uintptr_t)queue | QUEUE_ELEMENTS / ELEMENTS;
  check(ioctl(fd, CXL_IOCTL_START_WORK, &work), "START_WORK");
  uint8_t wrap = 0;
  for (size_t at = 0; at < size; wrap ^= ELEMENT_WRAP) {
    unsigned used = 0;
    for (; used < QUEUE_ELEMENTS; used++) {
      // After the end the rest of the queue copies nothing, so that each pass is a whole one.
      size_t length = size - at < PIECE ? size - at : PIECE;
      struct element* element = &queue[used];
      element->status = 0;
      element->length = htobe16((uint16_t)length);
      element->source = htobe64((uintptr_t)(source + at));
      element->target = htobe64((uintptr_t)(target + at));
      __sync_synchronize();
      *(volatile uint8_t*)&element->command = ELEMENT_VALID | wrap | ELEMENT_COPY;
      at += length;
    }
    volatile uint8_t* last = &queue[QUEUE_ELEMENTS - 1].status;
    while (!*last) sched_yield();
  }
  __sync_synchronize();
  if (memcmp(source, target, size) != 0) return 1;
  uint8_t sum[EVP_MAX_MD_SIZE];
  unsigned sum_size;
  if (!EVP_Digest(target, size, sum, &sum_size, EVP_sha256(), NULL)) return 1;
  int out = open(words[4], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  check(out, words[4]);
  for (size_t done = 0; done < size;) {
    ssize_t put = write(out, target + done, size - done);
    check(put, "write");
    done += (size_t)put;
  }
  close(fd);
  for (unsigned i = 0; i < sum_size; i++) printf("%02x", sum[i]);
  printf("\n");
  return 0;
}
