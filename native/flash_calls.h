// SPDX-License-Identifier: Apache-2.0
// The cxlflash ioctls as tables: which field of which structure a property of the JavaScript
// object is. Names are those of lib/flash/binding.ts.
#ifndef NODE_CXL_FLASH_CALLS_H_
#define NODE_CXL_FLASH_CALLS_H_

#include <stddef.h>
#include <stdint.h>

namespace cxl {

enum class Direction : uint8_t { kIn, kOut, kBoth };

struct FlashField {
  const char* name;
  uint16_t offset;
  uint16_t size;  // 2: a number, 8: a bigint, else bytes
  Direction direction;
};

struct FlashCall {
  const char* name;
  unsigned long request;
  const FlashField* fields;
  size_t count;
  // Offset of a descriptor that the call answers; 0 where it answers none.
  uint16_t descriptor;
  // Offsets of the address and length of a data buffer; 0 where there is none.
  uint16_t data_address;
  uint16_t data_length;
};

constexpr size_t kLargestFlashCall = 160;

// nullptr when there is none of that name.
const FlashCall* FindFlashCall(const char* name);

}  // namespace cxl

#endif  // NODE_CXL_FLASH_CALLS_H_
