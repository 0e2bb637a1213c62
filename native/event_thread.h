// SPDX-License-Identifier: Apache-2.0
// One thread of the environment waits on every context of which somebody wants an event. It
// sleeps in epoll_wait without a time-out: nothing is read, nor any call made, while nobody
// waits. Each file's registration is one-shot, and so is its readiness.
#ifndef NODE_CXL_EVENT_THREAD_H_
#define NODE_CXL_EVENT_THREAD_H_

#include <node_api.h>
#include <stddef.h>
#include <stdint.h>

#include "reference.h"
#include "thread.h"

namespace cxl {

class Environment;
class AfuFile;

// The part of an AFU file that the event thread works with; all of it is under the thread's
// lock, but for `bytes` while Reading, which belongs to the thread.
class EventSource {
 public:
  EventSource() = default;
  ~EventSource();
  EventSource(const EventSource&) = delete;
  EventSource& operator=(const EventSource&) = delete;

 private:
  friend class EventThread;

  enum class State {
    kIdle,     // nobody waits
    kArmed,    // in the wait set
    kReading,  // the thread is at it
    kReady,    // a batch is on its way to JavaScript
    kFailed,   // detached: the file has left the wait set for good
    kLeft,     // closed
  };

  // Room for several of the largest event: read() refuses less than one.
  static constexpr size_t kCapacity = 32 * 1024;

  State state_ = State::kIdle;
  bool wanted_ = false;
  bool leaving_ = false;
  bool registered_ = false;
  int error_ = 0;
  size_t slot_ = SIZE_MAX;
  uint32_t generation_ = 0;
  uint8_t* bytes_ = nullptr;
  size_t length_ = 0;
  AfuFile* next_ready_ = nullptr;
};

class EventThread {
 public:
  explicit EventThread(Environment* environment) : environment_(environment) {}
  ~EventThread();

  // Asks for one batch. True when nobody waited before. JavaScript's thread.
  bool Arm(AfuFile* file);
  // Takes the request back. True when somebody waited.
  bool Disarm(AfuFile* file);
  // The file is about to be closed: no batch any more. True when somebody waited.
  bool Leave(AfuFile* file);
  // Returns when the thread no longer touches a file that has left. Any thread.
  void AwaitLeft(AfuFile* file);

  // Calls the sinks of the files that are ready.
  void Deliver(napi_env env);

  void Stop();

 private:
  bool Start();
  static void Body(void* self);
  void Loop();
  Ref<AfuFile> Begin(uint64_t id);
  void Read(AfuFile* file);
  void End(AfuFile* file);
  int Register(AfuFile* file);
  void Unregister(AfuFile* file);
  bool NumberIsTaken(const AfuFile* file) const;
  void MarkReady(AfuFile* file, int error);
  napi_value Batch(napi_env env, const uint8_t* bytes, size_t length);

  Environment* const environment_;
  Thread thread_;
  Mutex mutex_;
  Condition left_;
  int poll_ = -1;
  int wake_ = -1;
  uint32_t generation_ = 0;
  // Files by slot: what epoll hands back is a slot and a generation, so that an answer that
  // comes late cannot reach a file that has gone.
  AfuFile** slots_ = nullptr;
  size_t slot_count_ = 0;
  AfuFile* first_ready_ = nullptr;
  AfuFile* last_ready_ = nullptr;
  napi_ref batch_ = nullptr;
};

}  // namespace cxl

#endif  // NODE_CXL_EVENT_THREAD_H_
