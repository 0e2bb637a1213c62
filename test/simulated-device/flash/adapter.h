// SPDX-License-Identifier: Apache-2.0
//
// The adapter's tables. They are in memory that a process shares with its descendants, so they
// contain no pointers; what belongs to one process alone is in `this_process`. Every function
// needs both locks, the device's and, taken after it, the adapter's.

#pragma once

#include <pthread.h>

#include "../driver/context.h"
#include "sislite.h"

#define FLASH_LUNS 5
#define FLASH_PATHS 8
#define FLASH_PORTS 2
#define FLASH_CONTEXTS 512
// The unit of sizes in the ioctls of virtual LUNs, whatever the LUN has for a block.
#define SIZE_UNIT 4096ull
#define CHUNK_BLOCKS 65536ull
#define MAX_CHUNKS 512
#define MAX_HANDLES 4096
#define MAX_STATUSES 64
#define MAX_PROVISIONED 256
#define SCRATCH_SIZE 262144
#define COMMAND_ROOM 128

enum lun_mode { LUN_FREE, LUN_VIRTUAL, LUN_PHYSICAL };

struct flash_lun {
  uint32_t block_size;
  uint64_t blocks;  // as the medium has it
  uint64_t data;    // where in the memory file its blocks are
  bool unreadable;
  uint64_t last_lba;  // as the driver knows it
  enum lun_mode mode;
  int users;
  uint32_t ports;               // by which superpipe is enabled
  bool in_table;                // it has a place in the LUN table
  uint16_t owners[MAX_CHUNKS];  // of each chunk
  int current_word;             // of 64 chunks: where the search for a free one begins
};

// A LUN as one port shows it.
struct flash_path {
  int lun;
  int port;
};

enum handle_kind { HANDLE_FREE, HANDLE_VIRTUAL, HANDLE_PHYSICAL };

struct handle {
  enum handle_kind kind;
  uint32_t permissions;
  int lun;
  int chunk_count;
  bool scrub;
  uint32_t ports;
};

struct flash_context {
  int pid;  // 0: a free record
  uint32_t cookie;
  uint64_t id;
  uint32_t permissions;
  int interrupts;
  int references;
  bool in_error;
  uint32_t luns;  // a bit each
  // The AFU's side, run by the process that has the context.
  bool enabled;
  bool squeue;
  uint64_t rrq_start, rrq_end, rrq_next, toggle;
  uint64_t sq_start, sq_end, sq_head;
};

struct flash_adapter {
  uint64_t version;  // set last: the rest is there
  pthread_mutex_t lock;
  int owner;  // the process that has the lock, 0 while none has
  enum { ADAPTER_NORMAL, ADAPTER_RESET, ADAPTER_FAILED } state;
  bool removed;           // no driver is bound
  uint32_t transitions;   // odd while registers read as all ones
  int64_t notice_at;      // when the driver notices that they do; 0: it has
  uint64_t notice_reset;  // and how long the reset takes then
  int64_t reset_ends;
  bool reset_fails;
  int slow_syncs;
  bool stuck_sync;  // the next one: the driver resets the AFU
  uint64_t stuck_sync_reset;
  int closed_contexts;  // how many attaches from now on find their context closed
  uint32_t ports_up;
  bool held;
  struct sisl_ioasa statuses[MAX_STATUSES];
  int status_count;
  struct flash_lun luns[FLASH_LUNS];
  bool superpipe[FLASH_PATHS];
  // The next places of the LUN table: for a LUN on both ports, and for one on a port alone.
  int shared_place;
  int own_place[FLASH_PORTS];
  uint32_t cookies;
  int handles;  // entries of a context's table
  struct claim claims[FLASH_CONTEXTS];
  struct flash_context contexts[FLASH_CONTEXTS];
  struct {
    uint64_t blocks;  // 0: free
    int port;
  } provisioned[MAX_PROVISIONED];
  uint8_t scratch[SCRATCH_SIZE];
  struct handle tables[FLASH_CONTEXTS][MAX_HANDLES];
  // The chunks of each virtual LUN, by number. Takes memory only where one has chunks.
  uint16_t chunks[FLASH_CONTEXTS][MAX_HANDLES][MAX_CHUNKS];
};

// NULL until the process first uses the adapter.
extern struct flash_adapter* flash;

// Addresses of commands that were stored to a context's IOARRIN and have not been executed.
struct command_queue {
  int count;
  uint64_t addresses[COMMAND_ROOM];
};

