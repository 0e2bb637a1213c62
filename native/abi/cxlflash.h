// SPDX-License-Identifier: Apache-2.0
// The cxlflash ioctls (Linux 4.3 to 6.14). Defined here because current kernel headers no
// longer have them; every size and offset is pinned, so that a mistake cannot be built. Plain C,
// so that the simulated device checks the same definitions.
#ifndef NODE_CXL_ABI_CXLFLASH_H
#define NODE_CXL_ABI_CXLFLASH_H

#include <linux/ioctl.h>
#include <stddef.h>
#include <stdint.h>
#ifndef __cplusplus
#include <assert.h>
#endif

#define CXLFLASH_WWID_LENGTH 16
#define CXLFLASH_SENSE_LENGTH 18
#define CXLFLASH_DEBUG_SUBCMD_LENGTH 12
#define CXLFLASH_DEBUG_MAX_DATA 262144

struct cxlflash_header {
  uint16_t version;
  uint16_t rsvd[3];  // host ioctls: rsvd[0] is the sub-command
  uint64_t flags;
  uint64_t return_flags;
};

struct cxlflash_attach {
  struct cxlflash_header hdr;
  uint64_t num_interrupts;
  uint64_t context_id;
  uint64_t mmio_size;
  uint64_t block_size;
  uint64_t adap_fd;
  uint64_t last_lba;
  uint64_t max_xfer;
  uint64_t reserved[8];
};

struct cxlflash_udirect {
  struct cxlflash_header hdr;
  uint64_t context_id;
  uint64_t rsrc_handle;
  uint64_t last_lba;
  uint64_t reserved[8];
};

struct cxlflash_release {
  struct cxlflash_header hdr;
  uint64_t context_id;
  uint64_t rsrc_handle;
  uint64_t reserved[8];
};

struct cxlflash_detach {
  struct cxlflash_header hdr;
  uint64_t context_id;
  uint64_t reserved[8];
};

struct cxlflash_verify {
  struct cxlflash_header hdr;
  uint64_t context_id;
  uint64_t rsrc_handle;
  uint64_t hint;
  uint64_t last_lba;
  uint8_t sense_data[CXLFLASH_SENSE_LENGTH];
  uint8_t pad[6];
  uint64_t reserved[8];
};

struct cxlflash_recover_afu {
  struct cxlflash_header hdr;
  uint64_t reason;
  uint64_t context_id;
  uint64_t mmio_size;
  uint64_t adap_fd;
  uint64_t reserved[8];
};

struct cxlflash_manage_lun {
  struct cxlflash_header hdr;
  uint8_t wwid[CXLFLASH_WWID_LENGTH];
  uint64_t reserved[8];
};

struct cxlflash_uvirtual {
  struct cxlflash_header hdr;
  uint64_t context_id;
  uint64_t lun_size;
  uint64_t rsrc_handle;
  uint64_t last_lba;
  uint64_t reserved[8];
};

struct cxlflash_resize {
  struct cxlflash_header hdr;
  uint64_t context_id;
  uint64_t rsrc_handle;
  uint64_t req_size;
  uint64_t last_lba;
  uint64_t reserved[8];
};

struct cxlflash_clone {
  struct cxlflash_header hdr;
  uint64_t context_id_src;
  uint64_t context_id_dst;
  uint64_t adap_fd_src;
  uint64_t reserved[8];
};

struct cxlflash_lun_provision {
  struct cxlflash_header hdr;
  uint16_t port;
  uint16_t reserved16[3];
  uint64_t size;
  uint64_t lun_id;
  uint8_t wwid[CXLFLASH_WWID_LENGTH];
  uint64_t max_num_luns;
  uint64_t cur_num_luns;
  uint64_t max_cap_port;
  uint64_t cur_cap_port;
  uint64_t reserved[8];
};

struct cxlflash_afu_debug {
  struct cxlflash_header hdr;
  uint8_t reserved8[4];
  uint8_t afu_subcmd[CXLFLASH_DEBUG_SUBCMD_LENGTH];
  uint64_t data_ea;
  uint32_t data_len;
  uint32_t reserved32;
  uint64_t reserved[8];
};

