// SPDX-License-Identifier: Apache-2.0
// The Linux cxl driver's interface (CAPI), with the names of its header, misc/cxl.h (Linux 3.18 to
// 6.14). Defined here because current kernel headers no longer have it; every size and offset is
// asserted, so that a mistake does not compile. Plain C: the addon, the simulated device and the C
// programs of the tests use the same definitions.
#ifndef NODE_CXL_ABI_CXL_H
#define NODE_CXL_ABI_CXL_H

#include <linux/ioctl.h>
#include <stddef.h>
#include <stdint.h>
#ifndef __cplusplus
#include <assert.h>
#endif

struct cxl_ioctl_start_work {
  uint64_t flags;
  uint64_t work_element_descriptor;
  uint64_t amr;
  int16_t num_interrupts;
  uint16_t tid;  // written by the driver when CXL_START_WORK_TID is set
  int32_t reserved1;
  uint64_t reserved2[4];
};

#define CXL_START_WORK_AMR 1ULL
#define CXL_START_WORK_NUM_IRQS 2ULL
#define CXL_START_WORK_ERR_FF 4ULL
#define CXL_START_WORK_TID 8ULL
#define CXL_START_WORK_ALL 15ULL

struct cxl_afu_id {
  uint64_t flags;
  uint32_t card_id;
  uint32_t afu_offset;
  uint32_t afu_mode;
  uint32_t reserved1;
  uint64_t reserved2[5];
};

#define CXL_AFUID_FLAG_SLAVE 1ULL

struct cxl_adapter_image {
  uint64_t flags;
  uint64_t data;  // address of the bytes
  uint64_t len_data;
  uint64_t len_image;
  uint64_t reserved[4];
};

#define CXL_AI_NEED_HEADER 1ULL
// The driver's own limits (drivers/misc/cxl/flash.c), which its header does not tell.
#define CXL_AI_HEADER_SIZE 128
#define CXL_AI_MAX_CHUNK_SIZE (4096 * 256)

#define CXL_MAGIC 0xCA
#define CXL_IOCTL_START_WORK _IOW(CXL_MAGIC, 0x00, struct cxl_ioctl_start_work)
#define CXL_IOCTL_GET_PROCESS_ELEMENT _IOR(CXL_MAGIC, 0x01, uint32_t)
#define CXL_IOCTL_GET_AFU_ID _IOR(CXL_MAGIC, 0x02, struct cxl_afu_id)
#define CXL_IOCTL_DOWNLOAD_IMAGE _IOW(CXL_MAGIC, 0x0A, struct cxl_adapter_image)
#define CXL_IOCTL_VALIDATE_IMAGE _IOW(CXL_MAGIC, 0x0B, struct cxl_adapter_image)

// read() refuses a smaller buffer; no event is larger.
#define CXL_READ_MIN_SIZE 0x1000

enum cxl_event_type {
  CXL_EVENT_RESERVED = 0,
  CXL_EVENT_AFU_INTERRUPT = 1,
  CXL_EVENT_DATA_STORAGE = 2,
  CXL_EVENT_AFU_ERROR = 3,
  CXL_EVENT_AFU_DRIVER = 4,
};

struct cxl_event_header {
  uint16_t type;
  uint16_t size;
  uint16_t process_element;
  uint16_t reserved1;
};

struct cxl_event_afu_interrupt {
  uint16_t flags;
  uint16_t irq;  // from 1
  uint32_t reserved1;
};

struct cxl_event_data_storage {
  uint16_t flags;
  uint16_t reserved1;
  uint32_t reserved2;
  uint64_t addr;
  uint64_t dsisr;
  uint64_t reserved3;
};

struct cxl_event_afu_error {
  uint16_t flags;
  uint16_t reserved1;
  uint32_t reserved2;
  uint64_t error;
};

struct cxl_event {
  struct cxl_event_header header;
  union {
    struct cxl_event_afu_interrupt irq;
    struct cxl_event_data_storage fault;
    struct cxl_event_afu_error afu_error;
  };
};

// Magic numbers of the file systems behind descriptors that another driver hands out (cxlflash):
// the cxl driver's (drivers/misc/cxl/api.c), and that of OpenCAPI flash adapters.
#define CXL_PSEUDO_FS_MAGIC 0x1697697f
#define OCXLFLASH_FS_MAGIC 0x1697698f

#define CXL_AT(type, field, offset) \
  static_assert(offsetof(struct type, field) == (offset), #type "." #field)
#define CXL_SIZE(type, size) static_assert(sizeof(struct type) == (size), #type)

CXL_SIZE(cxl_ioctl_start_work, 64);
CXL_AT(cxl_ioctl_start_work, flags, 0);
CXL_AT(cxl_ioctl_start_work, work_element_descriptor, 8);
CXL_AT(cxl_ioctl_start_work, amr, 16);
CXL_AT(cxl_ioctl_start_work, num_interrupts, 24);
CXL_AT(cxl_ioctl_start_work, tid, 26);
CXL_AT(cxl_ioctl_start_work, reserved1, 28);
CXL_AT(cxl_ioctl_start_work, reserved2, 32);

CXL_SIZE(cxl_afu_id, 64);
CXL_AT(cxl_afu_id, flags, 0);
CXL_AT(cxl_afu_id, card_id, 8);
CXL_AT(cxl_afu_id, afu_offset, 12);
CXL_AT(cxl_afu_id, afu_mode, 16);
CXL_AT(cxl_afu_id, reserved1, 20);
CXL_AT(cxl_afu_id, reserved2, 24);

CXL_SIZE(cxl_adapter_image, 64);
CXL_AT(cxl_adapter_image, flags, 0);
CXL_AT(cxl_adapter_image, data, 8);
CXL_AT(cxl_adapter_image, len_data, 16);
CXL_AT(cxl_adapter_image, len_image, 24);
CXL_AT(cxl_adapter_image, reserved, 32);

CXL_SIZE(cxl_event_header, 8);
CXL_SIZE(cxl_event_afu_interrupt, 8);
CXL_SIZE(cxl_event_data_storage, 32);
CXL_SIZE(cxl_event_afu_error, 16);
CXL_SIZE(cxl_event, 40);

// _IOR and _IOW differ between POWER and the rest.
#if defined(__powerpc64__)
static_assert(CXL_IOCTL_START_WORK == 0x8040CA00, "START_WORK");
static_assert(CXL_IOCTL_GET_PROCESS_ELEMENT == 0x4004CA01, "GET_PROCESS_ELEMENT");
#else
static_assert(CXL_IOCTL_START_WORK == 0x4040CA00, "START_WORK");
static_assert(CXL_IOCTL_GET_PROCESS_ELEMENT == 0x8004CA01, "GET_PROCESS_ELEMENT");
#endif

#undef CXL_AT
#undef CXL_SIZE

#endif
