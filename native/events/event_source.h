// SPDX-License-Identifier: Apache-2.0
// The descriptor of a context, from which events are read. All on JavaScript's thread.
#ifndef NODE_CXL_EVENTS_EVENT_SOURCE_H_
#define NODE_CXL_EVENTS_EVENT_SOURCE_H_

#include <napi.h>
#include <stddef.h>
#include <stdint.h>

namespace cxl {

// Gets the events of a source.
class EventListener {
 public:
  virtual ~EventListener() = default;
  // `waited`: WaitSet::Arm() was called for this, and the wait is over. The listener may destroy
  // the source.
  virtual void OnEvents(Napi::Uint8Array batch, size_t length, int error, bool waited) = 0;
};

// Whether a descriptor can be read without waiting; one below 0 cannot.
bool Readable(int fd);

class EventSource {
 public:
  // `adopted`: the descriptor was opened elsewhere, with flags of its own. `owned`: nobody else
  // closes it.
  EventSource(int fd, bool owned, bool adopted) : fd_(fd), owned_(owned), adopted_(adopted) {}
  EventSource(const EventSource&) = delete;
  EventSource& operator=(const EventSource&) = delete;

  EventListener* listener = nullptr;

  // Reads what is pending, without waiting: whole events, as many as there is room for. Returns
  // how many bytes; `error` gets 0 or the negative errno of the read that failed after them.
  size_t Read(uint8_t* bytes, size_t size, int* error) const;

  // Sleeps until the descriptor is readable (0), so many milliseconds have passed (-EAGAIN), or the
  // caller should look after its thread and call again (-EINTR): a signal has come, or the event
  // loop, whose descriptor `loop` is, has something to do.
  int Wait(double milliseconds, int loop) const;

 private:
  friend class WaitSet;

  const int fd_;
  const bool owned_;
  const bool adopted_;
  // A batch has been asked for.
  bool wanted_ = false;
  bool registered_ = false;
  size_t slot_ = 0;
  uint32_t generation_ = 0;
};

}  // namespace cxl

#endif  // NODE_CXL_EVENTS_EVENT_SOURCE_H_
