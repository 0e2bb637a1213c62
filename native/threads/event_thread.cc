// SPDX-License-Identifier: Apache-2.0
#include "event_thread.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "../abi/cxl.h"
#include "../environment.h"
#include "../errors.h"

namespace cxl {
namespace {

constexpr uint64_t kWake = UINT64_MAX;
constexpr uint32_t kWaitFor = EPOLLIN | EPOLLONESHOT;

uint64_t Identify(size_t slot, uint32_t generation) {
  return static_cast<uint64_t>(generation) << 32 | static_cast<uint32_t>(slot);
}

bool Readable(int fd) {
  struct pollfd wanted = {};
  wanted.fd = fd;
  wanted.events = POLLIN;
  return poll(&wanted, 1, 0) > 0;
}

// The flags of an adopted descriptor are its owner's: its read may block, and must not. Other
// environments of the process may have adopted the same one, and the same event has woken their
// threads: asking whether there is an event and reading it is one step for all of them.
ssize_t ReadAdopted(int fd, void* bytes, size_t size) {
  // Never destroyed: threads may still come here while the process exits.
  static Mutex& mutex = *new Mutex;
  Lock lock(mutex);
  if (Readable(fd)) return read(fd, bytes, size);
  errno = EAGAIN;
  return -1;
}

}  // namespace

// 0, a negative errno, or what Thread::Start() answers.
int EventThread::Start() {
  if (thread_.running()) return 0;
  int error = 0;
  poll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (poll_ < 0 || wake_ < 0) {
    error = -errno;
  } else {
    struct epoll_event event = {};
    event.events = EPOLLIN;
    event.data.u64 = kWake;
    error =
        epoll_ctl(poll_, EPOLL_CTL_ADD, wake_, &event) == 0 ? thread_.Start(Body, this) : -errno;
  }
  if (error == 0) return 0;
  if (poll_ >= 0) close(poll_);
  if (wake_ >= 0) close(wake_);
  poll_ = wake_ = -1;
  return error;
}

void EventThread::Stop() {
  if (!thread_.running()) return;
  const uint64_t one = 1;
  while (write(wake_, &one, sizeof one) < 0 && errno == EINTR) {
  }
  thread_.Join();
  close(poll_);
  close(wake_);
  poll_ = wake_ = -1;
  ready_.clear();
}

bool EventThread::Arm(EventSource* source) {
  Lock lock(mutex_);
  const bool first = !source->wanted_;
  switch (source->state_) {
    case EventSource::State::kLeft:
      return false;
    case EventSource::State::kFailed:
      // Nothing can come any more: the same answer again.
      MarkReady(source, -EIO);
      break;
    case EventSource::State::kIdle: {
      int error = Start();
      if (error == 0) error = Register(source);
      if (error != 0) {
        MarkReady(source, error);
      } else {
        source->state_ = EventSource::State::kArmed;
      }
      break;
    }
    case EventSource::State::kArmed:
    case EventSource::State::kReading:
    case EventSource::State::kReady:
      break;
  }
  source->wanted_ = true;
  return first;
}

bool EventThread::Disarm(EventSource* source) {
  Lock lock(mutex_);
  if (source->state_ == EventSource::State::kArmed) {
    Unregister(source);
    source->state_ = EventSource::State::kIdle;
  }
  return std::exchange(source->wanted_, false);
}

bool EventThread::Leave(EventSource* source) {
  Lock lock(mutex_);
  Unregister(source);
  source->leaving_ = true;
  source->listener = nullptr;
  if (source->state_ != EventSource::State::kReading) source->state_ = EventSource::State::kLeft;
  RemoveFromLists(source);
  return std::exchange(source->wanted_, false);
}

void EventThread::AwaitLeft(EventSource* source) {
  Lock lock(mutex_);
  while (source->state_ == EventSource::State::kReading) read_.Wait(mutex_);
}

bool EventThread::ReadNow(Napi::Env env, EventSource* source) {
  bool ready;
  {
    Lock lock(mutex_);
    // It was disarmed during the read, which does not block.
    while (source->state_ == EventSource::State::kReading) read_.Wait(mutex_);
    ready = source->state_ == EventSource::State::kReady;
    if (ready) {
      // A batch is on its way: it is handed over here instead.
      RemoveFromLists(source);
    } else if (source->state_ != EventSource::State::kIdle) {
      return false;
    } else if (!HasBuffer(source)) {
      source->error_ = -ENOMEM;
      ready = true;
    }
  }
  if (!ready) {
    // Idle: the event thread does not touch it, and its bytes are this thread's.
    Read(source);
    if (source->length_ == 0 && source->error_ == 0) return false;
  }
  Hand(env, source);
  return true;
}

// Under the lock, as the next six.
void EventThread::RemoveFromLists(EventSource* source) {
  for (auto* list : {&ready_, &delivering_}) {
    std::replace(list->begin(), list->end(), source, static_cast<EventSource*>(nullptr));
  }
}

bool EventThread::HasBuffer(EventSource* source) {
  if (source->bytes_ == nullptr) {
    source->bytes_.reset(new (std::nothrow) uint8_t[EventSource::kCapacity]);
  }
  return source->bytes_ != nullptr;
}

int EventThread::Register(EventSource* source) {
  if (!HasBuffer(source)) return -ENOMEM;
  struct epoll_event event = {};
  event.events = kWaitFor;
  if (source->registered_) {
    event.data.u64 = Identify(source->slot_, source->generation_);
    if (!FdIsReused(source) && epoll_ctl(poll_, EPOLL_CTL_MOD, source->fd_, &event) == 0) return 0;
    // The owner of an adopted descriptor has closed it, and that took it out of the wait set.
    Unregister(source);
  }
  const auto free = std::find(slots_.begin(), slots_.end(), nullptr);
  const auto slot = static_cast<size_t>(free - slots_.begin());
  if (free == slots_.end()) slots_.push_back(nullptr);
  source->generation_ = ++generation_;
  event.data.u64 = Identify(slot, source->generation_);
  if (epoll_ctl(poll_, EPOLL_CTL_ADD, source->fd_, &event) != 0) return -errno;
  slots_[slot] = source;
  source->slot_ = slot;
  source->registered_ = true;
  return 0;
}

void EventThread::Unregister(EventSource* source) {
  if (!source->registered_) return;
  if (!FdIsReused(source)) epoll_ctl(poll_, EPOLL_CTL_DEL, source->fd_, nullptr);
  slots_[source->slot_] = nullptr;
  source->registered_ = false;
}

// The owner of an adopted descriptor may have closed it, and another source of ours may have its
// number since: the wait set knows descriptors by their numbers, and would take one for the other.
bool EventThread::FdIsReused(const EventSource* source) const {
  return std::any_of(slots_.begin(), slots_.end(), [source](const EventSource* other) {
    return other != nullptr && other != source && other->fd_ == source->fd_;
  });
}

void EventThread::MarkReady(EventSource* source, int error) {
  source->error_ = error;
  source->state_ = EventSource::State::kReady;
  ready_.push_back(source);
  environment_.Wake();
}

void EventThread::Body(void* self) { static_cast<EventThread*>(self)->Loop(); }

void EventThread::Loop() {
  struct epoll_event fired[32];
  for (;;) {
    const int count = epoll_wait(poll_, fired, 32, -1);
    // Other code has closed this descriptor by mistake: no events are better than a busy loop.
    if (count < 0 && errno != EINTR) return;
    for (int i = 0; i < count; ++i) {
      if (fired[i].data.u64 == kWake) return;
      EventSource* source = Begin(fired[i].data.u64);
      if (source == nullptr) continue;
      Read(source);
      End(source);
    }
  }
}

// From here to End() the source is kReading, so that it is not destroyed.
EventSource* EventThread::Begin(uint64_t id) {
  Lock lock(mutex_);
  const size_t slot = static_cast<uint32_t>(id);
  EventSource* source = slot < slots_.size() ? slots_[slot] : nullptr;
  if (source == nullptr || source->generation_ != static_cast<uint32_t>(id >> 32) ||
      source->state_ != EventSource::State::kArmed) {
    return nullptr;
  }
  source->state_ = EventSource::State::kReading;
  return source;
}

void EventThread::Read(EventSource* source) {
  source->length_ = 0;
  source->error_ = 0;
  while (EventSource::kCapacity - source->length_ >= CXL_READ_MIN_SIZE) {
    uint8_t* rest = source->bytes_.get() + source->length_;
    const size_t room = EventSource::kCapacity - source->length_;
    const ssize_t count =
        source->adopted_ ? ReadAdopted(source->fd_, rest, room) : read(source->fd_, rest, room);
    if (count > 0) {
      source->length_ += static_cast<size_t>(count);
    } else if (count == 0) {
      // No cxl file ends: this one would always be ready.
      source->error_ = -EIO;
      return;
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      source->error_ = -errno;
      return;
    }
  }
}

void EventThread::End(EventSource* source) {
  Lock lock(mutex_);
  // Who waits for the end of the read goes on when the lock is free.
  read_.Broadcast();
  if (source->leaving_) {
    source->state_ = EventSource::State::kLeft;
    return;
  }
  if (source->length_ == 0 && source->error_ == 0) {
    // Another process or thread has read what there was.
    source->state_ = EventSource::State::kIdle;
    if (!source->wanted_) return;
    const int error = Register(source);
    if (error == 0) {
      source->state_ = EventSource::State::kArmed;
      return;
    }
    source->error_ = error;
  }
  // A detached context is always ready.
  if (source->error_ != 0) Unregister(source);
  MarkReady(source, source->error_);
}

Napi::Uint8Array EventThread::Batch(Napi::Env env, const uint8_t* bytes, size_t length) {
  Napi::Uint8Array batch;
  if (!batch_.IsEmpty()) batch = batch_.Value();
  if (batch.IsEmpty() || batch.ByteLength() < EventSource::kCapacity) {
    // The first, or one whose buffer a sink has transferred.
    batch = Napi::Uint8Array::New(env, EventSource::kCapacity);
    if (batch.IsEmpty()) return batch;
    batch_ = Napi::Reference<Napi::Uint8Array>::New(batch, 1);
  }
  if (length > 0) memcpy(batch.Data(), bytes, length);
  return batch;
}

void EventThread::Deliver(Napi::Env env) {
  {
    // What becomes ready meanwhile has its own wake-up.
    Lock lock(mutex_);
    delivering_.swap(ready_);
  }
  for (size_t i = 0; i < delivering_.size(); ++i) {
    if (delivering_[i] == nullptr) continue;
    Hand(env, delivering_[i]);
    ReportException(env);
  }
  delivering_.clear();
}

// Gives the bytes and the error of a source to its listener.
void EventThread::Hand(Napi::Env env, EventSource* source) {
  bool wanted;
  int error;
  size_t length;
  {
    Lock lock(mutex_);
    error = source->error_;
    length = std::exchange(source->length_, 0);
    source->state_ = error == -EIO ? EventSource::State::kFailed : EventSource::State::kIdle;
    wanted = std::exchange(source->wanted_, false);
  }
  const Napi::HandleScope scope(env);
  // Idle, and this is the thread that could change that: the bytes stay.
  const Napi::Uint8Array batch = Batch(env, source->bytes_.get(), length);
  source->listener->OnEvents(batch, length, error, wanted);
}

}  // namespace cxl
