// SPDX-License-Identifier: Apache-2.0
#include "attachments.h"

#include <utility>
#include <vector>

#include "../threads/thread.h"

namespace cxl {
namespace {

struct Attachments {
  Mutex mutex;
  unsigned count = 0;
  std::vector<Pages> orphans;
};

// Never destroyed: threads may still come here while the process exits.
Attachments& OfProcess() {
  static Attachments& attachments = *new Attachments;
  return attachments;
}

}  // namespace

void ContextAttaches() {
  Attachments& all = OfProcess();
  Lock lock(all.mutex);
  ++all.count;
}

void ContextsDetached(unsigned count) {
  Attachments& all = OfProcess();
  std::vector<Pages> released;
  {
    Lock lock(all.mutex);
    all.count -= count;
    if (all.count == 0) released.swap(all.orphans);
  }
  for (const Pages& pages : released) Unmap(pages);
}

bool AnyContextAttached() {
  Attachments& all = OfProcess();
  Lock lock(all.mutex);
  return all.count > 0;
}

void ReleaseWhenDetached(const Pages& pages) {
  Attachments& all = OfProcess();
  {
    Lock lock(all.mutex);
    if (all.count > 0) {
      all.orphans.push_back(pages);
      return;
    }
  }
  Unmap(pages);
}

size_t OrphanedBytes() {
  Attachments& all = OfProcess();
  Lock lock(all.mutex);
  size_t bytes = 0;
  for (const Pages& pages : all.orphans) bytes += pages.length;
  return bytes;
}

}  // namespace cxl
