// SPDX-License-Identifier: Apache-2.0
// /dev/cxl/cardN of a PowerVM guest: adapter image download. Closing it resets the adapter.
#ifndef NODE_CXL_CARD_FILE_H_
#define NODE_CXL_CARD_FILE_H_

#include <node_api.h>

#include <atomic>

#include "environment.h"
#include "reference.h"

namespace cxl {

class CardFile : public Counted<CardFile> {
 public:
  static constexpr Class kClass = Class::kCardFile;
  static const char kName[];
  static const napi_type_tag kTag;

  static bool Define(napi_env env);
  // Takes the descriptor over. nullptr with an exception pending.
  static napi_value New(napi_env env, int fd);

  // 0 or a negative errno; what comes later does nothing. Any thread.
  int Close();
  bool closed() const { return closed_; }
  void Collected(napi_env env);

  const int fd;

 private:
  friend class Counted<CardFile>;
  CardFile(Environment* environment, int fd) : fd(fd), environment_(environment) {}
  ~CardFile() { Close(); }

  static napi_value Fd(napi_env env, napi_callback_info info);
  static napi_value Transfer(napi_env env, napi_callback_info info);
  static napi_value CloseFile(napi_env env, napi_callback_info info);

  Ref<Environment> environment_;
  bool leaving_ = false;  // close() was called; JavaScript's thread
  std::atomic<bool> closed_{false};
};

}  // namespace cxl

#endif  // NODE_CXL_CARD_FILE_H_
