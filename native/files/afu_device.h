// SPDX-License-Identifier: Apache-2.0
// The descriptor of a context: it has events.
#ifndef NODE_CXL_FILES_AFU_DEVICE_H_
#define NODE_CXL_FILES_AFU_DEVICE_H_

#include "../threads/event_thread.h"
#include "device.h"

namespace cxl {

class AfuDevice : public Device {
 public:
  // `adopted`: the descriptor was opened elsewhere, and may be attached already.
  AfuDevice(int fd, bool owned, bool adopted, EventThread& events)
      : Device(fd, owned, kAfuIoctls), source(fd, adopted), events_(events) {}
  ~AfuDevice() override { AfuDevice::Close(); }

  // After EventThread::Leave().
  int Close() override;

  EventSource source;

 private:
  EventThread& events_;
};

}  // namespace cxl

#endif  // NODE_CXL_FILES_AFU_DEVICE_H_
