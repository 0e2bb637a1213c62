// SPDX-License-Identifier: Apache-2.0

#include "area.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../calls/next.h"
#include "../trap/trap.h"
#include "context.h"

// One mapping of a process. A process has few, so they are a list.
struct mapping {
  struct mapping* next;
  struct context* context;
  uint8_t* start;
  size_t length;
  uint64_t offset;  // in the AFU's whole area
  int protection;   // as the program asked for it
  int flags;
  enum backing backing;
  // With UNTOUCHED: the pages that have been touched, by their number in the context's area.
  uint64_t touched;
};

static struct mapping* mappings;
static unsigned count;
static int empty_fd = -1;  // an empty file: an access to its mapping is a SIGBUS
static int ones_fd = -1;   // all ones

#define ONES_SIZE 65536
// How much of a mapping has the page of its context at every page. The rest has it at every
// ONES_SIZE bytes only: a process may have 65530 mappings, and each page is one.
#define PAGED_SIZE (1 << 20)

static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static size_t round_up(size_t length) { return (length + page_size() - 1) & ~(page_size() - 1); }

int area_create(struct afu* afu) {
  afu->area_fd = memfd_create("cxlsim-area", MFD_CLOEXEC);
  if (afu->area_fd < 0 || ftruncate(afu->area_fd, (off_t)afu->ps_size)) return -errno;
  void* area = NEXT(mmap)(NULL, afu->ps_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                          afu->area_fd, 0);
  if (area == MAP_FAILED) return -errno;
  afu->area = area;
  return 0;
}

#define AFU_WIDE_REGISTERS 0x4000

void area_forked(struct afu* afu) {
  if (!afu || !afu->area) return;
  uint8_t* inherited = afu->area;
  NEXT(close)(afu->area_fd);
  if (area_create(afu)) abort();
  memcpy(afu->area, inherited, AFU_WIDE_REGISTERS);
  NEXT(munmap)(inherited, afu->ps_size);
}

static int open_ones(int* fd) {
  if (*fd >= 0) return *fd;
  static uint8_t ones[ONES_SIZE];
  memset(ones, 0xff, sizeof ones);
  *fd = memfd_create("cxlsim-ones", MFD_CLOEXEC);
  if (*fd >= 0 && NEXT(write)(*fd, ones, sizeof ones) != sizeof ones) abort();
  return *fd;
}

static int open_empty(void) {
  if (empty_fd < 0) empty_fd = memfd_create("cxlsim-empty", MFD_CLOEXEC);
  return empty_fd;
}

// The mapping of trapped registers has no access.
static int shown_protection(struct context* context, enum backing backing, int wanted) {
  bool trapped = backing == BACKING_DEVICE && context->trapped;
  return trapped || backing == BACKING_UNTOUCHED ? PROT_NONE : wanted;
}

static void remap(struct mapping* mapping, enum backing backing, uint8_t* start, size_t length,
                  int flags, int fd, uint64_t offset) {
  int sharing = flags & (MAP_SHARED | MAP_PRIVATE);
  int protection = shown_protection(mapping->context, backing, mapping->protection);
  void* at =
      NEXT(mmap)(start, length, protection, sharing | MAP_FIXED | MAP_NORESERVE, fd, (off_t)offset);
  if (at != start) abort();
}

static void back_part(struct mapping* mapping, enum backing backing, uint8_t* start,
                      size_t length) {
  if (backing == BACKING_DEVICE) {
    remap(mapping, backing, start, length, mapping->flags, mapping->context->afu->area_fd,
          mapping->offset + (uint64_t)(start - mapping->start));
  } else if (backing == BACKING_FAULT || backing == BACKING_UNTOUCHED) {
    remap(mapping, backing, start, length, mapping->flags, open_empty(), 0);
  } else {
    bool page = backing == BACKING_PAGE;
    size_t small = page ? page_size() : ONES_SIZE;
    int fd = open_ones(page ? &mapping->context->page_fd : &ones_fd);
    for (size_t done = 0; done < length;) {
      size_t left = length - done;
      size_t step = done < PAGED_SIZE ? small : ONES_SIZE;
      if (step > left) step = left;
      // All ones without a link are private: a store changes this mapping only.
      remap(mapping, backing, start + done, step, page ? mapping->flags : MAP_PRIVATE, fd, 0);
      done += step;
    }
  }
}

