// SPDX-License-Identifier: Apache-2.0
// SIGBUS within one of the accesses of mmio.h becomes that access's answer. Any other SIGBUS
// goes on to whoever had the signal before.
#ifndef NODE_CXL_MMIO_FAULT_GUARD_H_
#define NODE_CXL_MMIO_FAULT_GUARD_H_

namespace cxl {

// Installs the handler, once in the life of the process.
void GuardFaults();

}  // namespace cxl

#endif  // NODE_CXL_MMIO_FAULT_GUARD_H_
