// SPDX-License-Identifier: Apache-2.0
#include "attachments.h"

#include "reference.h"
#include "thread.h"

namespace cxl {
namespace {

struct Orphan : Allocated {
  Pages pages;
  Orphan* next;
};

// Lives as long as the process: threads may still come here while it exits.
struct Process : Allocated {
  Mutex mutex;
  unsigned attached = 0;
  Orphan* orphans = nullptr;
  size_t orphaned_bytes = 0;
};

Process* process;
uv_once_t once = UV_ONCE_INIT;

Process& TheProcess() {
  uv_once(&once, [] { process = new Process; });
  return *process;
}

}  // namespace

void ContextAttaches() {
  Process& p = TheProcess();
  Lock lock(p.mutex);
  ++p.attached;
}

void ContextsDetached(unsigned count) {
  Process& p = TheProcess();
  Orphan* released = nullptr;
  {
    Lock lock(p.mutex);
    p.attached -= count;
    if (p.attached == 0) {
      released = std::exchange(p.orphans, nullptr);
      p.orphaned_bytes = 0;
    }
  }
  while (released != nullptr) {
    Orphan* next = released->next;
    Unmap(released->pages);
    delete released;
    released = next;
  }
}

bool AnyContextAttached() {
  Process& p = TheProcess();
  Lock lock(p.mutex);
  return p.attached > 0;
}

void ReleaseWhenDetached(const Pages& pages) {
  Process& p = TheProcess();
  {
    Lock lock(p.mutex);
    if (p.attached > 0) {
      auto orphan = new Orphan;
      orphan->pages = pages;
      orphan->next = p.orphans;
      p.orphans = orphan;
      p.orphaned_bytes += pages.length;
      return;
    }
  }
  Unmap(pages);
}

size_t OrphanedBytes() {
  Process& p = TheProcess();
  Lock lock(p.mutex);
  return p.orphaned_bytes;
}

}  // namespace cxl
