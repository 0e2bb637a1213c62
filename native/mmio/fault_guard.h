// SPDX-License-Identifier: Apache-2.0
// SIGBUS within one of the accesses of mmio.h becomes that access's answer. Any other SIGBUS
// goes on to whoever had the signal before.
#ifndef NODE_CXL_MMIO_FAULT_GUARD_H_
#define NODE_CXL_MMIO_FAULT_GUARD_H_

namespace cxl {

// Installs the handler, unless it is installed. To be called before each mapping.
void GuardFaults();

// After other code may have installed a handler of its own, or the default, in place of ours.
// Nothing before the first mapping.
void GuardFaultsAgain();

}  // namespace cxl

#endif  // NODE_CXL_MMIO_FAULT_GUARD_H_
