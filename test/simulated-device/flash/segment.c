// SPDX-License-Identifier: Apache-2.0
//
// The memory file of the adapter: its tables, which are mapped, then the blocks of its LUNs, which
// are read and written. A process uses the file of its nearest ancestor that has one, or creates
// its own. It finds the file in /proc: an environment variable would have to be set while other
// threads of the program may read the environment.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../calls/next.h"
#include "../driver/area.h"
#include "adapter.h"
#include "flash.h"

#define NAME "cxlsim-flash"
#define IRQS_MIN 2
#define INTERRUPTS 2037
// How long to wait for an ancestor that is creating its adapter.
#define JOIN_TIMEOUT_MS 1000

struct flash_adapter* flash;
struct flash_process this_process;

static int segment_fd = -1;
static bool member;

static const struct {
  uint32_t block_size;
  uint64_t blocks;
} media[FLASH_LUNS] = {
    {4096, 262144}, {4096, 131072}, {4096, 1000}, {512, 262144}, {4096, 512 * CHUNK_BLOCKS}};

// Bytes between the starts of two LUNs in the file. What was never written takes no memory.
#define LUN_DISTANCE (1ull << 40)

// Differs from that of a build with another layout of the tables.
static const uint64_t version = 0xf1a5000000000000ull | sizeof(struct flash_adapter);

static size_t round_up(size_t size) {
  return (size + SISL_HOST_MAP_SIZE - 1) & ~(size_t)(SISL_HOST_MAP_SIZE - 1);
}

uint32_t flash_block_size(int lun) { return media[lun].block_size; }

static size_t segment_size(void) { return round_up(sizeof *flash) + FLASH_LUNS * LUN_DISTANCE; }

