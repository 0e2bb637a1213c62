// SPDX-License-Identifier: Apache-2.0
#ifndef NODE_CXL_MMIO_BYTE_ORDER_H_
#define NODE_CXL_MMIO_BYTE_ORDER_H_

#include <stdint.h>

namespace cxl {

// Whether values of that order have to be reversed on this machine.
constexpr bool MustSwap(bool big_endian) {
  return big_endian != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

constexpr uint8_t SwapIf(bool, uint8_t value) { return value; }
constexpr uint16_t SwapIf(bool swap, uint16_t value) {
  return swap ? __builtin_bswap16(value) : value;
}
constexpr uint32_t SwapIf(bool swap, uint32_t value) {
  return swap ? __builtin_bswap32(value) : value;
}
constexpr uint64_t SwapIf(bool swap, uint64_t value) {
  return swap ? __builtin_bswap64(value) : value;
}

}  // namespace cxl

#endif  // NODE_CXL_MMIO_BYTE_ORDER_H_
