// SPDX-License-Identifier: Apache-2.0
// One ioctl: its structure filled from a JavaScript object, and read into another.
#ifndef NODE_CXL_FILES_IOCTL_REQUEST_H_
#define NODE_CXL_FILES_IOCTL_REQUEST_H_

#include <napi.h>

#include <vector>

#include "device.h"
#include "ioctl_table.h"

namespace cxl {

class IoctlRequest {
 public:
  explicit IoctlRequest(const Ioctl& call) : call_(call) {}
  // Closes the descriptor in an answer that was not made: it would keep its context attached until
  // the process ends. In one that was made, the environment holds it.
  ~IoctlRequest();
  IoctlRequest(const IoctlRequest&) = delete;
  IoctlRequest& operator=(const IoctlRequest&) = delete;

  // False with an exception pending.
  bool Fill(Napi::Object input);
  // Any thread.
  void Run(Device& device);
  // An object, or the negative errno; an empty value with an exception pending.
  Napi::Value Answer(Napi::Env env);

 private:
  bool ReadField(Napi::Value value, const IoctlField& field);
  bool ReadData(Napi::Value value);
  Napi::Value WriteField(Napi::Env env, const IoctlField& field) const;
  // The descriptor that the call answered, once; -1 when there is none.
  int TakeDescriptor();

  const Ioctl& call_;
  alignas(8) uint8_t input_[kLargestIoctl] = {};
  alignas(8) uint8_t output_[kLargestIoctl] = {};
  std::vector<uint8_t> data_;
  Napi::Reference<Napi::Uint8Array> data_source_;
  int result_ = -1;
  bool taken_ = false;
};

}  // namespace cxl

#endif  // NODE_CXL_FILES_IOCTL_REQUEST_H_