static struct flash_adapter* map(int fd) {
  void* at =
      NEXT(mmap)(NULL, sizeof *flash, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  return at == MAP_FAILED ? NULL : at;
}

static bool ready(const struct flash_adapter* adapter) {
  for (int waited = 0; waited < JOIN_TIMEOUT_MS; waited++) {
    if (__atomic_load_n(&adapter->version, __ATOMIC_ACQUIRE)) break;
    sleep_ms(1);
  }
  return adapter->version == version;
}

static bool join(const char* descriptor) {
  struct stat found;
  int fd = NEXT(open)(descriptor, O_RDWR | O_CLOEXEC);
  if (fd < 0) return false;
  struct flash_adapter* adapter = NULL;
  if (fstat(fd, &found) == 0 && (size_t)found.st_size == segment_size()) adapter = map(fd);
  if (adapter && ready(adapter)) {
    segment_fd = fd;
    flash = adapter;
    return true;
  }
  if (adapter) NEXT(munmap)(adapter, sizeof *adapter);
  NEXT(close)(fd);
  return false;
}

static bool join_process(int pid) {
  char place[300], name[64];
  snprintf(place, sizeof place, "/proc/%d/fd", pid);
  DIR* folder = opendir(place);
  if (!folder) return false;
  bool joined = false;
  for (struct dirent* entry; !joined && (entry = readdir(folder));) {
    snprintf(place, sizeof place, "/proc/%d/fd/%s", pid, entry->d_name);
    ssize_t length = NEXT(readlink)(place, name, sizeof name - 1);
    name[length > 0 ? length : 0] = 0;
    if (strncmp(name, "/memfd:" NAME, strlen("/memfd:" NAME)) == 0) joined = join(place);
  }
  closedir(folder);
  return joined;
}

static int parent_of(int pid) {
  char text[512];
  snprintf(text, sizeof text, "/proc/%d/stat", pid);
  int fd = NEXT(open)(text, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t size = NEXT(read)(fd, text, sizeof text - 1);
  NEXT(close)(fd);
  text[size > 0 ? size : 0] = 0;
  char* state = strrchr(text, ')');
  int parent = 0;
  return state && sscanf(state + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static bool join_ancestor(void) {
  for (int pid = getppid(); pid > 1; pid = parent_of(pid)) {
    if (join_process(pid)) return true;
  }
  return false;
}

static void create_lock(void) {
  pthread_mutexattr_t kind;
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
  // When a process is killed while it holds the lock, the next one gets it.
  pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&flash->lock, &kind);
  pthread_mutexattr_destroy(&kind);
}

static void create(void) {
  segment_fd = memfd_create(NAME, MFD_CLOEXEC);
  if (segment_fd < 0 || ftruncate(segment_fd, (off_t)segment_size())) abort();
  flash = map(segment_fd);
  if (!flash) abort();
  create_lock();
  flash->ports_up = 3;
  lun_clear_table();
  flash->handles = (int)(sysconf(_SC_PAGESIZE) / 16);
  for (int i = 0; i < FLASH_LUNS; i++) {
    flash->luns[i].block_size = media[i].block_size;
    flash->luns[i].blocks = media[i].blocks;
    flash->luns[i].data = round_up(sizeof *flash) + (uint64_t)i * LUN_DISTANCE;
  }
  __atomic_store_n(&flash->version, version, __ATOMIC_RELEASE);
}

static void prepare_this_process(void) {
  this_process.card = (struct card){.number = CARDS,
                                    .present = true,
                                    .link_up = true,
                                    .irqs_free = INTERRUPTS,
                                    .afu = &this_process.afu};
  this_process.afu = (struct afu){.card = &this_process.card,
                                  .mode = MODE_DIRECTED,
                                  .best_mode = MODE_DIRECTED,
                                  .modes_supported = MODE_DIRECTED,
                                  .processes = FLASH_CONTEXTS,
                                  .num_procs = FLASH_CONTEXTS,
                                  .claims = flash->claims,
                                  .irqs_min = IRQS_MIN,
                                  .irqs_max = INTERRUPTS,
                                  .ps_size = (uint64_t)FLASH_CONTEXTS * SISL_HOST_MAP_SIZE,
                                  .pp_size = SISL_HOST_MAP_SIZE,
                                  .area_fd = -1};
  this_process.afu.contexts = calloc(FLASH_CONTEXTS, sizeof *this_process.afu.contexts);
  if (!this_process.afu.contexts || area_create(&this_process.afu)) abort();
}

// Each process locks the byte at the offset of its pid. The lock ends with the process (a zombie
// has none) or its program, and the child of a fork does not inherit it.
static struct flock byte_of(int pid) {
  return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = pid, .l_len = 1};
}

bool segment_alive(int pid) {
  struct flock byte = byte_of(pid);
  return pid == getpid() || NEXT(fcntl)(segment_fd, F_GETLK, &byte) || byte.l_type != F_UNLCK;
}

static void become_member(void) {
  struct flock byte = byte_of(getpid());
  if (NEXT(fcntl)(segment_fd, F_SETLK, &byte)) abort();
  member = true;
}

static void open_segment(void) {
  if (flash) return;
  if (!join_ancestor()) create();
  prepare_this_process();
}

// An emulator may not support robust mutexes. When the owner has died, a process that waits
// initializes the mutex again.
static void release_of_dead(void) {
  int owner = __atomic_load_n(&flash->owner, __ATOMIC_ACQUIRE);
  if (!owner || segment_alive(owner)) return;
  if (__atomic_compare_exchange_n(&flash->owner, &owner, 0, false, __ATOMIC_ACQ_REL,
                                  __ATOMIC_ACQUIRE)) {
    create_lock();
  }
}

static void take_lock(void) {
  struct timespec until;
  for (;;) {
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    int error = pthread_mutex_timedlock(&flash->lock, &until);
    // The owner can only have left wrong counts, which are discarded with its records.
    if (error == EOWNERDEAD) pthread_mutex_consistent(&flash->lock);
    if (error != ETIMEDOUT) break;
    release_of_dead();
  }
  __atomic_store_n(&flash->owner, getpid(), __ATOMIC_RELEASE);
}

void flash_lock(void) {
  open_segment();
  take_lock();
  if (!member) {
    // Records of an earlier program of this process, or of an earlier process with this pid.
    records_sweep(getpid());
    become_member();
  }
  flash_catch_up();
}

void flash_unlock(void) {
  __atomic_store_n(&flash->owner, 0, __ATOMIC_RELEASE);
  pthread_mutex_unlock(&flash->lock);
}

void flash_forked(void) {
  if (!flash) return;
  member = false;
  for (int pe = 0; pe < FLASH_CONTEXTS; pe++) {
    if (this_process.afu.contexts[pe]) this_process.afu.contexts[pe]->foreign = true;
  }
  memset(this_process.contexts, 0, sizeof this_process.contexts);
  this_process.card.contexts = 0;
  this_process.card.irqs_free = INTERRUPTS;
  area_forked(&this_process.afu);
}

// The kernel copies, so it checks the program's addresses, and reading blocks that were never
// written uses no memory. System calls, because the thread sanitizer takes a call of the C library
// for an access by the program.
size_t lun_read(const struct flash_lun* lun, uint64_t byte, uint64_t address, size_t size) {
  off_t place = (off_t)(lun->data + byte);
  long done = NEXT(syscall)(SYS_pread64, segment_fd, address, size, place);
  return done > 0 ? (size_t)done : 0;
}

size_t lun_write(const struct flash_lun* lun, uint64_t byte, uint64_t address, size_t size) {
  off_t place = (off_t)(lun->data + byte);
  long done = NEXT(syscall)(SYS_pwrite64, segment_fd, address, size, place);
  return done > 0 ? (size_t)done : 0;
}

void lun_discard(const struct flash_lun* lun, uint64_t byte, uint64_t size) {
  static const uint8_t zeros[SISL_HOST_MAP_SIZE];
  off_t start = (off_t)(lun->data + byte), length = (off_t)size;
  if (!fallocate(segment_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, length)) return;
  for (uint64_t done = 0; done < size; done += sizeof zeros) {
    size_t left = size - done < sizeof zeros ? (size_t)(size - done) : sizeof zeros;
    if (lun_write(lun, byte + done, (uintptr_t)zeros, left) < left) abort();
  }
}
