// SPDX-License-Identifier: Apache-2.0
// The regions of an environment.
#ifndef NODE_CXL_MEMORY_LIST_H_
#define NODE_CXL_MEMORY_LIST_H_

#include <node_api.h>

namespace cxl {

class MemoryRegion;

class MemoryList {
 public:
  void Add(MemoryRegion* region);
  void Remove(MemoryRegion* region);

  // The environment goes away, and with it its knowledge of who else uses the buffers.
  void Stop(napi_env env);

 private:
  MemoryRegion* first_ = nullptr;
};

}  // namespace cxl

#endif  // NODE_CXL_MEMORY_LIST_H_