static void back_mapping(struct mapping* mapping, enum backing backing) {
  mapping->backing = backing;
  mapping->touched = 0;
  back_part(mapping, backing, mapping->start, mapping->length);
}

void area_back(struct context* context, enum backing backing) {
  if (backing == BACKING_FAULT && context->err_ff) backing = BACKING_PAGE;
  for (struct mapping* mapping = mappings; mapping; mapping = mapping->next) {
    if (mapping->context == context) back_mapping(mapping, backing);
  }
}

// The area of a context whose pages appear one by one has 64 KiB.
static uint64_t page_bit(const struct mapping* mapping, const uint8_t* at) {
  uint64_t offset =
      mapping->offset + (uint64_t)(at - mapping->start) - context_area_offset(mapping->context);
  return 1ull << offset / page_size() % 64;
}

static struct mapping* mapping_at(const uint8_t* at) {
  struct mapping* mapping = mappings;
  while (mapping && (at < mapping->start || at >= mapping->start + mapping->length)) {
    mapping = mapping->next;
  }
  return mapping;
}

static enum backing backing_of(const struct context* context) {
  if (context->unmappable) return BACKING_FAULT;
  bool works = context->status == STARTED && context->afu->card->link_up;
  return works ? BACKING_DEVICE : BACKING_ONES;
}

void area_touch(const void* address) {
  struct mapping* mapping = mapping_at(address);
  size_t within = (size_t)((const uint8_t*)address - mapping->start) & ~(page_size() - 1);
  uint8_t* page = mapping->start + within;
  back_part(mapping, backing_of(mapping->context), page, page_size());
  mapping->touched |= page_bit(mapping, page);
}

static int check_map(struct context* context, int access, size_t length, int protection, int flags,
                     off_t offset) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (length == 0 || ((uint64_t)offset & (page - 1))) return EINVAL;
  if (!(flags & (MAP_SHARED | MAP_PRIVATE))) return EINVAL;
  if (access == O_WRONLY) return EACCES;
  if (access == O_RDONLY && (protection & PROT_WRITE) && (flags & MAP_SHARED)) return EACCES;
  if (context->unmappable) return EIO;
  if (context->status != STARTED || !context->afu->card->link_up) return EIO;
  uint64_t size = context_area_size(context);
  uint64_t start = (uint64_t)offset, rounded = round_up(length);
  if (start > size || rounded > size - start) return EINVAL;
  // With PSL8 the driver does not check a dedicated AFU.
  bool checked = context->afu->mode == MODE_DIRECTED || options.caia == 2;
  return checked && !context->afu->enabled ? EBUSY : 0;
}

void* area_map(struct context* context, int access, void* address, size_t length, int protection,
               int flags, off_t offset) {
  errno = check_map(context, access, length, protection, flags, offset);
  if (errno) return MAP_FAILED;
  struct mapping* mapping = malloc(sizeof *mapping);
  if (!mapping) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  uint64_t start = context_area_offset(context) + (uint64_t)offset;
  enum backing backing = context->paged && TRAP_SUPPORTED ? BACKING_UNTOUCHED : BACKING_DEVICE;
  int shown = shown_protection(context, backing, protection);
  if (shown != protection) trap_install();
  void* at = NEXT(mmap)(address, length, shown, flags, context->afu->area_fd, (off_t)start);
  if (at == MAP_FAILED) {
    int error = errno;
    free(mapping);
    errno = error;
    return at;
  }
  *mapping = (struct mapping){.next = mappings,
                              .context = context,
                              .start = at,
                              .length = round_up(length),
                              .offset = start,
                              .protection = protection,
                              .flags = flags,
                              .backing = backing};
  mappings = mapping;
  count++;
  context->mappings++;
  return at;
}

