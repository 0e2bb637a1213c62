// SPDX-License-Identifier: Apache-2.0
// libuv's threads and locks: they come with the node binary, so that the addon asks nothing of
// the C library's thread symbols, whose versions differ between distributions.
#ifndef NODE_CXL_THREADS_THREAD_H_
#define NODE_CXL_THREADS_THREAD_H_

#include <stdlib.h>
#include <uv.h>

namespace cxl {

class Mutex {
 public:
  Mutex() {
    if (uv_mutex_init(&mutex_) != 0) abort();
  }
  ~Mutex() { uv_mutex_destroy(&mutex_); }
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

 private:
  friend class Lock;
  friend class Condition;
  uv_mutex_t mutex_;
};

class Lock {
 public:
  explicit Lock(Mutex& mutex) : mutex_(mutex) { uv_mutex_lock(&mutex_.mutex_); }
  ~Lock() { uv_mutex_unlock(&mutex_.mutex_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  Mutex& mutex_;
};

class Condition {
 public:
  Condition() {
    if (uv_cond_init(&condition_) != 0) abort();
  }
  ~Condition() { uv_cond_destroy(&condition_); }
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  void Wait(Mutex& mutex) { uv_cond_wait(&condition_, &mutex.mutex_); }
  void Broadcast() { uv_cond_broadcast(&condition_); }

 private:
  uv_cond_t condition_;
};

class Thread {
 public:
  // NO_THREAD of lib/shared/errno.ts: an errno less this is that of pthread_create(), and not of
  // the call that the thread was for.
  static constexpr int kNoThread = 0x10000;

  // 0, or a negative errno less kNoThread.
  int Start(void (*body)(void*), void* argument) {
    // What runs here needs little; the default of several megabytes a thread would show when
    // there are many environments.
    uv_thread_options_t options{};
    options.flags = UV_THREAD_HAS_STACK_SIZE;
    options.stack_size = 256 * 1024;
    int status = uv_thread_create_ex(&thread_, &options, body, argument);
    running_ = status == 0;
    return running_ ? 0 : status - kNoThread;
  }
  bool running() const { return running_; }
  void Join() {
    if (running_) uv_thread_join(&thread_);
    running_ = false;
  }

 private:
  uv_thread_t thread_;
  bool running_ = false;
};

}  // namespace cxl

#endif  // NODE_CXL_THREADS_THREAD_H_
