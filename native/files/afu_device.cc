// SPDX-License-Identifier: Apache-2.0
#include "afu_device.h"

#include <errno.h>
#include <sys/mman.h>

#include "../abi/cxl.h"
#include "../memory/attachments.h"
#include "../memory/pages.h"

namespace cxl {
namespace {

// Past the end of any problem state area, so that nothing is ever mapped there.
constexpr off_t kBeyondAnyArea = off_t{1} << 40;

// Whether this context is started already: the kernel refuses any mapping of one that
// is not started with EIO, and checks the range only afterwards (cxl_context_iomap).
bool IsStarted(int fd) {
  void* mapped = mmap(nullptr, PageSize(), PROT_READ, MAP_SHARED, fd, kBeyondAnyArea);
  if (mapped == MAP_FAILED) return errno != EIO;
  munmap(mapped, PageSize());
  return true;
}

}  // namespace

AfuDevice::AfuDevice(int fd, bool owned, bool adopted, EventThread& events)
    : Device(fd, owned, kAfuIoctls), source(fd, adopted), events_(events) {
  if (adopted && IsStarted(fd)) {
    attached_ = 1;
    ContextAttaches();
  }
}

int AfuDevice::Ioctl(unsigned long request, void* argument) {
  if (request != CXL_IOCTL_START_WORK) return Device::Ioctl(request, argument);
  ++attached_;
  ContextAttaches();
  const int result = Device::Ioctl(request, argument);
  if (result < 0) {
    --attached_;
    ContextsDetached(1);
  }
  return result;
}

int AfuDevice::Close() {
  events_.AwaitLeft(&source);
  const int result = Device::Close();
  // Of a descriptor that is not ours, its owner has to know how long the AFU runs.
  ContextsDetached(attached_.exchange(0));
  return result;
}

}  // namespace cxl
