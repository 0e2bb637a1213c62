// SPDX-License-Identifier: Apache-2.0
#include "flash_calls.h"

#include <string.h>
#include <sys/ioctl.h>

#include "abi/cxlflash.h"

namespace cxl {
namespace {

constexpr auto kIn = Direction::kIn;
constexpr auto kOut = Direction::kOut;
constexpr auto kBoth = Direction::kBoth;

#define FIELD(type, member, name, direction) \
  { name, offsetof(type, member), sizeof(type::member), direction }

// The sub-command of a host ioctl takes the first reserved halfword's place.
#define LUN_HEADER                                                   \
  {"version", offsetof(cxlflash_header, version), 2, kIn},           \
      {"reserved", offsetof(cxlflash_header, rsvd), 2, kIn},         \
      {"flags", offsetof(cxlflash_header, flags), 8, kIn}, {         \
    "returnFlags", offsetof(cxlflash_header, return_flags), 8, kBoth \
  }
#define HOST_HEADER                                                  \
  {"version", offsetof(cxlflash_header, version), 2, kIn},           \
      {"subcmd", offsetof(cxlflash_header, rsvd), 2, kIn},           \
      {"reserved", offsetof(cxlflash_header, rsvd) + 2, 2, kIn},     \
      {"flags", offsetof(cxlflash_header, flags), 8, kIn}, {         \
    "returnFlags", offsetof(cxlflash_header, return_flags), 8, kBoth \
  }

const FlashField kAttach[] = {
    LUN_HEADER,
    FIELD(cxlflash_attach, num_interrupts, "numInterrupts", kIn),
    FIELD(cxlflash_attach, context_id, "contextId", kBoth),
    FIELD(cxlflash_attach, mmio_size, "mmioSize", kOut),
    FIELD(cxlflash_attach, block_size, "blockSize", kOut),
    FIELD(cxlflash_attach, adap_fd, "adapFd", kOut),
    FIELD(cxlflash_attach, last_lba, "lastLba", kOut),
    FIELD(cxlflash_attach, max_xfer, "maxXfer", kOut),
};
const FlashField kUserDirect[] = {
    LUN_HEADER,
    FIELD(cxlflash_udirect, context_id, "contextId", kIn),
    FIELD(cxlflash_udirect, rsrc_handle, "rsrcHandle", kOut),
    FIELD(cxlflash_udirect, last_lba, "lastLba", kOut),
};
const FlashField kRelease[] = {
    LUN_HEADER,
    FIELD(cxlflash_release, context_id, "contextId", kIn),
    FIELD(cxlflash_release, rsrc_handle, "rsrcHandle", kIn),
};
const FlashField kDetach[] = {
    LUN_HEADER,
    FIELD(cxlflash_detach, context_id, "contextId", kIn),
};
const FlashField kVerify[] = {
    LUN_HEADER,
    FIELD(cxlflash_verify, context_id, "contextId", kIn),
    FIELD(cxlflash_verify, rsrc_handle, "rsrcHandle", kIn),
    FIELD(cxlflash_verify, hint, "hint", kIn),
    FIELD(cxlflash_verify, last_lba, "lastLba", kOut),
    FIELD(cxlflash_verify, sense_data, "senseData", kIn),
};
const FlashField kRecoverAfu[] = {
    LUN_HEADER,
    FIELD(cxlflash_recover_afu, reason, "reason", kIn),
    FIELD(cxlflash_recover_afu, context_id, "contextId", kBoth),
    FIELD(cxlflash_recover_afu, mmio_size, "mmioSize", kOut),
    FIELD(cxlflash_recover_afu, adap_fd, "adapFd", kOut),
};
const FlashField kManageLun[] = {
    LUN_HEADER,
    FIELD(cxlflash_manage_lun, wwid, "wwid", kIn),
};
const FlashField kUserVirtual[] = {
    LUN_HEADER,
    FIELD(cxlflash_uvirtual, context_id, "contextId", kIn),
    FIELD(cxlflash_uvirtual, lun_size, "lunSize", kIn),
    FIELD(cxlflash_uvirtual, rsrc_handle, "rsrcHandle", kOut),
    FIELD(cxlflash_uvirtual, last_lba, "lastLba", kOut),
};
const FlashField kResize[] = {
    LUN_HEADER,
    FIELD(cxlflash_resize, context_id, "contextId", kIn),
    FIELD(cxlflash_resize, rsrc_handle, "rsrcHandle", kIn),
    FIELD(cxlflash_resize, req_size, "reqSize", kIn),
    FIELD(cxlflash_resize, last_lba, "lastLba", kOut),
};
const FlashField kClone[] = {
    LUN_HEADER,
    FIELD(cxlflash_clone, context_id_src, "contextIdSrc", kIn),
    FIELD(cxlflash_clone, context_id_dst, "contextIdDst", kIn),
    FIELD(cxlflash_clone, adap_fd_src, "adapFdSrc", kIn),
};
const FlashField kLunProvision[] = {
    HOST_HEADER,
    FIELD(cxlflash_lun_provision, port, "port", kIn),
    FIELD(cxlflash_lun_provision, size, "size", kIn),
    FIELD(cxlflash_lun_provision, lun_id, "lunId", kBoth),
    FIELD(cxlflash_lun_provision, wwid, "wwid", kOut),
    FIELD(cxlflash_lun_provision, max_num_luns, "maxNumLuns", kOut),
    FIELD(cxlflash_lun_provision, cur_num_luns, "curNumLuns", kOut),
    FIELD(cxlflash_lun_provision, max_cap_port, "maxCapPort", kOut),
    FIELD(cxlflash_lun_provision, cur_cap_port, "curCapPort", kOut),
};
const FlashField kAfuDebug[] = {
    HOST_HEADER,
    FIELD(cxlflash_afu_debug, afu_subcmd, "afuSubcmd", kIn),
};

#undef FIELD
#undef LUN_HEADER
#undef HOST_HEADER

template <size_t N>
constexpr FlashCall Entry(const char* name, unsigned long request, const FlashField (&fields)[N],
                          size_t descriptor = 0) {
  return {name, request, fields, N, static_cast<uint16_t>(descriptor), 0, 0};
}

const FlashCall kCalls[] = {
    Entry("ATTACH", CXLFLASH_ATTACH, kAttach, offsetof(cxlflash_attach, adap_fd)),
    Entry("USER_DIRECT", CXLFLASH_USER_DIRECT, kUserDirect),
    Entry("RELEASE", CXLFLASH_RELEASE, kRelease),
    Entry("DETACH", CXLFLASH_DETACH, kDetach),
    Entry("VERIFY", CXLFLASH_VERIFY, kVerify),
    Entry("RECOVER_AFU", CXLFLASH_RECOVER_AFU, kRecoverAfu,
          offsetof(cxlflash_recover_afu, adap_fd)),
    Entry("MANAGE_LUN", CXLFLASH_MANAGE_LUN, kManageLun),
    Entry("USER_VIRTUAL", CXLFLASH_USER_VIRTUAL, kUserVirtual),
    Entry("VLUN_RESIZE", CXLFLASH_VLUN_RESIZE, kResize),
    Entry("VLUN_CLONE", CXLFLASH_VLUN_CLONE, kClone),
    Entry("LUN_PROVISION", CXLFLASH_LUN_PROVISION, kLunProvision),
    {"AFU_DEBUG", CXLFLASH_AFU_DEBUG, kAfuDebug, sizeof kAfuDebug / sizeof *kAfuDebug, 0,
     offsetof(cxlflash_afu_debug, data_ea), offsetof(cxlflash_afu_debug, data_len)},
};

static_assert(sizeof(cxlflash_lun_provision) == kLargestFlashCall, "the largest of them");

}  // namespace

const FlashCall* FindFlashCall(const char* name) {
  for (const FlashCall& call : kCalls) {
    if (strcmp(call.name, name) == 0) return &call;
  }
  return nullptr;
}

}  // namespace cxl
