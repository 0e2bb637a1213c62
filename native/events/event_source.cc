// SPDX-License-Identifier: Apache-2.0
#include "event_source.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "../abi/cxl.h"
#include "../threads/thread.h"

namespace cxl {
namespace {

// How long a thread sleeps at most whose event loop has something to do already: what is added
// then, as the termination of a worker, may not be seen.
constexpr double kLoopBusyMs = 100;

// The flags of an adopted descriptor are its owner's: its read may block, and must not. Other
// environments of the process may have adopted the same one, and the same event has woken their
// threads: asking whether there is an event and reading it is one step for all of them.
ssize_t ReadAdopted(int fd, void* bytes, size_t size) {
  // Never destroyed: threads may still come here while the process exits.
  static Mutex& mutex = *new Mutex;
  Lock lock(mutex);
  if (Readable(fd)) return read(fd, bytes, size);
  errno = EAGAIN;
  return -1;
}

// As poll(), with a fraction of a millisecond; no limit above 2^31.
int Poll(struct pollfd* wanted, nfds_t count, double milliseconds) {
  if (milliseconds > INT32_MAX) return ppoll(wanted, count, nullptr, nullptr);
  struct timespec limit;
  limit.tv_sec = static_cast<time_t>(milliseconds / 1000);
  limit.tv_nsec = static_cast<long>(std::fmod(milliseconds, 1000) * 1e6);
  return ppoll(wanted, count, &limit, nullptr);
}

}  // namespace

bool Readable(int fd) {
  struct pollfd wanted = {};
  wanted.fd = fd;
  wanted.events = POLLIN;
  return poll(&wanted, 1, 0) > 0;
}

size_t EventSource::Read(uint8_t* bytes, size_t size, int* error) const {
  size_t length = 0;
  *error = 0;
  while (size - length >= CXL_READ_MIN_SIZE) {
    uint8_t* rest = bytes + length;
    const size_t room = size - length;
    const ssize_t count = adopted_ ? ReadAdopted(fd_, rest, room) : read(fd_, rest, room);
    if (count > 0) {
      length += static_cast<size_t>(count);
    } else if (count == 0) {
      // No cxl file ends: this one would always be ready.
      *error = -EIO;
      break;
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      *error = -errno;
      break;
    }
  }
  return length;
}

int EventSource::Wait(double milliseconds, int loop) const {
  struct pollfd wanted[2] = {};
  wanted[0].fd = fd_;
  wanted[0].events = POLLIN;
  wanted[1].fd = loop;
  wanted[1].events = POLLIN;
  int ready = Poll(wanted, 2, milliseconds);
  if (ready > 0 && wanted[0].revents == 0) {
    const double piece = std::min(milliseconds, kLoopBusyMs);
    ready = Poll(wanted, 1, piece);
    if (ready == 0 && piece < milliseconds) return -EINTR;
  }
  if (ready > 0) return 0;
  return ready == 0 ? -EAGAIN : -errno;
}

}  // namespace cxl
