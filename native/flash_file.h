// SPDX-License-Identifier: Apache-2.0
// A node that takes cxlflash ioctls: a LUN's, or a flash adapter's own.
#ifndef NODE_CXL_FLASH_FILE_H_
#define NODE_CXL_FLASH_FILE_H_

#include <node_api.h>

#include <atomic>

#include "environment.h"
#include "reference.h"

namespace cxl {

class FlashFile : public Counted<FlashFile> {
 public:
  static constexpr Class kClass = Class::kFlashFile;
  static const char kName[];
  static const napi_type_tag kTag;

  static bool Define(napi_env env);

  // 0 or a negative errno; what comes later does nothing. Any thread.
  int Close();
  void Collected(napi_env env);

  const int fd;

 private:
  friend class Counted<FlashFile>;
  friend class OpenFlashOperation;
  FlashFile(Environment* environment, int fd) : fd(fd), environment_(environment) {}
  ~FlashFile() { Close(); }

  static napi_value Fd(napi_env env, napi_callback_info info);
  static napi_value Call(napi_env env, napi_callback_info info);
  static napi_value CloseFile(napi_env env, napi_callback_info info);

  Ref<Environment> environment_;
  bool leaving_ = false;  // close() was called; JavaScript's thread
  std::atomic<bool> closed_{false};
};

// openFlash(path, settle): settle(object or negative errno).
napi_value OpenFlash(napi_env env, napi_callback_info info);

}  // namespace cxl

#endif  // NODE_CXL_FLASH_FILE_H_
