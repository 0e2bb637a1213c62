// SPDX-License-Identifier: Apache-2.0
//
// The SISLite AFU of a context. In SQ mode the engine's thread polls the registers; in IOARRIN mode
// each access to a register takes effect at once (host_page.c).

#include <endian.h>
#include <string.h>
#include <unistd.h>

#include "../afu/memory.h"
#include "../afu/registers.h"
#include "../driver/events.h"
#include "adapter.h"

// Commands of one context before those of the next.
#define TURN 64

// Every condition of intr_mask, masked.
#define ALL_MASKED 0x7ffull
#define WRITE_SAME_UNMAP 0x08
// Blocks that a WRITE SAME with data can write.
#define MAX_WRITE_SAME 65536
#define MAX_BLOCK_SIZE 4096
// Bytes that a command can transfer.
#define MAX_TRANSFER 16777216ull

enum { ILLEGAL_REQUEST = 0x05 };
enum { LBA_OUT_OF_RANGE = 0x21, INVALID_FIELD_IN_CDB = 0x24 };

void sislite_attach(struct flash_context* context) {
  uint8_t* page = context_registers(context_of(context));
  memset(page, 0, SISL_HOST_MAP_SIZE);
  store_register(page, SISL_CMD_ROOM, COMMAND_ROOM);
  store_register(page, SISL_CTX_CTRL, SISL_CTX_CTRL_UNMAP_SECTOR);
  store_register(page, SISL_INTR_MASK, ALL_MASKED);
  queue_of(context)->count = 0;
  context->rrq_start = context->rrq_end = context->sq_start = context->sq_end = 0;
  context->enabled = true;
}

static bool big_endian(struct flash_context* context) {
  return load_register(context_registers(context_of(context)), SISL_ENDIAN_CTRL) & 0x80;
}

static void to_host_order(struct sisl_ioarcb* command, bool big) {
  command->ctx_id = big ? be16toh(command->ctx_id) : le16toh(command->ctx_id);
  command->req_flags = big ? be16toh(command->req_flags) : le16toh(command->req_flags);
  command->res_hndl = big ? be32toh(command->res_hndl) : le32toh(command->res_hndl);
  command->data_len = big ? be32toh(command->data_len) : le32toh(command->data_len);
  command->data_ea = big ? be64toh(command->data_ea) : le64toh(command->data_ea);
  command->ioasa = big ? be64toh(command->ioasa) : le64toh(command->ioasa);
}

void sislite_fail(struct flash_context* context, uint64_t bit) {
  uint8_t* page = context_registers(context_of(context));
  store_register(page, SISL_INTR_STATUS, load_register(page, SISL_INTR_STATUS) | bit);
  int interrupt = (int)(load_register(page, SISL_CTX_CTRL) & SISL_CTX_CTRL_LISN);
  if (!(load_register(page, SISL_INTR_MASK) & bit) && interrupt) {
    event_interrupt(context_of(context), interrupt);
  }
}

static void check_condition(struct sisl_ioasa* status, uint8_t key, uint8_t code) {
  status->rc.flags = SISL_RC_FLAGS_SENSE_VALID;
  status->rc.scsi_rc = SISL_SCSI_RC_CHECK;
  status->sense_data[0] = 0x70;
  status->sense_data[2] = key;
  status->sense_data[7] = 10;
  status->sense_data[12] = code;
}

// The process gets a data storage event with the first address that cannot be translated, of which
// `done` bytes could be. Those end with a page.
static void report_fault(struct flash_context* context, uint64_t address, size_t done, bool store) {
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
  uint64_t first = done ? (address + done + page - 1) & ~(page - 1) : address;
  event_fault(context_of(context), first, store);
}

// Between the AFU and the program's memory. False when an address cannot be translated.
static bool fetch(struct flash_context* context, void* target, uint64_t address, size_t size) {
  size_t done = memory_load(target, address, size);
  if (done < size) report_fault(context, address, done, false);
  return done == size;
}

static bool put(struct flash_context* context, uint64_t address, const void* source, size_t size) {
  size_t done = memory_store(address, source, size);
  if (done < size) report_fault(context, address, done, true);
  return done == size;
}

static void bad_address(struct sisl_ioasa* status) {
  status->rc.afu_rc = SISL_AFU_RC_DATA_DMA_ERR;
  status->afu_extra = SISL_AFU_DMA_ERR_INVALID_EA;
}

