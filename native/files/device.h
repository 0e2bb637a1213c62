// SPDX-License-Identifier: Apache-2.0
// An open descriptor of a device node, apart from its JavaScript object: whoever owns the Device
// owns the descriptor. First that is the object, then the operation that closes it.
#ifndef NODE_CXL_FILES_DEVICE_H_
#define NODE_CXL_FILES_DEVICE_H_

#include "ioctl_table.h"

namespace cxl {

class Device {
 public:
  // `owned`: Close() closes the descriptor, which otherwise belongs to other code of the process.
  Device(int fd, bool owned, const IoctlTable& table) : fd_(fd), owned_(owned), table_(table) {}
  virtual ~Device() { Device::Close(); }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  int fd() const { return fd_; }
  const IoctlTable& table() const { return table_; }

  // The non-negative result, or a negative errno. Any thread.
  int Ioctl(unsigned long request, void* argument);
  // 0 or a negative errno. Any thread; idempotent. It can block: the kernel waits until the
  // hardware has let go.
  int Close();

 private:
  int fd_;  // -1 once closed
  const bool owned_;
  const IoctlTable& table_;
};

}  // namespace cxl

#endif  // NODE_CXL_FILES_DEVICE_H_
