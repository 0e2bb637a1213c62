// SPDX-License-Identifier: Apache-2.0
// An open AFU file: a context.
#ifndef NODE_CXL_AFU_FILE_H_
#define NODE_CXL_AFU_FILE_H_

#include <node_api.h>

#include <atomic>

#include "abi/cxl.h"
#include "environment.h"
#include "event_thread.h"
#include "reference.h"

namespace cxl {

class ProblemStateMapping;

class AfuFile : public Counted<AfuFile> {
 public:
  static constexpr Class kClass = Class::kAfuFile;
  static const char kName[];
  static const napi_type_tag kTag;

  static bool Define(napi_env env);
  // A JavaScript object for a descriptor, which is taken over. nullptr with an exception
  // pending, the descriptor then closed if it is owned.
  static napi_value New(napi_env env, int fd, bool owned, bool adopted);

  // START_WORK, on any thread. 0 or a negative errno.
  int Start(cxl_ioctl_start_work* work);
  // Closes the descriptor, or lets go of it, on any thread. What comes later does nothing.
  int Close();

  // Calls the sink. `wanted`: the process was kept alive for this.
  void Deliver(napi_env env, napi_value batch, size_t length, int error, bool wanted);
  // The wait is over: neither the process nor the object is kept alive for it.
  void LetGo(napi_env env);

  void Collected(napi_env env);

  const int fd;
  const bool owned;
  const bool adopted;
  EventSource source;
  // Live mappings: the kernel keeps a context attached until the last is gone, whatever
  // close() says. JavaScript's thread.
  ProblemStateMapping* mappings = nullptr;

 private:
  friend class Counted<AfuFile>;
  AfuFile(Environment* environment, int fd, bool owned, bool adopted);
  ~AfuFile() { Close(); }

  static napi_value Fd(napi_env env, napi_callback_info info);
  static napi_value StartWork(napi_env env, napi_callback_info info);
  static napi_value StartWorkSync(napi_env env, napi_callback_info info);
  static napi_value ProcessElement(napi_env env, napi_callback_info info);
  static napi_value AfuId(napi_env env, napi_callback_info info);
  static napi_value MapArea(napi_env env, napi_callback_info info);
  static napi_value OnEvents(napi_env env, napi_callback_info info);
  static napi_value Arm(napi_env env, napi_callback_info info);
  static napi_value Disarm(napi_env env, napi_callback_info info);
  static napi_value CloseFile(napi_env env, napi_callback_info info);

  void Leave(napi_env env);

  Ref<Environment> environment_;
  napi_ref object_ = nullptr;  // weak but while somebody waits
  bool leaving_ = false;       // close() was called; JavaScript's thread
  std::atomic<bool> closed_{false};
  std::atomic<unsigned> attached_{0};
};

}  // namespace cxl

#endif  // NODE_CXL_AFU_FILE_H_