static void transfer(struct flash_context* context, const struct sisl_ioarcb* command,
                     const struct flash_lun* lun, uint64_t byte, uint64_t bytes,
                     struct sisl_ioasa* status) {
  bool writing = command->cdb[0] == SCSI_WRITE_16;
  uint64_t moved = command->data_len < bytes ? command->data_len : bytes;
  if (writing && moved < bytes) {
    // The target refuses a write whose data are fewer than its CDB says.
    check_condition(status, ILLEGAL_REQUEST, INVALID_FIELD_IN_CDB);
    return;
  }
  size_t done = writing ? lun_write(lun, byte, command->data_ea, moved)
                        : lun_read(lun, byte, command->data_ea, moved);
  if (done < moved) {
    report_fault(context, command->data_ea, done, !writing);
    bad_address(status);
  } else if (command->data_len < bytes) {
    *status = (struct sisl_ioasa){.rc = {.flags = SISL_RC_FLAGS_OVERRUN, .fc_rc = SISL_FC_RC_RESID},
                                  .resid = (uint32_t)(bytes - moved)};
  } else if (command->data_len > bytes && !(command->req_flags & SISL_REQ_FLAGS_SUP_UNDERRUN)) {
    *status =
        (struct sisl_ioasa){.rc = {.flags = SISL_RC_FLAGS_UNDERRUN, .fc_rc = SISL_FC_RC_RESID},
                            .resid = (uint32_t)(command->data_len - bytes)};
  }
}

// Unmaps blocks, or writes one block of data to each of them.
static void write_same(struct flash_context* context, const struct sisl_ioarcb* command,
                       const struct flash_lun* lun, uint64_t byte, uint64_t blocks,
                       struct sisl_ioasa* status) {
  uint8_t data[MAX_BLOCK_SIZE];
  if (command->cdb[1] & WRITE_SAME_UNMAP) {
    lun_discard(lun, byte, blocks * lun->block_size);
    return;
  }
  if (command->data_len < lun->block_size || blocks > MAX_WRITE_SAME) {
    check_condition(status, ILLEGAL_REQUEST, INVALID_FIELD_IN_CDB);
    return;
  }
  if (!fetch(context, data, command->data_ea, lun->block_size)) {
    bad_address(status);
    return;
  }
  for (uint64_t block = 0; block < blocks; block++) {
    lun_write(lun, byte + block * lun->block_size, (uintptr_t)data, lun->block_size);
  }
}

// Whether a command to a virtual LUN moves more than a command may, or writes more blocks than its
// data begin. The AFU reports both as out of the chunks' bounds.
static bool exceeds_data(const struct sisl_ioarcb* command, uint64_t blocks, uint64_t block_size) {
  if (command->cdb[0] == SCSI_WRITE_SAME_16) return false;
  if (blocks * block_size > MAX_TRANSFER) return true;
  uint64_t begun = (command->data_len + block_size - 1) / block_size;
  return command->cdb[0] == SCSI_WRITE_16 && command->data_len && blocks > begun;
}

static void on_medium(struct flash_context* context, const struct sisl_ioarcb* command,
                      struct handle* handle, uint64_t lba, uint64_t blocks,
                      struct sisl_ioasa* status) {
  struct flash_lun* lun = &flash->luns[handle->lun];
  uint64_t place = lba;
  if (handle->kind == HANDLE_VIRTUAL) {
    uint64_t chunk = lba / CHUNK_BLOCKS;
    uint64_t last = blocks ? lba + blocks - 1 : lba;
    // A command is translated once, so it may not cross into the next chunk.
    if (chunk >= (uint64_t)handle->chunk_count || last / CHUNK_BLOCKS != chunk ||
        exceeds_data(command, blocks, lun->block_size)) {
      status->rc.afu_rc = SISL_AFU_RC_LXT_OUT_OF_BOUNDS;
      return;
    }
    place = *handle_chunk(handle, (int)chunk) * CHUNK_BLOCKS + lba % CHUNK_BLOCKS;
  }
  uint32_t ports = handle->kind == HANDLE_VIRTUAL ? lun->ports : handle->ports;
  if (!(ports & flash->ports_up)) {
    status->rc.afu_rc = SISL_AFU_RC_NO_CHANNELS;
    status->afu_extra = (uint8_t)((flash->ports_up & 3) << 2 | (ports & 3));
    return;
  }
  if (place + blocks > lun->blocks) {
    check_condition(status, ILLEGAL_REQUEST, LBA_OUT_OF_RANGE);
    return;
  }
  uint64_t byte = place * lun->block_size;
  if (!blocks) return;
  if (command->cdb[0] == SCSI_WRITE_SAME_16) {
    write_same(context, command, lun, byte, blocks, status);
  } else {
    transfer(context, command, lun, byte, blocks * lun->block_size, status);
  }
}

