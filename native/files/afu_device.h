// SPDX-License-Identifier: Apache-2.0
// The descriptor of a context: it has events, and an AFU may be running for it.
#ifndef NODE_CXL_FILES_AFU_DEVICE_H_
#define NODE_CXL_FILES_AFU_DEVICE_H_

#include <atomic>

#include "../threads/event_thread.h"
#include "device.h"

namespace cxl {

class AfuDevice : public Device {
 public:
  // `adopted`: the descriptor was opened elsewhere, and may be attached already.
  AfuDevice(int fd, bool owned, bool adopted, EventThread& events);
  ~AfuDevice() override { AfuDevice::Close(); }

  int Ioctl(unsigned long request, void* argument) override;
  // After EventThread::Leave().
  int Close() override;

  EventSource source;

 private:
  EventThread& events_;
  // How often START_WORK has succeeded, or may have.
  std::atomic<unsigned> attached_{0};
};

}  // namespace cxl

#endif  // NODE_CXL_FILES_AFU_DEVICE_H_
