// SPDX-License-Identifier: Apache-2.0
// The contexts of an environment that the program waits for. They are in one epoll set, which is a
// handle of the environment's event loop: an event wakes JavaScript's thread itself. All on that
// thread.
#ifndef NODE_CXL_EVENTS_WAIT_SET_H_
#define NODE_CXL_EVENTS_WAIT_SET_H_

#include <napi.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <optional>
#include <vector>

#include "event_source.h"

namespace cxl {

class WaitSet {
 public:
  explicit WaitSet(Napi::Env env) : env_(env) {}
  WaitSet(const WaitSet&) = delete;
  WaitSet& operator=(const WaitSet&) = delete;

  // Asks for one batch, and keeps the process alive until it comes. 0 or a negative errno.
  int Arm(EventSource* source);
  // Takes the request back. True when there was one.
  bool Disarm(EventSource* source);
  // The descriptor is about to be closed. True when there was a request.
  bool Leave(EventSource* source);
  bool wanted(const EventSource* source) const { return source->wanted_; }

  // Reads one batch of a source that is not armed, and calls its listener from within. Waits for it
  // up to so many milliseconds, of which it reads again and again for the first `spin`
  // microseconds. 0, -EAGAIN or -EINTR as EventSource::Wait().
  int ReadSync(EventSource* source, double milliseconds, double spin);

  // At the end of the environment.
  void Stop();

 private:
  // Room for several of the largest event: read() refuses less than one.
  static constexpr size_t kCapacity = 32 * 1024;
  struct Handle;

  int Start();
  int Register(EventSource* source);
  void Unregister(EventSource* source);
  bool FdIsReused(const EventSource* source) const;
  EventSource* Find(uint64_t id) const;
  void Deliver();
  bool Release(EventSource* source);
  bool ReadBatch(EventSource* source);
  bool ReadInto(Napi::Uint8Array batch, EventSource* source);
  Napi::Uint8Array Batch();
  int LoopDescriptor();

  const Napi::Env env_;
  uv_loop_t* loop_ = nullptr;
  int poll_ = -1;
  // Deleted by libuv's callback when it is closed.
  Handle* handle_ = nullptr;
  std::optional<Napi::AsyncContext> context_;
  unsigned wanted_ = 0;
  uint32_t generation_ = 0;
  // Sources by slot. What epoll hands back is a slot and a generation, so that an answer that
  // comes late cannot reach a source that has gone.
  std::vector<EventSource*> slots_;
  Napi::Reference<Napi::Uint8Array> batch_;
  // A listener has it.
  bool batch_lent_ = false;
};

}  // namespace cxl

#endif  // NODE_CXL_EVENTS_WAIT_SET_H_
