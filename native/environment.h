// SPDX-License-Identifier: Apache-2.0
// What belongs to one Node environment (the main thread or a worker): its threads, the way back
// from them to JavaScript, and what has to be closed when it ends.
#ifndef NODE_CXL_ENVIRONMENT_H_
#define NODE_CXL_ENVIRONMENT_H_

#include <napi.h>

#include <optional>
#include <set>

#include "events/wait_set.h"
#include "mmio/operands.h"
#include "threads/operation_pool.h"
#include "threads/operation_thread.h"

namespace cxl {

// The classes of the addon; see wrap.h.
enum class Class { kAfuFile, kDeviceFile, kProblemState, kMemoryRegion, kCount };

// What an environment closes at its end, since the collector no longer runs then.
class Closable {
 public:
  virtual ~Closable() = default;
  // On JavaScript's thread, after the other threads have ended.
  virtual void CloseNow() = 0;
};

// What may be left when an environment ends, without anybody else to delete it.
class Leftover {
 public:
  virtual ~Leftover() = default;
};

class Environment {
 public:
  explicit Environment(Napi::Env env);
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  static Environment& Of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  // All of these on JavaScript's thread, but for Wake().

  // Prepares for Wake(). False when that cannot be, with an exception pending unless the
  // environment is ending.
  bool Start();
  // As ref() and unref() of a libuv handle, counted: the process stays alive meanwhile.
  void Ref();
  void Unref();
  // Has Deliver() run on JavaScript's thread. Any thread.
  void Wake();

  // When the environment ends, what is open is closed before memory that exists now goes back.
  void CloseBeforeMemory();

  void Add(Closable* closable) { open_.insert(closable); }
  void Remove(Closable* closable) { open_.erase(closable); }

  // A descriptor in the answer of an ioctl is closed with the environment until JavaScript has
  // taken it over: an answer that was on its way when a worker was terminated never arrives.
  void Hold(int fd) { held_.insert(fd); }
  // False when it is not held.
  bool Release(int fd) { return held_.erase(fd) > 0; }

  void AddLeftover(Leftover* leftover) { leftovers_.insert(leftover); }
  void RemoveLeftover(Leftover* leftover) { leftovers_.erase(leftover); }

  // The environment is ending, and its threads have ended.
  bool stopped() const { return stopped_; }

  WaitSet& events() { return events_; }
  OperationThread& control() { return control_; }
  OperationPool& pool() { return pool_; }
  OperandBuffer& operands() { return operands_; }

  Napi::FunctionReference constructors[static_cast<size_t>(Class::kCount)];

 private:
  static void Deliver(Napi::Env env, Napi::Function callback, Environment* self, void* data);
  using WakeFunction = Napi::TypedThreadSafeFunction<Environment, void, Deliver>;
  using StopHook = Napi::Env::CleanupHook<void (*)(Environment*), Environment>;

  static void Stop(Environment* self);
  void HookStop();
  void HookStopAgain();

  Napi::Env env_;
  std::optional<WakeFunction> wake_;
  StopHook stop_hook_;
  unsigned references_ = 0;
  bool stopped_ = false;
  std::set<Closable*> open_;
  std::set<Leftover*> leftovers_;
  std::set<int> held_;
  OperandBuffer operands_;
  WaitSet events_;
  OperationThread control_;
  OperationPool pool_;
};

}  // namespace cxl

#endif  // NODE_CXL_ENVIRONMENT_H_