#define CXLFLASH_IOWR(nr, type) _IOWR(0xCA, nr, struct type)
#define CXLFLASH_ATTACH CXLFLASH_IOWR(0x80, cxlflash_attach)
#define CXLFLASH_USER_DIRECT CXLFLASH_IOWR(0x81, cxlflash_udirect)
#define CXLFLASH_RELEASE CXLFLASH_IOWR(0x82, cxlflash_release)
#define CXLFLASH_DETACH CXLFLASH_IOWR(0x83, cxlflash_detach)
#define CXLFLASH_VERIFY CXLFLASH_IOWR(0x84, cxlflash_verify)
#define CXLFLASH_RECOVER_AFU CXLFLASH_IOWR(0x85, cxlflash_recover_afu)
#define CXLFLASH_MANAGE_LUN CXLFLASH_IOWR(0x86, cxlflash_manage_lun)
#define CXLFLASH_USER_VIRTUAL CXLFLASH_IOWR(0x87, cxlflash_uvirtual)
#define CXLFLASH_VLUN_RESIZE CXLFLASH_IOWR(0x88, cxlflash_resize)
#define CXLFLASH_VLUN_CLONE CXLFLASH_IOWR(0x89, cxlflash_clone)
#define CXLFLASH_LUN_PROVISION CXLFLASH_IOWR(0xBF, cxlflash_lun_provision)
#define CXLFLASH_AFU_DEBUG CXLFLASH_IOWR(0xBE, cxlflash_afu_debug)

#define CXLFLASH_REUSE_CONTEXT 0x8000000000000000ULL
#define CXLFLASH_NEED_WRITE_SAME 0x8000000000000000ULL
#define CXLFLASH_HINT_SENSE 0x8000000000000000ULL
#define CXLFLASH_CONTEXT_RESET 0x8000000000000000ULL
#define CXLFLASH_ENABLE_SUPERPIPE 0x8000000000000000ULL
#define CXLFLASH_DISABLE_SUPERPIPE 0x4000000000000000ULL
#define CXLFLASH_ALL_PORTS_ACCESSIBLE 0x2000000000000000ULL
#define CXLFLASH_ALL_PORTS_ACTIVE 1ULL
#define CXLFLASH_APP_CLOSE_ADAP_FD 2ULL
#define CXLFLASH_CONTEXT_SQ_CMD_MODE 4ULL
#define CXLFLASH_HOST_WRITE 1ULL

