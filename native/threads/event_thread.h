// SPDX-License-Identifier: Apache-2.0
// One thread of the environment waits on every context that the program waits for. It
// sleeps in epoll_wait without a time-out, and reads nothing that was not asked for. Each
// registration is one-shot.
#ifndef NODE_CXL_THREADS_EVENT_THREAD_H_
#define NODE_CXL_THREADS_EVENT_THREAD_H_

#include <napi.h>
#include <stddef.h>
#include <stdint.h>

#include <memory>
#include <vector>

#include "thread.h"

namespace cxl {

class Environment;

// Gets the events of a source. On JavaScript's thread.
class EventListener {
 public:
  virtual ~EventListener() = default;
  // `waited`: Arm() was called for this, and the wait is over.
  virtual void OnEvents(Napi::Uint8Array batch, size_t length, int error, bool waited) = 0;
};

// A descriptor as the event thread sees it. Its fields are under the lock of the thread, but for
// those that say otherwise. It may be destroyed once AwaitLeft() has returned.
class EventSource {
 public:
  EventSource(int fd, bool adopted) : fd_(fd), adopted_(adopted) {}
  EventSource(const EventSource&) = delete;
  EventSource& operator=(const EventSource&) = delete;

  // JavaScript's thread alone.
  EventListener* listener = nullptr;

 private:
  friend class EventThread;

  enum class State {
    kIdle,     // no request
    kArmed,    // in the wait set
    kReading,  // the thread reads from it
    kReady,    // a batch is on its way to JavaScript
    kFailed,   // detached: the descriptor has left the wait set for good
    kLeft,     // about to be closed
  };

  // Room for several of the largest event: read() refuses less than one.
  static constexpr size_t kCapacity = 32 * 1024;

  const int fd_;
  const bool adopted_;
  State state_ = State::kIdle;
  bool wanted_ = false;
  bool leaving_ = false;
  bool registered_ = false;
  int error_ = 0;
  size_t slot_ = SIZE_MAX;
  uint32_t generation_ = 0;
  // While kReading these belong to the thread, in any other state to JavaScript's.
  std::unique_ptr<uint8_t[]> bytes_;
  size_t length_ = 0;
};

class EventThread {
 public:
  explicit EventThread(Environment& environment) : environment_(environment) {}

  // JavaScript's thread:

  // Asks for one batch. True when there was no request before.
  bool Arm(EventSource* source);
  // Takes the request back. True when there was a request.
  bool Disarm(EventSource* source);
  // Reads what is pending on a source that is not armed, without waiting, and calls its listener
  // from within. False when there is nothing.
  bool ReadNow(Napi::Env env, EventSource* source);
  // The descriptor is about to be closed: there will be no more batch. True when there was a
  // request.
  bool Leave(EventSource* source);
  // Calls the listeners of the sources that are ready.
  void Deliver(Napi::Env env);
  void Stop();

  // Any thread: returns when the event thread no longer touches a source that has left.
  void AwaitLeft(EventSource* source);

 private:
  int Start();
  static void Body(void* self);
  void Loop();
  EventSource* Begin(uint64_t id);
  void Read(EventSource* source);
  static bool HasBuffer(EventSource* source);
  void Hand(Napi::Env env, EventSource* source);
  void RemoveFromLists(EventSource* source);
  void End(EventSource* source);
  int Register(EventSource* source);
  void Unregister(EventSource* source);
  bool FdIsReused(const EventSource* source) const;
  void MarkReady(EventSource* source, int error);
  Napi::Uint8Array Batch(Napi::Env env, const uint8_t* bytes, size_t length);

  Environment& environment_;
  Thread thread_;
  Mutex mutex_;
  // A source is no longer kReading.
  Condition read_;
  int poll_ = -1;
  int wake_ = -1;
  uint32_t generation_ = 0;
  // Sources by slot. What epoll hands back is a slot and a generation, so that an answer that
  // comes late cannot reach a source that has gone.
  std::vector<EventSource*> slots_;
  // Those with something to deliver, and, during Deliver(), those it has yet to come to. A source
  // that leaves is replaced by nullptr.
  std::vector<EventSource*> ready_;
  std::vector<EventSource*> delivering_;
  Napi::Reference<Napi::Uint8Array> batch_;
};

}  // namespace cxl

#endif  // NODE_CXL_THREADS_EVENT_THREAD_H_
