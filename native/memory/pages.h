// SPDX-License-Identifier: Apache-2.0
// Anonymous, zeroed, aligned pages from the kernel.
#ifndef NODE_CXL_MEMORY_PAGES_H_
#define NODE_CXL_MEMORY_PAGES_H_

#include <stddef.h>

namespace cxl {

struct Pages {
  void* address = nullptr;
  size_t length = 0;
};

enum class HugePages { kNone, kTransparent, kExplicit };

size_t PageSize();

// 0 or a negative errno. `numa_node` is -1 for any.
int Map(size_t size, size_t alignment, HugePages huge, int numa_node, Pages* pages);
void Unmap(const Pages& pages);
// Gives the contents back and keeps the range, which reads as zeroes: for a range that may still be
// accessed. Huge pages of the pool are kept, too, before Linux 5.18.
void Empty(const Pages& pages);

// What is mapped now, by all environments.
size_t MappedBytes();

}  // namespace cxl

#endif  // NODE_CXL_MEMORY_PAGES_H_
