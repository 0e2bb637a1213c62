// SPDX-License-Identifier: Apache-2.0
#include "event_thread.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "abi/cxl.h"
#include "afu_file.h"
#include "environment.h"
#include "errors.h"

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

// Lives as long as the process: threads may still come here while it exits.
struct AdoptedReads : Allocated {
  Mutex mutex;
};
AdoptedReads* adopted_reads;
uv_once_t adopted_reads_once = UV_ONCE_INIT;

// The flags of an adopted descriptor are its owner's: its read may block, and must not. Other
// environments of the process may have the same file, whose threads were woken by the same
// event: to look whether there is one and to take it is one step for all of them.
ssize_t ReadAdopted(int fd, void* bytes, size_t size) {
  uv_once(&adopted_reads_once, [] { adopted_reads = new AdoptedReads; });
  Lock lock(adopted_reads->mutex);
  if (Readable(fd)) return read(fd, bytes, size);
  errno = EAGAIN;
  return -1;
}

}  // namespace

EventSource::~EventSource() { free(bytes_); }

EventThread::~EventThread() { free(slots_); }

bool EventThread::Start() {
  if (thread_.running()) return true;
  poll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (poll_ >= 0 && wake_ >= 0) {
    struct epoll_event event = {};
    event.events = EPOLLIN;
    event.data.u64 = kWake;
    if (epoll_ctl(poll_, EPOLL_CTL_ADD, wake_, &event) == 0) {
      const int status = thread_.Start(Body, this);
      if (status == 0) return true;
      errno = -status;
    }
  }
  const int error = errno;
  if (poll_ >= 0) close(poll_);
  if (wake_ >= 0) close(wake_);
  poll_ = wake_ = -1;
  errno = error;
  return false;
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
  while (AfuFile* file = first_ready_) {
    first_ready_ = file->source.next_ready_;
    file->Release();
  }
  last_ready_ = nullptr;
}

bool EventThread::Arm(AfuFile* file) {
  Lock lock(mutex_);
  EventSource& source = file->source;
  const bool first = !source.wanted_;
  switch (source.state_) {
    case EventSource::State::kLeft:
      return false;
    case EventSource::State::kFailed:
      // Nothing can come any more: the same answer again.
      MarkReady(file, -EIO);
      break;
    case EventSource::State::kIdle: {
      const int error = Start() ? Register(file) : -errno;
      if (error != 0) {
        MarkReady(file, error);
      } else {
        source.state_ = EventSource::State::kArmed;
      }
      break;
    }
    case EventSource::State::kArmed:
    case EventSource::State::kReading:
    case EventSource::State::kReady:
      break;
  }
  source.wanted_ = true;
  return first;
}

bool EventThread::Disarm(AfuFile* file) {
  Lock lock(mutex_);
  EventSource& source = file->source;
  if (source.state_ == EventSource::State::kArmed) {
    Unregister(file);
    source.state_ = EventSource::State::kIdle;
  }
  return std::exchange(source.wanted_, false);
}

bool EventThread::Leave(AfuFile* file) {
  Lock lock(mutex_);
  EventSource& source = file->source;
  Unregister(file);
  source.leaving_ = true;
  if (source.state_ != EventSource::State::kReading) source.state_ = EventSource::State::kLeft;
  return std::exchange(source.wanted_, false);
}

void EventThread::AwaitLeft(AfuFile* file) {
  Lock lock(mutex_);
  while (file->source.state_ == EventSource::State::kReading) left_.Wait(mutex_);
}

// Under the lock, as the next four.
int EventThread::Register(AfuFile* file) {
  EventSource& source = file->source;
  if (source.bytes_ == nullptr) {
    source.bytes_ = static_cast<uint8_t*>(malloc(EventSource::kCapacity));
    if (source.bytes_ == nullptr) return -ENOMEM;
  }
  struct epoll_event event = {};
  event.events = kWaitFor;
  if (source.registered_) {
    event.data.u64 = Identify(source.slot_, source.generation_);
    if (!NumberIsTaken(file) && epoll_ctl(poll_, EPOLL_CTL_MOD, file->fd, &event) == 0) return 0;
    // Whoever owns an adopted descriptor has closed it, and that took it out of the set.
    Unregister(file);
  }
  size_t slot = 0;
  while (slot < slot_count_ && slots_[slot] != nullptr) ++slot;
  if (slot == slot_count_) {
    const size_t count = slot_count_ == 0 ? 16 : slot_count_ * 2;
    auto slots = static_cast<AfuFile**>(realloc(slots_, count * sizeof *slots_));
    if (slots == nullptr) return -ENOMEM;
    memset(slots + slot_count_, 0, (count - slot_count_) * sizeof *slots_);
    slots_ = slots;
    slot_count_ = count;
  }
  source.generation_ = ++generation_;
  event.data.u64 = Identify(slot, source.generation_);
  if (epoll_ctl(poll_, EPOLL_CTL_ADD, file->fd, &event) != 0) return -errno;
  slots_[slot] = file;
  source.slot_ = slot;
  source.registered_ = true;
  return 0;
}

void EventThread::Unregister(AfuFile* file) {
  EventSource& source = file->source;
  if (!source.registered_) return;
  if (!NumberIsTaken(file)) epoll_ctl(poll_, EPOLL_CTL_DEL, file->fd, nullptr);
  slots_[source.slot_] = nullptr;
  source.registered_ = false;
}

// Whoever owns an adopted descriptor may have closed it, and another file of ours have its
// number since: the wait set knows files by their numbers, and would take one for the other.
bool EventThread::NumberIsTaken(const AfuFile* file) const {
  for (size_t slot = 0; slot < slot_count_; ++slot) {
    const AfuFile* other = slots_[slot];
    if (other != nullptr && other != file && other->fd == file->fd) return true;
  }
  return false;
}

