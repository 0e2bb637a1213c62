// SPDX-License-Identifier: Apache-2.0
// The descriptor of a context: it has events.
#ifndef NODE_CXL_FILES_AFU_DEVICE_H_
#define NODE_CXL_FILES_AFU_DEVICE_H_

#include "../events/event_source.h"
#include "device.h"

namespace cxl {

class AfuDevice : public Device {
 public:
  // `adopted`: the descriptor was opened elsewhere, and may be attached already.
  AfuDevice(int fd, bool owned, bool adopted)
      : Device(fd, owned, kAfuIoctls), source(fd, owned, adopted) {}

  EventSource source;
};

}  // namespace cxl

#endif  // NODE_CXL_FILES_AFU_DEVICE_H_
