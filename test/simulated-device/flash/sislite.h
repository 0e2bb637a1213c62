// SPDX-License-Identifier: Apache-2.0
//
// SISLite, the interface of a flash AFU: the registers of a context's host-transport page, the
// command (IOARCB) and its status (IOASA), with the names of the cxlflash driver's sislite.h.
// Registers are 64 bits, big-endian. Commands and statuses have the byte order that endian_ctrl
// selects; a CDB is always big-endian.

#pragma once

#include <assert.h>
#include <endian.h>
#include <stddef.h>
#include <stdint.h>

// The size of the page, and of what ATTACH lets a program map.
#define SISL_HOST_MAP_SIZE 65536

// Offsets of registers.
enum sisl_host_map {
  SISL_ENDIAN_CTRL = 0x00,
  SISL_INTR_STATUS = 0x08,
  SISL_INTR_CLEAR = 0x10,
  SISL_INTR_MASK = 0x18,
  SISL_IOARRIN = 0x20,
  SISL_RRQ_START = 0x28,
  SISL_RRQ_END = 0x30,
  SISL_CMD_ROOM = 0x38,
  SISL_CTX_CTRL = 0x40,
  SISL_SQ_START = 0x50,
  SISL_SQ_END = 0x58,
  SISL_SQ_HEAD = 0x60,
  SISL_SQ_TAIL = 0x68,
  SISL_SQ_CTX_RESET = 0x70,
};

#define SISL_ENDIAN_CTRL_BE 0x8000000000000080ull
#define SISL_ENDIAN_CTRL_LE 0ull
#define SISL_ENDIAN_CTRL_HOST (BYTE_ORDER == BIG_ENDIAN ? SISL_ENDIAN_CTRL_BE : SISL_ENDIAN_CTRL_LE)
#define SISL_CTX_CTRL_UNMAP_SECTOR 0x8000000000000000ull
#define SISL_CTX_CTRL_LISN 0xffull  // the interrupt for errors

// intr_status: what the AFU could not reach.
enum {
  SISL_ISTATUS_PERM_ERR_CMDROOM = 0x10,
  SISL_ISTATUS_PERM_ERR_RCB_READ = 0x08,
  SISL_ISTATUS_PERM_ERR_SA_WRITE = 0x04,
  SISL_ISTATUS_PERM_ERR_RRQ_WRITE = 0x02,
};

// req_flags
enum {
  SISL_REQ_FLAGS_RES_HNDL = 0x8000,
  SISL_REQ_FLAGS_SUP_UNDERRUN = 0x4000,
  SISL_REQ_FLAGS_TMF_CMD = 0x0004,
  SISL_REQ_FLAGS_AFU_CMD = 0x0002,
  SISL_REQ_FLAGS_HOST_WRITE = 0x0001,
};

struct sisl_ioarcb {
  uint16_t ctx_id;
  uint16_t req_flags;
  uint32_t res_hndl;
  uint64_t lun_id;
  uint32_t data_len;
  uint32_t ioadl_len;
  uint64_t data_ea;
  uint8_t msi;
  uint8_t rrq;
  uint16_t timeout;
  uint32_t rsvd1;
  uint8_t cdb[16];
  uint64_t ioasa;  // address of the status, in SQ mode
} __attribute__((packed));

enum {
  SISL_RC_FLAGS_SENSE_VALID = 0x80,
  SISL_RC_FLAGS_OVERRUN = 0x20,
  SISL_RC_FLAGS_UNDERRUN = 0x10
};
enum {
  SISL_AFU_RC_RHT_OUT_OF_BOUNDS = 0x03,
  SISL_AFU_RC_RHT_RW_PERM = 0x05,
  SISL_AFU_RC_LXT_OUT_OF_BOUNDS = 0x13,
  SISL_AFU_RC_NO_CHANNELS = 0x20,
  SISL_AFU_RC_CAP_VIOLATION = 0x21,
  SISL_AFU_RC_DATA_DMA_ERR = 0x31,
};
enum { SISL_AFU_DMA_ERR_INVALID_EA = 0x0b };
enum { SISL_SCSI_RC_CHECK = 0x02 };
enum { SISL_FC_RC_ABORTOK = 0x58, SISL_FC_RC_RESID = 0x5a };

struct sisl_ioasa {
  struct {
    uint8_t flags, afu_rc, scsi_rc, fc_rc;
  } rc;
  uint32_t resid;
  uint8_t port, afu_extra, scsi_extra, fc_extra;
  uint8_t sense_data[20];
  uint8_t host_use[32];
} __attribute__((packed));

#define SISL_RESP_HANDLE_T_BIT 1ull  // toggles with each lap of the response ring

static_assert(sizeof(struct sisl_ioarcb) == 64, "sisl_ioarcb");
static_assert(offsetof(struct sisl_ioarcb, cdb) == 40, "sisl_ioarcb.cdb");
static_assert(sizeof(struct sisl_ioasa) == 64, "sisl_ioasa");

enum { SCSI_READ_16 = 0x88, SCSI_WRITE_16 = 0x8a, SCSI_WRITE_SAME_16 = 0x93 };
