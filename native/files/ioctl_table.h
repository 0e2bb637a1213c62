// SPDX-License-Identifier: Apache-2.0
// The ioctls of each kind of device file as tables: which field of which structure a property of
// the JavaScript object is. The names are those of lib/binding.
#ifndef NODE_CXL_FILES_IOCTL_TABLE_H_
#define NODE_CXL_FILES_IOCTL_TABLE_H_

#include <stddef.h>
#include <stdint.h>

namespace cxl {

enum class Direction : uint8_t { kIn, kOut, kBoth };

struct IoctlField {
  const char* name;
  uint16_t offset;
  uint16_t size;  // 2 or 4: a number, 8: a bigint, else bytes
  Direction direction;
};

// Where a structure has the address and the length of a buffer; all 0 where it has none.
struct IoctlData {
  uint16_t address;
  uint16_t length;
  uint16_t length_size;
  uint32_t most;  // bytes
};

struct Ioctl {
  const char* name;
  unsigned long request;
  const IoctlField* fields;
  size_t field_count;
  IoctlData data;
  // What ioctl() returns is part of the answer, as `result`.
  bool has_result;
  // Offsets of a descriptor that the call answers, and of the flags that tell whether it did; 0
  // where it answers none.
  uint16_t descriptor;
};

struct IoctlTable {
  const Ioctl* calls;
  size_t count;
  // The calls go to the threads of the pool, several at a time and in no order; else to the
  // control thread, one after another.
  bool concurrent;
  // A call that a signal interrupts has done nothing, and is made again.
  bool restart;

  // nullptr when there is none of that name.
  const Ioctl* Find(const char* name) const;
};

#define NODE_CXL_FIELD(type, member, name, direction) \
  { name, offsetof(struct type, member), sizeof(type::member), cxl::Direction::direction }

template <size_t N>
constexpr Ioctl MakeIoctl(const char* name, unsigned long request, const IoctlField (&fields)[N],
                          IoctlData data = {}, bool has_result = false, size_t descriptor = 0) {
  return {name, request, fields, N, data, has_result, static_cast<uint16_t>(descriptor)};
}

// No structure is larger.
constexpr size_t kLargestIoctl = 160;

extern const IoctlTable kAfuIoctls;
extern const IoctlTable kCardIoctls;
extern const IoctlTable kLunIoctls;
extern const IoctlTable kFlashHostIoctls;

}  // namespace cxl

#endif  // NODE_CXL_FILES_IOCTL_TABLE_H_
