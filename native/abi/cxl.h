// SPDX-License-Identifier: Apache-2.0
// The Linux cxl driver's interface (CAPI). Defined here because recent kernel headers have no
// misc/cxl.h any more; pinned by assertions because nothing else would notice a slip.
#ifndef NODE_CXL_ABI_CXL_H_
#define NODE_CXL_ABI_CXL_H_

#include <linux/ioctl.h>
#include <stddef.h>
#include <stdint.h>

namespace cxl {
namespace abi {

struct StartWork {
  uint64_t flags;
  uint64_t work_element_descriptor;
  uint64_t amr;
  int16_t num_interrupts;
  uint16_t tid;  // answered when kStartWorkTid was asked
  int32_t reserved1;
  uint64_t reserved2[4];
};
static_assert(sizeof(StartWork) == 64, "START_WORK");
static_assert(offsetof(StartWork, flags) == 0, "START_WORK");
static_assert(offsetof(StartWork, work_element_descriptor) == 8, "START_WORK");
static_assert(offsetof(StartWork, amr) == 16, "START_WORK");
static_assert(offsetof(StartWork, num_interrupts) == 24, "START_WORK");
static_assert(offsetof(StartWork, tid) == 26, "START_WORK");
static_assert(offsetof(StartWork, reserved1) == 28, "START_WORK");
static_assert(offsetof(StartWork, reserved2) == 32, "START_WORK");

constexpr uint64_t kStartWorkAmr = 1;
constexpr uint64_t kStartWorkInterrupts = 2;
constexpr uint64_t kStartWorkErrFf = 4;
constexpr uint64_t kStartWorkTid = 8;

struct AfuId {
  uint64_t flags;
  uint32_t card_id;
  uint32_t afu_offset;
  uint32_t afu_mode;
  uint32_t reserved1;
  uint64_t reserved2[5];
};
static_assert(sizeof(AfuId) == 64, "GET_AFU_ID");
static_assert(offsetof(AfuId, flags) == 0, "GET_AFU_ID");
static_assert(offsetof(AfuId, card_id) == 8, "GET_AFU_ID");
static_assert(offsetof(AfuId, afu_offset) == 12, "GET_AFU_ID");
static_assert(offsetof(AfuId, afu_mode) == 16, "GET_AFU_ID");
static_assert(offsetof(AfuId, reserved1) == 20, "GET_AFU_ID");
static_assert(offsetof(AfuId, reserved2) == 24, "GET_AFU_ID");

struct AdapterImage {
  uint64_t flags;
  uint64_t data;
  uint64_t len_data;
  uint64_t len_image;
  uint64_t reserved[4];
};
static_assert(sizeof(AdapterImage) == 64, "DOWNLOAD_IMAGE");
static_assert(offsetof(AdapterImage, flags) == 0, "DOWNLOAD_IMAGE");
static_assert(offsetof(AdapterImage, data) == 8, "DOWNLOAD_IMAGE");
static_assert(offsetof(AdapterImage, len_data) == 16, "DOWNLOAD_IMAGE");
static_assert(offsetof(AdapterImage, len_image) == 24, "DOWNLOAD_IMAGE");
static_assert(offsetof(AdapterImage, reserved) == 32, "DOWNLOAD_IMAGE");

constexpr uint64_t kImageNeedsHeader = 1;
constexpr size_t kImageChunk = 1 << 20;

// read() refuses a smaller buffer; no event is larger.
constexpr size_t kReadMinimum = 4096;

// _IOR and _IOW differ between POWER and the rest: only the macros know.
constexpr unsigned long kIoctlStartWork = _IOW(0xCA, 0x00, StartWork);
constexpr unsigned long kIoctlGetProcessElement = _IOR(0xCA, 0x01, uint32_t);
constexpr unsigned long kIoctlGetAfuId = _IOR(0xCA, 0x02, AfuId);
constexpr unsigned long kIoctlDownloadImage = _IOW(0xCA, 0x0A, AdapterImage);
constexpr unsigned long kIoctlValidateImage = _IOW(0xCA, 0x0B, AdapterImage);
#if defined(__powerpc64__)
static_assert(kIoctlStartWork == 0x8040CA00, "START_WORK");
static_assert(kIoctlGetProcessElement == 0x4004CA01, "GET_PROCESS_ELEMENT");
#else
static_assert(kIoctlStartWork == 0x4040CA00, "START_WORK");
static_assert(kIoctlGetProcessElement == 0x8004CA01, "GET_PROCESS_ELEMENT");
#endif

// Magic of the file systems behind descriptors that another driver hands out (cxlflash):
// the cxl driver's, and the one OpenCAPI flash adapters use.
constexpr unsigned long kCxlFileSystem = 0x1697697f;
constexpr unsigned long kOcxlFlashFileSystem = 0x1697698f;

}  // namespace abi
}  // namespace cxl

#endif  // NODE_CXL_ABI_CXL_H_
