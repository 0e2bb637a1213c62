// SPDX-License-Identifier: Apache-2.0
// The ioctls of the cxlflash driver.
#include "../abi/cxlflash.h"
#include "../files/ioctl_table.h"

namespace cxl {
namespace {

// The header of every call. For a host ioctl its first reserved halfword is the sub-command.
#define LUN_HEADER                                                                     \
  NODE_CXL_FIELD(cxlflash_header, version, "version", kIn),                            \
      {"reserved", offsetof(cxlflash_header, rsvd), sizeof(uint16_t), Direction::kIn}, \
      NODE_CXL_FIELD(cxlflash_header, flags, "flags", kIn),                            \
      NODE_CXL_FIELD(cxlflash_header, return_flags, "returnFlags", kBoth)
#define HOST_HEADER                                                                        \
  NODE_CXL_FIELD(cxlflash_header, version, "version", kIn),                                \
      {"subcmd", offsetof(cxlflash_header, rsvd), sizeof(uint16_t), Direction::kIn},       \
      {"reserved", offsetof(cxlflash_header, rsvd) + 2, sizeof(uint16_t), Direction::kIn}, \
      NODE_CXL_FIELD(cxlflash_header, flags, "flags", kIn),                                \
      NODE_CXL_FIELD(cxlflash_header, return_flags, "returnFlags", kBoth)

const IoctlField kAttach[] = {
    LUN_HEADER,
    NODE_CXL_FIELD(cxlflash_attach, num_interrupts, "numInterrupts", kIn),
    NODE_CXL_FIELD(cxlflash_attach, context_id, "contextId", kBoth),
    NODE_CXL_FIELD(cxlflash_attach, mmio_size, "mmioSize", kOut),
    NODE_CXL_FIELD(cxlflash_attach, block_size, "blockSize", kOut),
    NODE_CXL_FIELD(cxlflash_attach, adap_fd, "adapFd", kOut),
    NODE_CXL_FIELD(cxlflash_attach, last_lba, "lastLba", kOut),
    NODE_CXL_FIELD(cxlflash_attach, max_xfer, "maxXfer", kOut),
};
const IoctlField kUserDirect[] = {
    LUN_HEADER,
    NODE_CXL_FIELD(cxlflash_udirect, context_id, "contextId", kIn),
    NODE_CXL_FIELD(cxlflash_udirect, rsrc_handle, "rsrcHandle", kOut),
    NODE_CXL_FIELD(cxlflash_udirect, last_lba, "lastLba", kOut),
};
const IoctlField kRelease[] = {
    LUN_HEADER,
    NODE_CXL_FIELD(cxlflash_release, context_id, "contextId", kIn),
    NODE_CXL_FIELD(cxlflash_release, rsrc_handle, "rsrcHandle", kIn),
};
const IoctlField kDetach[] = {
    LUN_HEADER,
    NODE_CXL_FIELD(cxlflash_detach, context_id, "contextId", kIn),
};
const IoctlField kVerify[] = {
    LUN_HEADER,
    NODE_CXL_FIELD(cxlflash_verify, context_id, "contextId", kIn),
    NODE_CXL_FIELD(cxlflash_verify, rsrc_handle, "rsrcHandle", kIn),
    NODE_CXL_FIELD(cxlflash_verify, hint, "hint", kIn),
    NODE_CXL_FIELD(cxlflash_verify, last_lba, "lastLba", kOut),
    NODE_CXL_FIELD(cxlflash_verify, sense_data, "senseData", kIn),
};
const IoctlField kRecoverAfu[] = {
    LUN_HEADER,
    NODE_CXL_FIELD(cxlflash_recover_afu, reason, "reason", kIn),
    NODE_CXL_FIELD(cxlflash_recover_afu, context_id, "contextId", kBoth),
    NODE_CXL_FIELD(cxlflash_recover_afu, mmio_size, "mmioSize", kOut),
    NODE_CXL_FIELD(cxlflash_recover_afu, adap_fd, "adapFd", kOut),
};
const IoctlField kManageLun[] = {
    LUN_HEADER,
    NODE_CXL_FIELD(cxlflash_manage_lun, wwid, "wwid", kIn),
};
const IoctlField kUserVirtual[] = {
    LUN_HEADER,
    NODE_CXL_FIELD(cxlflash_uvirtual, context_id, "contextId", kIn),
    NODE_CXL_FIELD(cxlflash_uvirtual, lun_size, "lunSize", kIn),
    NODE_CXL_FIELD(cxlflash_uvirtual, rsrc_handle, "rsrcHandle", kOut),
    NODE_CXL_FIELD(cxlflash_uvirtual, last_lba, "lastLba", kOut),
};
const IoctlField kResize[] = {
    LUN_HEADER,
    NODE_CXL_FIELD(cxlflash_resize, context_id, "contextId", kIn),
    NODE_CXL_FIELD(cxlflash_resize, rsrc_handle, "rsrcHandle", kIn),
    NODE_CXL_FIELD(cxlflash_resize, req_size, "reqSize", kIn),
    NODE_CXL_FIELD(cxlflash_resize, last_lba, "lastLba", kOut),
};
const IoctlField kClone[] = {
    LUN_HEADER,
    NODE_CXL_FIELD(cxlflash_clone, context_id_src, "contextIdSrc", kIn),
    NODE_CXL_FIELD(cxlflash_clone, context_id_dst, "contextIdDst", kIn),
    NODE_CXL_FIELD(cxlflash_clone, adap_fd_src, "adapFdSrc", kIn),
};
const IoctlField kLunProvision[] = {
    HOST_HEADER,
    NODE_CXL_FIELD(cxlflash_lun_provision, port, "port", kIn),
    NODE_CXL_FIELD(cxlflash_lun_provision, size, "size", kIn),
    NODE_CXL_FIELD(cxlflash_lun_provision, lun_id, "lunId", kBoth),
    NODE_CXL_FIELD(cxlflash_lun_provision, wwid, "wwid", kOut),
    NODE_CXL_FIELD(cxlflash_lun_provision, max_num_luns, "maxNumLuns", kOut),
    NODE_CXL_FIELD(cxlflash_lun_provision, cur_num_luns, "curNumLuns", kOut),
    NODE_CXL_FIELD(cxlflash_lun_provision, max_cap_port, "maxCapPort", kOut),
    NODE_CXL_FIELD(cxlflash_lun_provision, cur_cap_port, "curCapPort", kOut),
};
const IoctlField kAfuDebug[] = {
    HOST_HEADER,
    NODE_CXL_FIELD(cxlflash_afu_debug, afu_subcmd, "afuSubcmd", kIn),
};

#undef LUN_HEADER
#undef HOST_HEADER

constexpr IoctlData kNoData = {};
constexpr IoctlData kDebugData = {offsetof(cxlflash_afu_debug, data_ea),
                                  offsetof(cxlflash_afu_debug, data_len),
                                  sizeof(cxlflash_afu_debug::data_len), UINT32_MAX};

const Ioctl kLun[] = {
    MakeIoctl("ATTACH", CXLFLASH_ATTACH, kAttach, kNoData, false,
              offsetof(cxlflash_attach, adap_fd)),
    MakeIoctl("USER_DIRECT", CXLFLASH_USER_DIRECT, kUserDirect),
    MakeIoctl("RELEASE", CXLFLASH_RELEASE, kRelease),
    MakeIoctl("DETACH", CXLFLASH_DETACH, kDetach),
    MakeIoctl("VERIFY", CXLFLASH_VERIFY, kVerify),
    MakeIoctl("RECOVER_AFU", CXLFLASH_RECOVER_AFU, kRecoverAfu, kNoData, false,
              offsetof(cxlflash_recover_afu, adap_fd)),
    MakeIoctl("MANAGE_LUN", CXLFLASH_MANAGE_LUN, kManageLun),
    MakeIoctl("USER_VIRTUAL", CXLFLASH_USER_VIRTUAL, kUserVirtual),
    MakeIoctl("VLUN_RESIZE", CXLFLASH_VLUN_RESIZE, kResize),
    MakeIoctl("VLUN_CLONE", CXLFLASH_VLUN_CLONE, kClone),
};
const Ioctl kHost[] = {
    MakeIoctl("LUN_PROVISION", CXLFLASH_LUN_PROVISION, kLunProvision),
    MakeIoctl("AFU_DEBUG", CXLFLASH_AFU_DEBUG, kAfuDebug, kDebugData),
};

static_assert(sizeof(cxlflash_lun_provision) == kLargestIoctl, "the largest of them");

}  // namespace

const IoctlTable kLunIoctls = {kLun, sizeof kLun / sizeof *kLun, true, true};
const IoctlTable kFlashHostIoctls = {kHost, sizeof kHost / sizeof *kHost, true, true};

}  // namespace cxl
