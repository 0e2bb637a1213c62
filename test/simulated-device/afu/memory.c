// SPDX-License-Identifier: Apache-2.0

#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../calls/next.h"

// Where process_vm_readv is missing (an emulator, a sandbox) bytes go through a pipe, whose read
// and write check addresses as well. Guarded by the device lock.
static int pipe_fds[2] = {-1, -1};
static pid_t pipe_owner;
static bool without_process_vm;

#define PIPE_CHUNK 4096

static bool open_pipe(void) {
  if (pipe_owner == getpid()) return true;
  if (pipe(pipe_fds)) return false;
  fcntl(pipe_fds[0], F_SETFD, FD_CLOEXEC);
  fcntl(pipe_fds[1], F_SETFD, FD_CLOEXEC);
  pipe_owner = getpid();
  return true;
}

static void drain_pipe(size_t size) {
  uint8_t sink[PIPE_CHUNK];
  while (size) {
    ssize_t taken = NEXT(read)(pipe_fds[0], sink, size < sizeof sink ? size : sizeof sink);
    if (taken <= 0) return;
    size -= (size_t)taken;
  }
}

static size_t pipe_copy(void* target, const void* source, size_t size) {
  size_t done = 0;
  while (done < size && open_pipe()) {
    size_t chunk = size - done < PIPE_CHUNK ? size - done : PIPE_CHUNK;
    ssize_t written = NEXT(write)(pipe_fds[1], (const uint8_t*)source + done, chunk);
    if (written <= 0) break;
    ssize_t taken = NEXT(read)(pipe_fds[0], (uint8_t*)target + done, (size_t)written);
    drain_pipe((size_t)written - (taken > 0 ? (size_t)taken : 0));
    if (taken > 0) done += (size_t)taken;
    if (taken != (ssize_t)chunk) break;
  }
  return done;
}

typedef ssize_t transfer(pid_t, const struct iovec*, unsigned long, const struct iovec*,
                         unsigned long, unsigned long);

// The number of bytes moved, or -1 where the kernel has no such call.
static ssize_t process_vm(transfer* call, void* buffer, uint64_t address, size_t size) {
  struct iovec local = {buffer, size};
  struct iovec remote = {(void*)(uintptr_t)address, size};
  if (without_process_vm) return -1;
  // The calling thread's own number: the first thread of the process may have ended.
  ssize_t moved = call(gettid(), &local, 1, &remote, 1, 0);
  if (moved >= 0) return moved;
  if (errno == EFAULT) return 0;
  without_process_vm = true;
  return -1;
}

size_t memory_load(void* target, uint64_t address, size_t size) {
  ssize_t moved = process_vm(process_vm_readv, target, address, size);
  return moved < 0 ? pipe_copy(target, (const void*)(uintptr_t)address, size) : (size_t)moved;
}

size_t memory_store(uint64_t address, const void* source, size_t size) {
  ssize_t moved = process_vm(process_vm_writev, (void*)(uintptr_t)source, address, size);
  return moved < 0 ? pipe_copy((void*)(uintptr_t)address, source, size) : (size_t)moved;
}

int copy_from_user(void* target, uint64_t address, size_t size) {
  return memory_load(target, address, size) < size ? -EFAULT : 0;
}

int copy_to_user(uint64_t address, const void* source, size_t size) {
  return memory_store(address, source, size) < size ? -EFAULT : 0;
}
