// SPDX-License-Identifier: Apache-2.0
//
// The adapter's tables. Lock held throughout.

#pragma once

#include "../context.h"

#define FLASH_LUNS 3
#define FLASH_PATHS 5
#define FLASH_CONTEXTS 512
#define BLOCK_SIZE 4096ull
#define CHUNK_BLOCKS 65536ull
#define MOST_CHUNKS 8
#define MOST_STATUSES 64
#define STATUS_SIZE 64
#define HOST_PAGE 65536

enum lun_mode { LUN_FREE, LUN_VIRTUAL, LUN_PHYSICAL };

struct flash_lun {
  char wwid[33];
  uint64_t blocks;  // as the medium has it
  bool unreadable;
  uint8_t* data;
  uint64_t last_lba;  // as the driver knows it
  enum lun_mode mode;
  int users;
  uint32_t ports;                // by which superpipe is enabled
  uint16_t owners[MOST_CHUNKS];  // of each chunk
};

struct flash_path {
  const char* node;
  const char* address;
  struct flash_lun* lun;
  int port;
  bool superpipe;
};

enum handle_kind { HANDLE_FREE, HANDLE_VIRTUAL, HANDLE_PHYSICAL };

struct handle {
  enum handle_kind kind;
  uint32_t permissions;
  struct flash_lun* lun;
  int chunk_count;
  uint8_t chunks[MOST_CHUNKS];
  bool scrub;
  uint32_t ports;
};

struct flash_context {
  struct context* context;
  uint64_t id;
  int pid;
  uint32_t permissions;
  int interrupts;
  int references;
  bool in_error;
  struct flash_lun* luns[FLASH_LUNS];
  struct handle* table;
  // The AFU's side.
  bool enabled;
  uint64_t rrq_start, rrq_end, rrq_next, toggle;
  uint64_t sq_start, sq_end, sq_head;
};

struct flash_adapter {
  bool ready;
  enum { ADAPTER_NORMAL, ADAPTER_RESET, ADAPTER_FAILED } state;
  int64_t reset_ends;
  bool reset_fails;
  int slow_syncs;
  uint32_t ports_up;
  bool held;
  uint8_t statuses[MOST_STATUSES][STATUS_SIZE];
  int status_count;
  struct flash_lun luns[FLASH_LUNS];
  struct flash_path paths[FLASH_PATHS];
  struct flash_context* contexts[FLASH_CONTEXTS];
  int handles;  // entries of a context's table
  struct card card;
  struct afu afu;
};

extern struct flash_adapter flash;

// False when the AFU is too slow to answer.
bool sync_afu(void);
// One mode at a time: false when the LUN is in use in the other.
bool lun_attach(struct flash_lun* lun, enum lun_mode mode);
void lun_detach(struct flash_lun* lun);
bool read_capacity(struct flash_lun* lun);
int total_chunks(struct flash_lun* lun);
struct handle* find_handle(struct flash_context* context, uint64_t number, struct flash_lun* lun);
// NULL when the table is full.
struct handle* check_out(struct flash_context* context, struct flash_lun* lun,
                         enum handle_kind kind);
void check_in(struct handle* handle);
uint64_t last_lba_of(struct handle* handle);
// 0 or a negative errno.
int resize_handle(struct flash_context* context, struct flash_lun* lun, struct handle* handle,
                  uint64_t blocks);
int release_handle(struct flash_context* context, struct flash_lun* lun, struct handle* handle);

// A command of the AFU, and the registers by which a test asks for trouble.
bool sislite_step(struct flash_context* context);
void sislite_attach(struct flash_context* context);
bool flash_provoke(struct flash_context* context);
void flash_reset(uint64_t milliseconds);
