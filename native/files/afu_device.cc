// SPDX-License-Identifier: Apache-2.0
#include "afu_device.h"

namespace cxl {

int AfuDevice::Close() {
  events_.AwaitLeft(&source);
  return Device::Close();
}

}  // namespace cxl
