// SPDX-License-Identifier: Apache-2.0
// libuv's threads and locks as native/threads/thread.h uses them, on tasks of the explorer: each
// call is a point at which another task may go on.
#ifndef NODE_CXL_TEST_UV_H_
#define NODE_CXL_TEST_UV_H_

#include <stddef.h>

struct uv_mutex_t {
  int holder;
};
struct uv_cond_t {
  int broadcasts;
};
struct uv_thread_t {
  int task;
};
struct uv_thread_options_t {
  unsigned flags;
  size_t stack_size;
};
enum { UV_THREAD_HAS_STACK_SIZE = 1 };

int uv_mutex_init(uv_mutex_t* mutex);
void uv_mutex_destroy(uv_mutex_t* mutex);
void uv_mutex_lock(uv_mutex_t* mutex);
void uv_mutex_unlock(uv_mutex_t* mutex);
int uv_cond_init(uv_cond_t* condition);
void uv_cond_destroy(uv_cond_t* condition);
void uv_cond_wait(uv_cond_t* condition, uv_mutex_t* mutex);
void uv_cond_broadcast(uv_cond_t* condition);
int uv_thread_create_ex(uv_thread_t* thread, const uv_thread_options_t* options,
                        void (*body)(void*), void* argument);
int uv_thread_join(uv_thread_t* thread);

#endif  // NODE_CXL_TEST_UV_H_
