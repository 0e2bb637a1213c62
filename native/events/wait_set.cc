// SPDX-License-Identifier: Apache-2.0
#include "wait_set.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "../errors.h"

namespace cxl {
namespace {

// Sources that one turn of the event loop reads.
constexpr int kTurn = 64;
// Reads of a thread that spins between two looks at its event loop.
constexpr unsigned kSpinTurn = 256;

uint64_t Identify(size_t slot, uint32_t generation) {
  return static_cast<uint64_t>(generation) << 32 | static_cast<uint32_t>(slot);
}

}  // namespace

struct WaitSet::Handle {
  uv_poll_t poll;
  WaitSet* set;
};

int WaitSet::LoopDescriptor() {
  if (loop_ == nullptr && napi_get_uv_event_loop(env_, &loop_) != napi_ok) return -1;
  return uv_backend_fd(loop_);
}

// The loop knows the epoll set alone, and no descriptor of a context: libuv would set the flags of
// an adopted one, and end the process when its owner has closed it.
int WaitSet::Start() {
  if (handle_ != nullptr) return 0;
  if (LoopDescriptor() < 0) return -ENOTSUP;
  poll_ = epoll_create1(EPOLL_CLOEXEC);
  if (poll_ < 0) return -errno;
  context_.emplace(env_, "node-cxl");
  Handle* handle = new Handle{{}, this};
  int error = uv_poll_init(loop_, &handle->poll, poll_);
  if (error != 0) {
    delete handle;
    context_.reset();
    close(std::exchange(poll_, -1));
    return error;
  }
  handle_ = handle;
  handle->poll.data = handle;
  uv_poll_start(&handle->poll, UV_READABLE, [](uv_poll_t* poll, int, int) {
    static_cast<Handle*>(poll->data)->set->Deliver();
  });
  uv_unref(reinterpret_cast<uv_handle_t*>(&handle->poll));
  return 0;
}

void WaitSet::Stop() {
  for (EventSource* source : slots_) {
    if (source != nullptr) source->registered_ = false;
  }
  slots_.clear();
  batch_.Reset();
  if (handle_ == nullptr) return;
  uv_close(reinterpret_cast<uv_handle_t*>(&std::exchange(handle_, nullptr)->poll),
           [](uv_handle_t* poll) { delete static_cast<Handle*>(poll->data); });
  close(std::exchange(poll_, -1));
  context_.reset();
}

int WaitSet::Arm(EventSource* source) {
  if (source->wanted_) return 0;
  int error = Start();
  if (error == 0) error = Register(source);
  if (error != 0) return error;
  source->wanted_ = true;
  if (wanted_++ == 0) uv_ref(reinterpret_cast<uv_handle_t*>(&handle_->poll));
  return 0;
}

// Takes the request back. The source stays in the epoll set, in case that the program soon waits
// again, until it is ready and nobody waits.
bool WaitSet::Release(EventSource* source) {
  if (!std::exchange(source->wanted_, false)) return false;
  if (--wanted_ == 0 && handle_ != nullptr) {
    uv_unref(reinterpret_cast<uv_handle_t*>(&handle_->poll));
  }
  return true;
}

bool WaitSet::Disarm(EventSource* source) {
  // Its owner may close it, and then nothing could take it out of the set any more.
  if (!source->owned_) Unregister(source);
  return Release(source);
}

bool WaitSet::Leave(EventSource* source) {
  const bool waited = Disarm(source);
  Unregister(source);
  source->listener = nullptr;
  return waited;
}

int WaitSet::Register(EventSource* source) {
  struct epoll_event event = {};
  event.events = EPOLLIN;
  if (!source->owned_) event.events |= EPOLLONESHOT;
  if (source->registered_) {
    if (source->owned_) return 0;
    event.data.u64 = Identify(source->slot_, source->generation_);
    if (!FdIsReused(source) && epoll_ctl(poll_, EPOLL_CTL_MOD, source->fd_, &event) == 0) return 0;
    // Its owner has closed it, and that took it out of the set.
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

void WaitSet::Unregister(EventSource* source) {
  if (!source->registered_) return;
  if (!FdIsReused(source)) epoll_ctl(poll_, EPOLL_CTL_DEL, source->fd_, nullptr);
  slots_[source->slot_] = nullptr;
  source->registered_ = false;
}

// The owner of an adopted descriptor may have closed it, and another source of ours may have its
// number since: the epoll set knows descriptors by their numbers, and would take one for the other.
bool WaitSet::FdIsReused(const EventSource* source) const {
  return std::any_of(slots_.begin(), slots_.end(), [source](const EventSource* other) {
    return other != nullptr && other != source && other->fd_ == source->fd_;
  });
}

EventSource* WaitSet::Find(uint64_t id) const {
  const size_t slot = static_cast<uint32_t>(id);
  EventSource* source = slot < slots_.size() ? slots_[slot] : nullptr;
  return source != nullptr && source->generation_ == static_cast<uint32_t>(id >> 32) ? source
                                                                                     : nullptr;
}

// What is left after kTurn sources comes in the next turn of the event loop.
void WaitSet::Deliver() {
  struct epoll_event fired[kTurn];
  const int count = epoll_wait(poll_, fired, kTurn, 0);
  if (count <= 0) return;
  const Napi::HandleScope scope(env_);
  const Napi::CallbackScope callback(env_, *context_);
  for (int i = 0; i < count; ++i) {
    // A listener before may have closed it.
    EventSource* source = Find(fired[i].data.u64);
    if (source == nullptr) continue;
    if (!source->wanted_) {
      Unregister(source);
    } else if (!ReadBatch(source) && !source->owned_) {
      // Another thread or process has read what there was. It stays wanted, and is armed again.
      Register(source);
    }
    ReportException(env_);
  }
}

// False: there was nothing, or the environment is ending.
bool WaitSet::ReadBatch(EventSource* source) {
  const Napi::HandleScope scope(env_);
  const Napi::Uint8Array batch = Batch();
  return !batch.IsEmpty() && ReadInto(batch, source);
}

// Hands what is pending to the listener, which may destroy the source. False: there was nothing.
bool WaitSet::ReadInto(Napi::Uint8Array batch, EventSource* source) {
  int error;
  const size_t length = source->Read(batch.Data(), kCapacity, &error);
  if (length == 0 && error == 0) return false;
  // A detached context is always ready.
  if (error == -EIO) Unregister(source);
  const bool waited = Release(source);
  const bool lent = std::exchange(batch_lent_, true);
  source->listener->OnEvents(batch, length, error, waited);
  batch_lent_ = lent;
  return true;
}

int WaitSet::ReadSync(EventSource* source, double milliseconds, double spin) {
  if (source->wanted_) return -EAGAIN;
  const Napi::HandleScope scope(env_);
  const Napi::Uint8Array batch = Batch();
  if (batch.IsEmpty()) return -EINTR;
  if (ReadInto(batch, source)) return 0;
  if (!(milliseconds > 0)) return -EAGAIN;
  const int loop = LoopDescriptor();
  if (spin > 0) {
    const uint64_t start = uv_hrtime();
    const double limit = std::min(spin * 1e3, milliseconds * 1e6);
    double elapsed = 0;
    for (unsigned turn = 1; elapsed < limit; ++turn) {
      if (ReadInto(batch, source)) return 0;
      if (turn % kSpinTurn == 0 && Readable(loop)) return -EINTR;
      elapsed = static_cast<double>(uv_hrtime() - start);
    }
    milliseconds -= elapsed / 1e6;
    if (milliseconds <= 0) return -EAGAIN;
  }
  // Else the source's own events would make the event loop look busy.
  Unregister(source);
  const int result = source->Wait(milliseconds, loop);
  if (result != 0) return result;
  // Nothing: another thread or process has read what there was.
  return ReadInto(batch, source) ? 0 : -EINTR;
}

// Where events are read to. Empty when the environment is ending.
Napi::Uint8Array WaitSet::Batch() {
  Napi::Uint8Array batch;
  if (!batch_lent_ && !batch_.IsEmpty()) batch = batch_.Value();
  // The first, one whose buffer a listener has transferred, or that a listener has now.
  if (batch.IsEmpty() || batch.ByteLength() < kCapacity) {
    batch = Napi::Uint8Array::New(env_, kCapacity);
    if (!batch_lent_ && !batch.IsEmpty()) {
      batch_ = Napi::Reference<Napi::Uint8Array>::New(batch, 1);
    }
  }
  return batch;
}

}  // namespace cxl
