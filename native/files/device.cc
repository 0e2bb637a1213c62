// SPDX-License-Identifier: Apache-2.0
#include "device.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <utility>

namespace cxl {

int Device::Ioctl(unsigned long request, void* argument) {
  const int result = ioctl(fd_, request, argument);
  return result < 0 ? -errno : result;
}

int Device::Close() {
  const int fd = std::exchange(fd_, -1);
  if (fd < 0 || !owned_) return 0;
  // The descriptor is gone even if a signal cut the wait for the hardware short.
  return close(fd) != 0 && errno != EINTR ? -errno : 0;
}

}  // namespace cxl