void EventThread::MarkReady(AfuFile* file, int error) {
  EventSource& source = file->source;
  source.error_ = error;
  source.state_ = EventSource::State::kReady;
  source.next_ready_ = nullptr;
  file->Retain();
  if (first_ready_ == nullptr) {
    first_ready_ = file;
  } else {
    last_ready_->source.next_ready_ = file;
  }
  last_ready_ = file;
  environment_->Wake();
}

void EventThread::Body(void* self) { static_cast<EventThread*>(self)->Loop(); }

void EventThread::Loop() {
  struct epoll_event fired[32];
  for (;;) {
    const int count = epoll_wait(poll_, fired, 32, -1);
    // Somebody has closed a descriptor that is not theirs: better no events than a busy loop.
    if (count < 0 && errno != EINTR) return;
    for (int i = 0; i < count; ++i) {
      if (fired[i].data.u64 == kWake) return;
      Ref<AfuFile> file = Begin(fired[i].data.u64);
      if (!file) continue;
      Read(file.get());
      End(file.get());
    }
  }
}

Ref<AfuFile> EventThread::Begin(uint64_t id) {
  Lock lock(mutex_);
  const size_t slot = static_cast<uint32_t>(id);
  AfuFile* file = slot < slot_count_ ? slots_[slot] : nullptr;
  if (file == nullptr || file->source.generation_ != static_cast<uint32_t>(id >> 32) ||
      file->source.state_ != EventSource::State::kArmed) {
    return Ref<AfuFile>();
  }
  file->source.state_ = EventSource::State::kReading;
  return Ref<AfuFile>(file);
}

void EventThread::Read(AfuFile* file) {
  EventSource& source = file->source;
  source.length_ = 0;
  source.error_ = 0;
  while (EventSource::kCapacity - source.length_ >= CXL_READ_MIN_SIZE) {
    uint8_t* rest = source.bytes_ + source.length_;
    const size_t room = EventSource::kCapacity - source.length_;
    const ssize_t count =
        file->adopted ? ReadAdopted(file->fd, rest, room) : read(file->fd, rest, room);
    if (count > 0) {
      source.length_ += static_cast<size_t>(count);
    } else if (count == 0) {
      // No cxl file ends: this one would be ready for ever.
      source.error_ = -EIO;
      return;
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      source.error_ = -errno;
      return;
    }
  }
}

void EventThread::End(AfuFile* file) {
  Lock lock(mutex_);
  EventSource& source = file->source;
  if (source.leaving_) {
    source.state_ = EventSource::State::kLeft;
    left_.Broadcast();
    return;
  }
  if (source.length_ == 0 && source.error_ == 0) {
    // Somebody else has taken what there was.
    source.state_ = EventSource::State::kIdle;
    if (!source.wanted_) return;
    const int error = Register(file);
    if (error == 0) {
      source.state_ = EventSource::State::kArmed;
      return;
    }
    source.error_ = error;
  }
  // A detached context would be reported as ready for ever.
  if (source.error_ != 0) Unregister(file);
  MarkReady(file, source.error_);
}

napi_value EventThread::Batch(napi_env env, const uint8_t* bytes, size_t length) {
  napi_value batch = nullptr;
  void* data = nullptr;
  size_t size = 0;
  if (batch_ != nullptr) {
    if (napi_get_reference_value(env, batch_, &batch) != napi_ok || batch == nullptr ||
        napi_get_typedarray_info(env, batch, nullptr, &size, &data, nullptr, nullptr) != napi_ok) {
      return nullptr;
    }
  }
  if (size < EventSource::kCapacity) {
    // The first, or one whose buffer a sink has given away.
    napi_value buffer;
    if (batch_ != nullptr) napi_delete_reference(env, batch_);
    batch_ = nullptr;
    if (napi_create_arraybuffer(env, EventSource::kCapacity, &data, &buffer) != napi_ok ||
        napi_create_typedarray(env, napi_uint8_array, EventSource::kCapacity, buffer, 0, &batch) !=
            napi_ok ||
        napi_create_reference(env, batch, 1, &batch_) != napi_ok) {
      return nullptr;
    }
  }
  if (length > 0) memcpy(data, bytes, length);
  return batch;
}

void EventThread::Deliver(napi_env env) {
  AfuFile* next;
  {
    // What becomes ready meanwhile has its own wake-up.
    Lock lock(mutex_);
    next = first_ready_;
    first_ready_ = last_ready_ = nullptr;
  }
  while (next != nullptr) {
    AfuFile* file = next;
    EventSource& source = file->source;
    next = source.next_ready_;
    napi_handle_scope scope;
    if (napi_open_handle_scope(env, &scope) == napi_ok) {
      bool ready;
      bool wanted = false;
      int error = 0;
      size_t length = 0;
      napi_value batch = nullptr;
      {
        Lock lock(mutex_);
        ready = source.state_ == EventSource::State::kReady;
        if (ready) {
          error = source.error_;
          length = std::exchange(source.length_, 0);
          source.state_ = error == -EIO ? EventSource::State::kFailed : EventSource::State::kIdle;
          wanted = std::exchange(source.wanted_, false);
        }
      }
      // Idle, and this is the thread that could change that: the bytes stay.
      if (ready) batch = Batch(env, source.bytes_, length);
      if (batch != nullptr) {
        file->Deliver(env, batch, length, error, wanted);
      } else if (wanted) {
        file->LetGo(env);
      }
      ReportException(env);
      napi_close_handle_scope(env, scope);
    }
    file->Release();
  }
}

}  // namespace cxl
