// SPDX-License-Identifier: Apache-2.0
//
// The SISLite AFU of a context. In SQ mode its registers are memory that is looked at, in
// IOARRIN mode they act on access (host_page.c).

#include "sislite.h"

#include <endian.h>
#include <string.h>

#include "../driver/events.h"
#include "../afu/memory.h"
#include "../afu/registers.h"

// Commands of one context before the next gets its turn.
#define TURN 64

struct ioarcb {
  uint16_t context;
  uint16_t flags;
  uint32_t handle;
  uint64_t lun_id;
  uint32_t data_length;
  uint32_t ioadl_length;
  uint64_t data;
  uint8_t interrupt;
  uint8_t queue;
  uint16_t timeout;
  uint32_t reserved;
  uint8_t cdb[16];
  uint64_t status;
} __attribute__((packed));
_Static_assert(sizeof(struct ioarcb) == 64, "IOARCB");

struct ioasa {
  uint8_t flags, afu, scsi, fc;
  uint32_t residual;
  uint8_t port, afu_extra, scsi_extra, fc_extra;
  uint8_t sense[20];
  uint8_t rest[32];
};
_Static_assert(sizeof(struct ioasa) == STATUS_SIZE, "IOASA");

enum { BY_HANDLE = 0x8000, SUPPRESS_UNDERRUN = 0x4000, TASK = 4, AFU_COMMAND = 2, HOST_WRITE = 1 };
enum { READ_16 = 0x88, WRITE_16 = 0x8a, WRITE_SAME_16 = 0x93, UNMAP = 0x08 };

void sislite_attach(struct flash_context* context) {
  uint8_t* page = context_registers(context_of(context));
  memset(page, 0, HOST_PAGE);
  store_register(page, CMD_ROOM, COMMAND_ROOM);
  store_register(page, CTX_CTRL, UNMAP_SUPPORTED);
  store_register(page, INTR_MASK, INTERRUPTS);
  queue_of(context)->count = 0;
  context->rrq_start = context->rrq_end = context->sq_start = context->sq_end = 0;
  context->enabled = true;
}

static bool big_endian(struct flash_context* context) {
  return load_register(context_registers(context_of(context)), ENDIAN_CONTROL) & 0x80;
}

static void swap_in(struct ioarcb* command, bool big) {
  command->context = big ? be16toh(command->context) : le16toh(command->context);
  command->flags = big ? be16toh(command->flags) : le16toh(command->flags);
  command->handle = big ? be32toh(command->handle) : le32toh(command->handle);
  command->data_length = big ? be32toh(command->data_length) : le32toh(command->data_length);
  command->data = big ? be64toh(command->data) : le64toh(command->data);
  command->status = big ? be64toh(command->status) : le64toh(command->status);
}

void sislite_fail(struct flash_context* context, uint64_t bit) {
  uint8_t* page = context_registers(context_of(context));
  store_register(page, INTR_STATUS, load_register(page, INTR_STATUS) | bit);
  int interrupt = (int)(load_register(page, CTX_CTRL) & 0xff);
  if (!(load_register(page, INTR_MASK) & bit) && interrupt) {
    event_interrupt(context_of(context), interrupt);
  }
}

static void check(struct ioasa* status, uint8_t key, uint8_t code) {
  status->flags = 0x80;
  status->scsi = 0x02;
  status->sense[0] = 0x70;
  status->sense[2] = key;
  status->sense[7] = 10;
  status->sense[12] = code;
}

static void bad_address(struct ioasa* status) {
  status->afu = 0x31;
  status->afu_extra = 0x0b;
}

static void transfer(const struct ioarcb* command, const struct flash_lun* lun, uint64_t byte,
                     uint64_t bytes, bool writing, struct ioasa* status) {
  uint64_t moved = command->data_length < bytes ? command->data_length : bytes;
  if (command->data & 15) {
    bad_address(status);
    return;
  }
  size_t done = writing ? lun_write(lun, byte, command->data, moved)
                        : lun_read(lun, byte, command->data, moved);
  if (done < moved) {
    bad_address(status);
  } else if (command->data_length < bytes) {
    *status = (struct ioasa){.flags = 0x20, .fc = 0x5a, .residual = (uint32_t)(bytes - moved)};
  } else if (command->data_length > bytes && !(command->flags & SUPPRESS_UNDERRUN)) {
    *status = (struct ioasa){
        .flags = 0x10, .fc = 0x5a, .residual = (uint32_t)(command->data_length - bytes)};
  }
}

static void on_medium(const struct ioarcb* command, struct handle* handle, uint64_t lba,
                      uint64_t blocks, struct ioasa* status) {
  struct flash_lun* lun = &flash->luns[handle->lun];
  uint64_t place = lba;
  if (handle->kind == HANDLE_VIRTUAL) {
    uint64_t chunk = lba / CHUNK_BLOCKS;
    uint64_t last = blocks ? lba + blocks - 1 : lba;
    // A command has one translation: it may not run on into the next chunk.
    if (chunk >= (uint64_t)handle->chunk_count || last / CHUNK_BLOCKS != chunk) {
      status->afu = 0x13;
      return;
    }
    place = handle->chunks[chunk] * CHUNK_BLOCKS + lba % CHUNK_BLOCKS;
  }
  uint32_t ports = handle->kind == HANDLE_VIRTUAL ? lun->ports : handle->ports;
  if (!(ports & flash->ports_up)) {
    status->afu = 0x20;
    status->afu_extra = (uint8_t)((flash->ports_up & 3) << 2 | (ports & 3));
    return;
  }
  if (place + blocks > lun->blocks) {
    check(status, 0x05, 0x21);
    return;
  }
  uint64_t byte = place * lun->block_size, bytes = (uint64_t)blocks * lun->block_size;
  uint8_t operation = command->cdb[0];
  if (operation != WRITE_SAME_16) {
    transfer(command, lun, byte, bytes, operation == WRITE_16, status);
  } else if (command->cdb[1] & UNMAP) {
    lun_discard(lun, byte, bytes);
  } else {
    check(status, 0x05, 0x24);
  }
}