// This process's part of the adapter: its contexts, by record, and the AFU that they belong to.
struct flash_process {
  struct context* contexts[FLASH_CONTEXTS];
  struct command_queue queues[FLASH_CONTEXTS];
  uint32_t transitions;  // of the adapter, as last seen by flash_catch_up
  struct card card;
  struct afu afu;
};
extern struct flash_process this_process;

extern const char* const lun_names[FLASH_LUNS];
extern const struct flash_path flash_paths[FLASH_PATHS];

static inline struct flash_lun* lun_of(const struct flash_path* path) {
  return &flash->luns[path->lun];
}
static inline int lun_index(const struct flash_lun* lun) { return (int)(lun - flash->luns); }
static inline int record_index(const struct flash_context* record) {
  return (int)(record - flash->contexts);
}
static inline struct handle* handles_of(const struct flash_context* record) {
  return flash->tables[record_index(record)];
}
static inline uint16_t* handle_chunk(const struct handle* handle, int index) {
  return &flash->chunks[0][handle - flash->tables[0]][index];
}
// The kernel's context behind a record of this process.
static inline struct context* context_of(const struct flash_context* record) {
  return this_process.contexts[record_index(record)];
}

static inline struct command_queue* queue_of(const struct flash_context* record) {
  return &this_process.queues[record_index(record)];
}

// Needs the device lock. The first call of a process creates the adapter or finds an ancestor's;
// each call applies what other processes have changed.
void flash_lock(void);
void flash_unlock(void);
bool segment_alive(int pid);
uint32_t flash_block_size(int lun);
// The bytes read as zeros afterwards and take no memory.
void lun_discard(const struct flash_lun* lun, uint64_t byte, uint64_t size);
// Between the medium and the program's memory; the number of bytes copied.
size_t lun_read(const struct flash_lun* lun, uint64_t byte, uint64_t address, size_t size);
size_t lun_write(const struct flash_lun* lun, uint64_t byte, uint64_t address, size_t size);

// Records of contexts.
struct flash_context* record_new(int pid);
void record_free(struct flash_context* record);
// Releases all resources of a context, and its record.
void record_release(struct flash_context* record);
// The pid's context of that cookie and on that LUN (any, for NULL).
struct flash_context* record_find(uint64_t id, int pid, struct flash_lun* lun, bool in_error);
bool record_reaches(struct flash_context* record, struct flash_lun* lun);
// Frees those of a process, or, for 0, of all processes that have ended.
void records_sweep(int pid);

// False when the AFU does not answer in time.
bool sync_afu(void);
// False when the LUN is in use in the other mode.
bool lun_attach(struct flash_lun* lun, enum lun_mode mode);
void lun_detach(struct flash_lun* lun);
bool read_capacity(struct flash_lun* lun);
// Gives a LUN its place in the LUN table, unless it has one. 0, or -ENOSPC.
int lun_enter_table(struct flash_lun* lun);
void lun_clear_table(void);
int total_chunks(struct flash_lun* lun);
struct handle* find_handle(struct flash_context* context, uint64_t number, struct flash_lun* lun);
// NULL when the table is full.
struct handle* check_out(struct flash_context* context, struct flash_lun* lun,
                         enum handle_kind kind);
void check_in(struct handle* handle);
// Of a virtual LUN, and the sizes of those: in SIZE_UNIT.
uint64_t last_lba_of(struct handle* handle);
// 0 or a negative errno.
int resize_handle(struct flash_context* context, struct flash_lun* lun, struct handle* handle,
                  uint64_t size);
int release_handle(struct flash_context* context, struct flash_lun* lun, struct handle* handle);
// Releases those of the LUN.
void release_handles(struct flash_context* context, struct flash_lun* lun);
// Copies the handles to a context that has none yet; the chunks are shared. 0 or a negative errno.
int clone_handles(struct flash_context* source, struct flash_context* target,
                  struct flash_lun* lun);

// Runs commands of a context for a while; true when there were any.
bool sislite_step(struct flash_context* context);
void sislite_attach(struct flash_context* context);
// Reports an error that no status can, as a bit of intr_status.
void sislite_fail(struct flash_context* context, uint64_t bit);
// Carries out what is in the injection registers; true when there was a command.
bool flash_inject(struct flash_context* context);
// The registers of a context in IOARRIN mode.
extern const struct trapped_registers host_page;
void flash_reset(uint64_t milliseconds);
// Registers read as all ones; after `delay` milliseconds the driver notices and begins a reset.
void flash_break_link(uint64_t delay, uint64_t milliseconds);
static inline bool reads_all_ones(void) { return flash->transitions & 1; }
// Applies what has changed since the last call: the end of a reset, or a reset by another process.
void flash_catch_up(void);
