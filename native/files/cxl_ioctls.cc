// SPDX-License-Identifier: Apache-2.0
// The ioctls of the cxl driver.
#include <string.h>

#include "../abi/cxl.h"
#include "ioctl_table.h"

namespace cxl {
namespace {

const IoctlField kStartWork[] = {
    NODE_CXL_FIELD(cxl_ioctl_start_work, flags, "flags", kIn),
    NODE_CXL_FIELD(cxl_ioctl_start_work, work_element_descriptor, "workElementDescriptor", kIn),
    NODE_CXL_FIELD(cxl_ioctl_start_work, amr, "amr", kIn),
    NODE_CXL_FIELD(cxl_ioctl_start_work, num_interrupts, "numInterrupts", kIn),
    NODE_CXL_FIELD(cxl_ioctl_start_work, tid, "tid", kOut),
};
const IoctlField kGetProcessElement[] = {
    {"processElement", 0, sizeof(uint32_t), Direction::kOut},
};
const IoctlField kGetAfuId[] = {
    NODE_CXL_FIELD(cxl_afu_id, flags, "flags", kOut),
    NODE_CXL_FIELD(cxl_afu_id, card_id, "cardId", kOut),
    NODE_CXL_FIELD(cxl_afu_id, afu_offset, "afuOffset", kOut),
    NODE_CXL_FIELD(cxl_afu_id, afu_mode, "afuMode", kOut),
};
const IoctlField kAdapterImage[] = {
    NODE_CXL_FIELD(cxl_adapter_image, flags, "flags", kIn),
    NODE_CXL_FIELD(cxl_adapter_image, len_image, "lenImage", kIn),
};
constexpr IoctlData kImageChunk = {offsetof(cxl_adapter_image, data),
                                   offsetof(cxl_adapter_image, len_data),
                                   sizeof(cxl_adapter_image::len_data), CXL_AI_MAX_CHUNK_SIZE};

const Ioctl kAfu[] = {
    MakeIoctl("START_WORK", CXL_IOCTL_START_WORK, kStartWork),
    MakeIoctl("GET_PROCESS_ELEMENT", CXL_IOCTL_GET_PROCESS_ELEMENT, kGetProcessElement),
    MakeIoctl("GET_AFU_ID", CXL_IOCTL_GET_AFU_ID, kGetAfuId),
};
const Ioctl kCard[] = {
    MakeIoctl("DOWNLOAD_IMAGE", CXL_IOCTL_DOWNLOAD_IMAGE, kAdapterImage, kImageChunk, true),
    MakeIoctl("VALIDATE_IMAGE", CXL_IOCTL_VALIDATE_IMAGE, kAdapterImage, kImageChunk, true),
};

}  // namespace

const IoctlTable kAfuIoctls = {kAfu, sizeof kAfu / sizeof *kAfu, false, false};
const IoctlTable kCardIoctls = {kCard, sizeof kCard / sizeof *kCard, false, false};

const Ioctl* IoctlTable::Find(const char* name) const {
  for (size_t i = 0; i < count; ++i) {
    if (strcmp(calls[i].name, name) == 0) return &calls[i];
  }
  return nullptr;
}

}  // namespace cxl