static void carry_out(struct flash_context* context, const struct ioarcb* command,
                      struct ioasa* status) {
  // A user context may do no more than read and write, as itself, by resource handle.
  if (!context->enabled || command->context != (uint16_t)context_of(context)->external_pe ||
      !(command->flags & BY_HANDLE) || (command->flags & (TASK | AFU_COMMAND))) {
    status->afu = 0x21;
    return;
  }
  if (command->handle >= (uint32_t)flash->handles) {
    status->afu = 0x03;
    return;
  }
  struct handle* handle = &handles_of(context)[command->handle];
  uint8_t operation = command->cdb[0];
  bool writes = operation == WRITE_16 || operation == WRITE_SAME_16;
  uint64_t lba;
  uint32_t blocks;
  memcpy(&lba, command->cdb + 2, sizeof lba);
  memcpy(&blocks, command->cdb + 10, sizeof blocks);
  if (handle->kind == HANDLE_FREE) {
    status->afu = 0x01;
  } else if (operation != READ_16 && !writes) {
    status->afu = 0x21;
  } else if (!(handle->permissions & (writes ? 2u : 1u))) {
    status->afu = 0x05;
  } else if (writes != ((command->flags & HOST_WRITE) != 0)) {
    check(status, 0x05, 0x24);
  } else {
    on_medium(command, handle, be64toh(lba), be32toh(blocks), status);
  }
}

static void respond(struct flash_context* context, uint64_t address, uint8_t interrupt, bool big) {
  uint64_t entry = address | context->toggle;
  entry = big ? htobe64(entry) : htole64(entry);
  if (!context->rrq_end || memory_store(context->rrq_next, &entry, sizeof entry) < sizeof entry) {
    sislite_fail(context, RRQ_WRITE);
    return;
  }
  if (context->rrq_next >= context->rrq_end) {
    context->rrq_next = context->rrq_start;
    context->toggle ^= 1;
  } else {
    context->rrq_next += sizeof entry;
  }
  if (interrupt) event_interrupt(context_of(context), interrupt);
}

static void execute(struct flash_context* context, uint64_t address) {
  struct ioarcb command;
  struct ioasa status = {0};
  bool big = big_endian(context);
  if ((address & 15) || memory_load(&command, address, sizeof command) < sizeof command) {
    sislite_fail(context, RCB_READ);
    return;
  }
  swap_in(&command, big);
  if (flash->status_count > 0) {
    memcpy(&status, flash->statuses[0], sizeof status);
    flash->status_count--;
    memmove(flash->statuses, flash->statuses + 1,
            sizeof *flash->statuses * (size_t)flash->status_count);
    status.residual = be32toh(status.residual);
  } else {
    carry_out(context, &command, &status);
  }
  status.residual = big ? htobe32(status.residual) : htole32(status.residual);
  uint64_t place = context->squeue ? command.status : address + sizeof command;
  if (memory_store(place, &status, sizeof status) < sizeof status) {
    sislite_fail(context, SA_WRITE);
    return;
  }
  respond(context, context->squeue ? place : address, command.interrupt, big);
}

// Rings count as programmed anew when either end changes.
static void take_rings(struct flash_context* context, uint8_t* page) {
  uint64_t start = load_register(page, RRQ_START), end = load_register(page, RRQ_END);
  if (start != context->rrq_start || end != context->rrq_end) {
    context->rrq_start = context->rrq_next = start;
    context->rrq_end = end;
    context->toggle = 1;
  }
  start = load_register(page, SQ_START);
  end = load_register(page, SQ_END);
  if (start != context->sq_start || end != context->sq_end) {
    context->sq_start = context->sq_head = start;
    context->sq_end = end;
  }
}

static bool step_ring(struct flash_context* context) {
  uint8_t* page = context_registers(context_of(context));
  uint64_t tail = load_register(page, SQ_TAIL);
  bool worked = false;
  take_rings(context, page);
  if (load_register(page, SQ_CTX_RESET) & 1) {
    if (tail) context->sq_head = tail;
    store_register(page, SQ_HEAD, context->sq_head);
    store_register(page, SQ_CTX_RESET, 0);
    return true;
  }
  if (!tail || !context->sq_end || flash->held) return false;
  for (int turn = 0; turn < TURN && context->sq_head != tail; turn++) {
    uint64_t address = context->sq_head;
    context->sq_head =
        address >= context->sq_end ? context->sq_start : address + sizeof(struct ioarcb);
    execute(context, address);
    worked = true;
  }
  if (worked) store_register(page, SQ_HEAD, context->sq_head);
  return worked;
}

static bool step_queue(struct flash_context* context) {
  struct command_queue* queue = queue_of(context);
  int done = 0, turn = queue->count < TURN ? queue->count : TURN;
  if (flash->held) return false;
  for (; done < turn; done++) execute(context, queue->addresses[done]);
  queue->count -= done;
  memmove(queue->addresses, queue->addresses + done,
          sizeof *queue->addresses * (size_t)queue->count);
  return done > 0;
}

bool sislite_step(struct flash_context* context) {
  return context->squeue ? step_ring(context) : step_queue(context);
}
