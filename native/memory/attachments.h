// SPDX-License-Identifier: Apache-2.0
// How many contexts of the process are attached, whatever environment they belong to. Each can
// reach all of the process's memory, so that pages which the collector gives up must outlive
// them: an address that is mapped anew while an AFU still uses it is silent corruption.
#ifndef NODE_CXL_MEMORY_ATTACHMENTS_H_
#define NODE_CXL_MEMORY_ATTACHMENTS_H_

#include "pages.h"

namespace cxl {

// Counted from before START_WORK is tried: the AFU may run before the call returns.
void ContextAttaches();
// Detached, or the attempt has failed. The last one releases what waited for it.
void ContextsDetached(unsigned count);
bool AnyContextAttached();

// Unmaps now, or when no context is attached any more.
void ReleaseWhenDetached(const Pages& pages);

// Bytes that wait to be released.
size_t OrphanedBytes();

}  // namespace cxl

#endif  // NODE_CXL_MEMORY_ATTACHMENTS_H_
