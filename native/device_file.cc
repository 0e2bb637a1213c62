// SPDX-License-Identifier: Apache-2.0
#include "device_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "abi/cxl.h"
#include "afu_file.h"
#include "arguments.h"
#include "card_file.h"
#include "control_thread.h"
#include "environment.h"
#include "open_file.h"
#include "text.h"

namespace cxl {
namespace {

int AskAfuId(int fd) {
  cxl_afu_id id = {};
  return ioctl(fd, CXL_IOCTL_GET_AFU_ID, &id) < 0 ? -errno : 0;
}

// A node that was opened by its path. 0 or a negative errno.
int CheckNode(int fd) {
  const int error = AskAfuId(fd);
  if (error != -EINVAL) return error == -ENOTTY ? -ENODEV : error;
  // The first drivers had no GET_AFU_ID, but this they had.
  uint32_t element;
  return ioctl(fd, CXL_IOCTL_GET_PROCESS_ELEMENT, &element) < 0 ? -ENODEV : 0;
}

// A descriptor from elsewhere. 0 or a negative errno.
int CheckDescriptor(int fd) {
  const int error = AskAfuId(fd);
  if (error == 0 || error == -EBADF) return error;
  struct statfs file_system;
  if (fstatfs(fd, &file_system) != 0) return -errno;
  const auto magic = static_cast<unsigned long>(file_system.f_type);
  return magic == CXL_PSEUDO_FS_MAGIC || magic == OCXLFLASH_FS_MAGIC ? 0 : -ENODEV;
}

enum class Node { kAfu, kCard };

template <Node kNode>
class OpenOperation : public Operation {
 public:
  ~OpenOperation() override {
    if (fd_ >= 0) close(fd_);
  }

  bool Read(napi_env env, napi_value path) { return path_.Read(env, path); }

  void Run() override {
    fd_ = OpenFile(path_.c_str(), O_RDWR | O_NONBLOCK);
    error_ = fd_ < 0 ? -errno : 0;
    if (kNode == Node::kAfu && error_ == 0) {
      error_ = CheckNode(fd_);
      if (error_ != 0) close(std::exchange(fd_, -1));
    }
  }

  napi_value Answer(napi_env env) override {
    if (error_ != 0) return Integer(env, error_);
    const int fd = std::exchange(fd_, -1);
    return kNode == Node::kAfu ? AfuFile::New(env, fd, true, false) : CardFile::New(env, fd);
  }

 private:
  Text path_;
  int fd_ = -1;
  int error_ = 0;
};

template <Node kNode>
napi_value Open(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Environment* environment = Environment::Of(env);
  if (environment == nullptr) return nullptr;
  auto operation = new OpenOperation<kNode>;
  if (!operation->Read(env, arguments[0])) {
    delete operation;
    return nullptr;
  }
  environment->control().Submit(env, operation, arguments[1]);
  return nullptr;
}

}  // namespace

napi_value OpenAfu(napi_env env, napi_callback_info info) { return Open<Node::kAfu>(env, info); }
napi_value OpenCard(napi_env env, napi_callback_info info) { return Open<Node::kCard>(env, info); }

napi_value AdoptAfu(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  int32_t fd;
  bool owned;
  if (!arguments.Int32(0, &fd) || !arguments.Bool(1, &owned)) return nullptr;
  const int error = CheckDescriptor(fd);
  return error != 0 ? Integer(env, error) : AfuFile::New(env, fd, owned, true);
}

}  // namespace cxl
