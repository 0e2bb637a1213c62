// SPDX-License-Identifier: Apache-2.0
#include "pages.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace cxl {
namespace {

std::atomic<size_t> mapped_bytes{0};

size_t RoundUp(size_t value, size_t unit) { return (value + unit - 1) & ~(unit - 1); }

// The size of the default hugetlb pool's pages, which mappings must be a multiple of; 0 when
// there are none.
size_t HugePageSize() {
  char text[4096];
  const int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return 0;
  text[length] = '\0';
  static const char kLabel[] = "Hugepagesize:";
  const char* line = strstr(text, kLabel);
  if (line == nullptr) return 0;
  size_t kibibytes = 0;
  for (const char* c = line + sizeof kLabel - 1; *c == ' ' || (*c >= '0' && *c <= '9'); ++c) {
    if (*c != ' ') kibibytes = kibibytes * 10 + static_cast<size_t>(*c - '0');
  }
  return kibibytes * 1024;
}

int Bind(const Pages& pages, int numa_node) {
  constexpr size_t kNodes = 1024;
  constexpr size_t kBits = 8 * sizeof(unsigned long);
  unsigned long mask[kNodes / kBits] = {};
  const auto node = static_cast<size_t>(numa_node);
  if (node >= kNodes) return -EINVAL;
  mask[node / kBits] = 1UL << (node % kBits);
  // One more than the bits there are: the kernel takes the last as excluded.
  return syscall(SYS_mbind, pages.address, pages.length, MPOL_BIND, mask, kNodes + 1, 0) == 0
             ? 0
             : -errno;
}

}  // namespace

size_t PageSize() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

int Map(size_t size, size_t alignment, HugePages huge, int numa_node, Pages* pages) {
  size_t unit = PageSize();
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  if (huge != HugePages::kNone) {
    const size_t huge_page = HugePageSize();
    if (huge == HugePages::kExplicit) {
      if (huge_page == 0) return -EOPNOTSUPP;
      flags |= MAP_HUGETLB;
      unit = huge_page;
    } else if (size >= huge_page && alignment < huge_page) {
      // Only whole aligned huge pages can be backed by one.
      alignment = huge_page;
    }
  }
  if (alignment < unit) alignment = unit;
  const size_t slack = alignment - unit;
  if (size > SIZE_MAX / 2 || slack > SIZE_MAX / 4) return -ENOMEM;
  const size_t length = RoundUp(size, unit);

  void* mapped = mmap(nullptr, length + slack, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (mapped == MAP_FAILED) return -errno;
  const auto start = reinterpret_cast<uintptr_t>(mapped);
  const uintptr_t aligned = RoundUp(start, alignment);
  if (aligned != start) munmap(mapped, aligned - start);
  const size_t behind = start + slack - aligned;
  if (behind != 0) munmap(reinterpret_cast<void*>(aligned + length), behind);
  pages->address = reinterpret_cast<void*>(aligned);
  pages->length = length;
  mapped_bytes += length;

  // Advice: a kernel without transparent huge pages gives ordinary ones.
  if (huge == HugePages::kTransparent) madvise(pages->address, length, MADV_HUGEPAGE);
  if (numa_node >= 0) {
    const int error = Bind(*pages, numa_node);
    if (error != 0) {
      Unmap(*pages);
      return error;
    }
  }
  return 0;
}

void Unmap(const Pages& pages) {
  munmap(pages.address, pages.length);
  mapped_bytes -= pages.length;
}

void Empty(const Pages& pages) { madvise(pages.address, pages.length, MADV_DONTNEED); }

size_t MappedBytes() { return mapped_bytes; }

}  // namespace cxl
