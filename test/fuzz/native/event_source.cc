// SPDX-License-Identifier: Apache-2.0
// EventSource::Read() over a descriptor that answers what the input says: each byte that came is
// in the batch once, in order, and nothing is written behind it.
#include "native/events/event_source.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <uv.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "native/abi/cxl.h"

#define CHECK(condition)       \
  do {                         \
    if (!(condition)) abort(); \
  } while (false)

namespace {

constexpr int kFd = 1000;

const uint8_t* g_input;
size_t g_left;
// What read() has given so far, and how many calls there were since the last answer that ends a
// batch.
std::vector<uint8_t> g_given;
int g_error;
bool g_ended;

uint8_t Byte() {
  if (g_left == 0) return 0;
  --g_left;
  return *g_input++;
}

}  // namespace

// One thread: the lock is of no effect.
int uv_mutex_init(uv_mutex_t*) { return 0; }
void uv_mutex_destroy(uv_mutex_t*) {}
void uv_mutex_lock(uv_mutex_t*) {}
void uv_mutex_unlock(uv_mutex_t*) {}

extern "C" ssize_t __real_read(int fd, void* bytes, size_t size);
extern "C" int __real_poll(struct pollfd* fds, nfds_t count, int timeout);

// As the driver's: whole events that fit, or an error; here also what no driver does.
extern "C" ssize_t __wrap_read(int fd, void* bytes, size_t size) {
  if (fd != kFd) return __real_read(fd, bytes, size);
  CHECK(size >= CXL_READ_MIN_SIZE);
  CHECK(!g_ended);
  switch (g_left == 0 ? 0 : Byte() % 8) {
    case 0:
      g_ended = true;
      errno = EAGAIN;
      return -1;
    case 1:
      errno = EINTR;
      return -1;
    case 2:
      g_ended = true;
      g_error = -EIO;
      errno = EIO;
      return -1;
    case 3:
      // The end of a file, which no cxl file has.
      g_ended = true;
      g_error = -EIO;
      return 0;
    case 4:
      g_ended = true;
      g_error = -ENOMEM;
      errno = ENOMEM;
      return -1;
    default: {
      const size_t wanted = 1 + (Byte() | static_cast<size_t>(Byte()) << 8);
      const size_t count = std::min(wanted, size);
      auto* target = static_cast<uint8_t*>(bytes);
      const uint8_t first = Byte();
      for (size_t i = 0; i < count; ++i) target[i] = static_cast<uint8_t>(first + i);
      g_given.insert(g_given.end(), target, target + count);
      return static_cast<ssize_t>(count);
    }
  }
}

extern "C" int __wrap_poll(struct pollfd* fds, nfds_t count, int timeout) {
  if (count != 1 || fds[0].fd != kFd) return __real_poll(fds, count, timeout);
  const bool readable = g_left > 0 && Byte() % 4 != 0;
  if (!readable) g_ended = true;
  fds[0].revents = readable ? POLLIN : 0;
  return readable;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t length) {
  g_input = data;
  g_left = length;
  const uint8_t choice = Byte();
  // From one event to more than a batch.
  const size_t size = (choice & 2) != 0 ? 32 * 1024 : CXL_READ_MIN_SIZE + choice * 16u;
  const cxl::EventSource source(kFd, true, (choice & 1) != 0);
  g_given.clear();
  g_error = 0;
  g_ended = false;
  // Its end is where the sanitizer sees a write behind it.
  const std::unique_ptr<uint8_t[]> bytes(new uint8_t[size]);
  int error = 1;
  const size_t read = source.Read(bytes.get(), size, &error);
  CHECK(read <= size);
  CHECK(read == g_given.size());
  CHECK(read == 0 || memcmp(bytes.get(), g_given.data(), read) == 0);
  CHECK(error == g_error);
  // It ends when there is no more, or no room for the largest event.
  CHECK(g_ended || size - read < CXL_READ_MIN_SIZE);
  return 0;
}