static void execute_command(struct flash_context* context, const struct sisl_ioarcb* command,
                            struct sisl_ioasa* status) {
  // A user context may only read and write, under its own number and by resource handle.
  if (!context->enabled || command->ctx_id != (uint16_t)context_of(context)->external_pe ||
      !(command->req_flags & SISL_REQ_FLAGS_RES_HNDL) ||
      (command->req_flags & (SISL_REQ_FLAGS_TMF_CMD | SISL_REQ_FLAGS_AFU_CMD))) {
    status->rc.afu_rc = SISL_AFU_RC_CAP_VIOLATION;
    return;
  }
  if (command->res_hndl >= (uint32_t)flash->handles) {
    status->rc.afu_rc = SISL_AFU_RC_RHT_OUT_OF_BOUNDS;
    return;
  }
  struct handle* handle = &handles_of(context)[command->res_hndl];
  uint8_t operation = command->cdb[0];
  bool writes = operation == SCSI_WRITE_16 || operation == SCSI_WRITE_SAME_16;
  uint64_t lba;
  uint32_t blocks;
  memcpy(&lba, command->cdb + 2, sizeof lba);
  memcpy(&blocks, command->cdb + 10, sizeof blocks);
  if (operation != SCSI_READ_16 && !writes) {
    status->rc.afu_rc = SISL_AFU_RC_CAP_VIOLATION;
  } else if (handle->kind == HANDLE_FREE || !(handle->permissions & (writes ? 2u : 1u))) {
    // An entry that is not open has no permission.
    status->rc.afu_rc = SISL_AFU_RC_RHT_RW_PERM;
  } else if (writes != ((command->req_flags & SISL_REQ_FLAGS_HOST_WRITE) != 0)) {
    // The link aborts a command whose data go the other way than its flag says.
    status->rc.fc_rc = SISL_FC_RC_ABORTOK;
  } else {
    on_medium(context, command, handle, be64toh(lba), be32toh(blocks), status);
  }
}

static void respond(struct flash_context* context, uint64_t address, uint8_t interrupt, bool big) {
  uint64_t entry = address | context->toggle;
  entry = big ? htobe64(entry) : htole64(entry);
  if (!context->rrq_end || !put(context, context->rrq_next, &entry, sizeof entry)) {
    sislite_fail(context, SISL_ISTATUS_PERM_ERR_RRQ_WRITE);
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
  struct sisl_ioarcb command;
  struct sisl_ioasa status = {0};
  bool big = big_endian(context);
  if ((address & 15) || !fetch(context, &command, address, sizeof command)) {
    sislite_fail(context, SISL_ISTATUS_PERM_ERR_RCB_READ);
    return;
  }
  to_host_order(&command, big);
  if (flash->status_count > 0) {
    status = flash->statuses[0];
    flash->status_count--;
    memmove(flash->statuses, flash->statuses + 1,
            sizeof *flash->statuses * (size_t)flash->status_count);
    status.resid = be32toh(status.resid);
  } else {
    execute_command(context, &command, &status);
  }
  status.resid = big ? htobe32(status.resid) : htole32(status.resid);
  uint64_t place = context->squeue ? command.ioasa : address + sizeof command;
  if (!put(context, place, &status, sizeof status)) {
    sislite_fail(context, SISL_ISTATUS_PERM_ERR_SA_WRITE);
    return;
  }
  respond(context, context->squeue ? place : address, command.msi, big);
}

// A ring starts again when the program changes either end.
static void update_rings(struct flash_context* context, uint8_t* page) {
  uint64_t start = load_register(page, SISL_RRQ_START), end = load_register(page, SISL_RRQ_END);
  if (start != context->rrq_start || end != context->rrq_end) {
    context->rrq_start = context->rrq_next = start;
    context->rrq_end = end;
    context->toggle = 1;
  }
  start = load_register(page, SISL_SQ_START);
  end = load_register(page, SISL_SQ_END);
  if (start != context->sq_start || end != context->sq_end) {
    context->sq_start = context->sq_head = start;
    context->sq_end = end;
  }
}

static bool step_ring(struct flash_context* context) {
  uint8_t* page = context_registers(context_of(context));
  uint64_t tail = load_register(page, SISL_SQ_TAIL);
  bool worked = false;
  update_rings(context, page);
  if (load_register(page, SISL_SQ_CTX_RESET) & 1) {
    if (tail) context->sq_head = tail;
    store_register(page, SISL_SQ_HEAD, context->sq_head);
    store_register(page, SISL_SQ_CTX_RESET, 0);
    return true;
  }
  if (!tail || !context->sq_end || flash->held) return false;
  for (int turn = 0; turn < TURN && context->sq_head != tail; turn++) {
    uint64_t address = context->sq_head;
    context->sq_head =
        address >= context->sq_end ? context->sq_start : address + sizeof(struct sisl_ioarcb);
    execute(context, address);
    worked = true;
  }
  if (worked) store_register(page, SISL_SQ_HEAD, context->sq_head);
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
