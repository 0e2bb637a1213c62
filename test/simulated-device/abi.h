// SPDX-License-Identifier: Apache-2.0
//
// The cxl driver's user interface as the simulated device presents it.

#pragma once

#include <linux/ioctl.h>
#include <stdint.h>

struct start_work {
  uint64_t flags;
  uint64_t wed;
  uint64_t amr;
  int16_t num_interrupts;
  uint16_t tid;
  int32_t reserved1;
  uint64_t reserved[4];
};

enum {
  START_WORK_AMR = 1,
  START_WORK_NUM_IRQS = 2,
  START_WORK_ERR_FF = 4,
  START_WORK_TID = 8,
  START_WORK_ALL = 15,
};

struct afu_id {
  uint64_t flags;
  uint32_t card_id;
  uint32_t afu_offset;
  uint32_t afu_mode;
  uint32_t reserved1;
  uint64_t reserved[5];
};

struct adapter_image {
  uint64_t flags;
  uint64_t data;
  uint64_t len_data;
  uint64_t len_image;
  uint64_t reserved[4];
};

struct event_header {
  uint16_t type;
  uint16_t size;
  uint16_t process_element;
  uint16_t reserved;
};

enum { EVENT_AFU_INTERRUPT = 1, EVENT_DATA_STORAGE = 2, EVENT_AFU_ERROR = 3 };

struct event {
  struct event_header header;
  union {
    struct {
      uint16_t flags;
      uint16_t irq;
      uint32_t reserved;
    } interrupt;
    struct {
      uint16_t flags;
      uint16_t reserved1;
      uint32_t reserved2;
      uint64_t addr;
      uint64_t dsisr;
      uint64_t reserved3;
    } fault;
    struct {
      uint16_t flags;
      uint16_t reserved1;
      uint32_t reserved2;
      uint64_t error;
    } afu_error;
  };
};

#define READ_MIN_SIZE 4096

#define IOCTL_START_WORK _IOW(0xCA, 0x00, struct start_work)
#define IOCTL_GET_PROCESS_ELEMENT _IOR(0xCA, 0x01, uint32_t)
#define IOCTL_GET_AFU_ID _IOR(0xCA, 0x02, struct afu_id)
#define IOCTL_DOWNLOAD_IMAGE _IOW(0xCA, 0x0A, struct adapter_image)
#define IOCTL_VALIDATE_IMAGE _IOW(0xCA, 0x0B, struct adapter_image)

#define IMAGE_NEED_HEADER 1
#define IMAGE_HEADER_SIZE 128
#define IMAGE_CHUNK (4096 * 256)

_Static_assert(sizeof(struct start_work) == 64, "START_WORK");
_Static_assert(sizeof(struct afu_id) == 64, "GET_AFU_ID");
_Static_assert(sizeof(struct adapter_image) == 64, "DOWNLOAD_IMAGE");
_Static_assert(sizeof(struct event) == 40, "events");
