// SPDX-License-Identifier: Apache-2.0
// What belongs to one Node environment (the main thread or a worker): its event thread, its
// control thread, and the way back from them to JavaScript.
#ifndef NODE_CXL_ENVIRONMENT_H_
#define NODE_CXL_ENVIRONMENT_H_

#include <node_api.h>

#include "control_thread.h"
#include "event_thread.h"
#include "flash_workers.h"
#include "reference.h"

namespace cxl {

// The classes of the addon; see wrapped.h.
enum class Class { kAfuFile, kProblemStateMapping, kMemoryRegion, kCardFile, kFlashFile, kCount };

class Environment : public Counted<Environment> {
 public:
  // Makes it the instance data of the addon. False with an exception pending.
  static bool Create(napi_env env);
  static Environment* Of(napi_env env);

  // Gets the way back ready. False with an exception pending. JavaScript's thread.
  bool Start();

  // The process stays alive while anything is held. JavaScript's thread.
  void Hold();
  void Let();

  // Has Deliver run on JavaScript's thread. Any thread.
  void Wake();

  // After the threads were stopped: the environment is going away.
  bool stopped() const { return stopped_; }

  EventThread& events() { return events_; }
  ControlThread& control() { return control_; }
  FlashWorkers& flash() { return flash_; }

  napi_ref constructors[static_cast<size_t>(Class::kCount)] = {};
  // What the constructor that is about to be called shall wrap.
  void* constructing = nullptr;

 private:
  friend class Counted<Environment>;
  explicit Environment(napi_env env) : env_(env), events_(this), control_(this), flash_(this) {}
  ~Environment() = default;

  static void Stop(void* self);
  static void Deliver(napi_env env, napi_value callback, void* self, void* data);

  napi_env env_;
  napi_threadsafe_function wake_ = nullptr;
  unsigned held_ = 0;
  bool stopped_ = false;
  EventThread events_;
  ControlThread control_;
  FlashWorkers flash_;
};

}  // namespace cxl

#endif  // NODE_CXL_ENVIRONMENT_H_