#define CXLFLASH_AT(type, field, offset) \
  static_assert(offsetof(struct type, field) == (offset), #type "." #field)
#define CXLFLASH_SIZE(type, size) static_assert(sizeof(struct type) == (size), #type)

CXLFLASH_SIZE(cxlflash_header, 24);
CXLFLASH_AT(cxlflash_header, version, 0);
CXLFLASH_AT(cxlflash_header, rsvd, 2);
CXLFLASH_AT(cxlflash_header, flags, 8);
CXLFLASH_AT(cxlflash_header, return_flags, 16);

CXLFLASH_SIZE(cxlflash_attach, 144);
CXLFLASH_AT(cxlflash_attach, num_interrupts, 24);
CXLFLASH_AT(cxlflash_attach, context_id, 32);
CXLFLASH_AT(cxlflash_attach, mmio_size, 40);
CXLFLASH_AT(cxlflash_attach, block_size, 48);
CXLFLASH_AT(cxlflash_attach, adap_fd, 56);
CXLFLASH_AT(cxlflash_attach, last_lba, 64);
CXLFLASH_AT(cxlflash_attach, max_xfer, 72);
CXLFLASH_AT(cxlflash_attach, reserved, 80);

CXLFLASH_SIZE(cxlflash_udirect, 112);
CXLFLASH_AT(cxlflash_udirect, context_id, 24);
CXLFLASH_AT(cxlflash_udirect, rsrc_handle, 32);
CXLFLASH_AT(cxlflash_udirect, last_lba, 40);
CXLFLASH_AT(cxlflash_udirect, reserved, 48);

CXLFLASH_SIZE(cxlflash_release, 104);
CXLFLASH_AT(cxlflash_release, context_id, 24);
CXLFLASH_AT(cxlflash_release, rsrc_handle, 32);
CXLFLASH_AT(cxlflash_release, reserved, 40);

CXLFLASH_SIZE(cxlflash_detach, 96);
CXLFLASH_AT(cxlflash_detach, context_id, 24);
CXLFLASH_AT(cxlflash_detach, reserved, 32);

CXLFLASH_SIZE(cxlflash_verify, 144);
CXLFLASH_AT(cxlflash_verify, context_id, 24);
CXLFLASH_AT(cxlflash_verify, rsrc_handle, 32);
CXLFLASH_AT(cxlflash_verify, hint, 40);
CXLFLASH_AT(cxlflash_verify, last_lba, 48);
CXLFLASH_AT(cxlflash_verify, sense_data, 56);
CXLFLASH_AT(cxlflash_verify, pad, 74);
CXLFLASH_AT(cxlflash_verify, reserved, 80);

CXLFLASH_SIZE(cxlflash_recover_afu, 120);
CXLFLASH_AT(cxlflash_recover_afu, reason, 24);
CXLFLASH_AT(cxlflash_recover_afu, context_id, 32);
CXLFLASH_AT(cxlflash_recover_afu, mmio_size, 40);
CXLFLASH_AT(cxlflash_recover_afu, adap_fd, 48);
CXLFLASH_AT(cxlflash_recover_afu, reserved, 56);

CXLFLASH_SIZE(cxlflash_manage_lun, 104);
CXLFLASH_AT(cxlflash_manage_lun, wwid, 24);
CXLFLASH_AT(cxlflash_manage_lun, reserved, 40);

CXLFLASH_SIZE(cxlflash_uvirtual, 120);
CXLFLASH_AT(cxlflash_uvirtual, context_id, 24);
CXLFLASH_AT(cxlflash_uvirtual, lun_size, 32);
CXLFLASH_AT(cxlflash_uvirtual, rsrc_handle, 40);
CXLFLASH_AT(cxlflash_uvirtual, last_lba, 48);
CXLFLASH_AT(cxlflash_uvirtual, reserved, 56);

CXLFLASH_SIZE(cxlflash_resize, 120);
CXLFLASH_AT(cxlflash_resize, context_id, 24);
CXLFLASH_AT(cxlflash_resize, rsrc_handle, 32);
CXLFLASH_AT(cxlflash_resize, req_size, 40);
CXLFLASH_AT(cxlflash_resize, last_lba, 48);
CXLFLASH_AT(cxlflash_resize, reserved, 56);

CXLFLASH_SIZE(cxlflash_clone, 112);
CXLFLASH_AT(cxlflash_clone, context_id_src, 24);
CXLFLASH_AT(cxlflash_clone, context_id_dst, 32);
CXLFLASH_AT(cxlflash_clone, adap_fd_src, 40);
CXLFLASH_AT(cxlflash_clone, reserved, 48);

CXLFLASH_SIZE(cxlflash_lun_provision, 160);
CXLFLASH_AT(cxlflash_lun_provision, port, 24);
CXLFLASH_AT(cxlflash_lun_provision, reserved16, 26);
CXLFLASH_AT(cxlflash_lun_provision, size, 32);
CXLFLASH_AT(cxlflash_lun_provision, lun_id, 40);
CXLFLASH_AT(cxlflash_lun_provision, wwid, 48);
CXLFLASH_AT(cxlflash_lun_provision, max_num_luns, 64);
CXLFLASH_AT(cxlflash_lun_provision, cur_num_luns, 72);
CXLFLASH_AT(cxlflash_lun_provision, max_cap_port, 80);
CXLFLASH_AT(cxlflash_lun_provision, cur_cap_port, 88);
CXLFLASH_AT(cxlflash_lun_provision, reserved, 96);

CXLFLASH_SIZE(cxlflash_afu_debug, 120);
CXLFLASH_AT(cxlflash_afu_debug, reserved8, 24);
CXLFLASH_AT(cxlflash_afu_debug, afu_subcmd, 28);
CXLFLASH_AT(cxlflash_afu_debug, data_ea, 40);
CXLFLASH_AT(cxlflash_afu_debug, data_len, 48);
CXLFLASH_AT(cxlflash_afu_debug, reserved32, 52);
CXLFLASH_AT(cxlflash_afu_debug, reserved, 56);

#undef CXLFLASH_AT
#undef CXLFLASH_SIZE

#endif