bool area_find(const void* address, struct area_place* place) {
  const struct mapping* mapping = mapping_at(address);
  if (!mapping) return false;
  struct context* context = mapping->context;
  bool pages = mapping->backing == BACKING_UNTOUCHED;
  if (!pages && !context->trapped) return false;
  uint64_t distance = (uint64_t)((const uint8_t*)address - mapping->start);
  uint64_t offset = mapping->offset + distance - context_area_offset(context);
  enum backing backing = mapping->backing;
  // Only registers have no access then; any other page has been touched by another thread
  // meanwhile.
  if (pages && mapping->touched & page_bit(mapping, address)) {
    backing = context->trapped ? BACKING_DEVICE : BACKING_ONES;
  }
  *place = (struct area_place){context, offset, mapping->protection, backing};
  return true;
}

bool area_any(void) { return __atomic_load_n(&count, __ATOMIC_ACQUIRE) != 0; }
unsigned area_count(void) { return count; }

// The part of a mapping after a hole becomes a mapping of its own.
static bool keep_tail(struct mapping* mapping, uint8_t* tail) {
  struct mapping* rest = malloc(sizeof *rest);
  if (!rest) return false;
  *rest = *mapping;
  rest->start = tail;
  rest->length = (size_t)(mapping->start + mapping->length - tail);
  rest->offset += (uint64_t)(tail - mapping->start);
  mapping->next = rest;
  mapping->context->mappings++;
  count++;
  return true;
}

void area_forget(void* address, size_t length) {
  uint8_t* start = address;
  uint8_t* end = start + round_up(length);
  for (struct mapping** link = &mappings; *link;) {
    struct mapping* mapping = *link;
    uint8_t* mapping_end = mapping->start + mapping->length;
    if (end <= mapping->start || start >= mapping_end) {
      link = &mapping->next;
      continue;
    }
    if (end < mapping_end && !keep_tail(mapping, end)) abort();
    if (start > mapping->start) {
      mapping->length = (size_t)(start - mapping->start);
      link = &mapping->next;
      continue;
    }
    struct context* context = mapping->context;
    *link = mapping->next;
    free(mapping);
    count--;
    context->mappings--;
    context_put(context);
    // context_put may have released the lock, so the list is read again.
    link = &mappings;
  }
}

static struct afu* truncated;
static uint64_t truncations;

static void back_all(struct afu* afu, enum backing backing) {
  for (struct mapping* mapping = mappings; mapping; mapping = mapping->next) {
    if (mapping->context->afu == afu && mapping->context->status == STARTED) {
      back_mapping(mapping, backing);
    }
  }
}

static void* truncate_loop(void* unused) {
  (void)unused;
  for (;;) {
    device_lock();
    struct afu* afu = truncated;
    if (!afu) break;
    back_all(afu, BACKING_FAULT);
    truncations++;
    device_unlock();
    usleep(50);
    device_lock();
    back_all(afu, BACKING_DEVICE);
    if (!truncated) break;
    device_unlock();
    usleep(50);
  }
  device_unlock();
  return NULL;
}

void area_truncate_start(struct afu* afu) {
  bool running = truncated != NULL;
  truncated = afu;
  pthread_t thread;
  if (running || pthread_create(&thread, NULL, truncate_loop, NULL)) return;
  pthread_setname_np(thread, "cxlsim");
  pthread_detach(thread);
}

void area_truncate_stop(void) {
  if (truncated) back_all(truncated, BACKING_DEVICE);
  truncated = NULL;
}

uint64_t area_truncations(void) { return truncations; }
