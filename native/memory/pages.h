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

}  // namespace cxl

#endif  // NODE_CXL_MEMORY_PAGES_H_
