// SPDX-License-Identifier: Apache-2.0
//
// The C library's functions that this library replaces.

#pragma once

#include <dlfcn.h>
#include <stdatomic.h>

// The next definition of a function, looked up once.
#define NEXT(name)                                                          \
  ({                                                                        \
    static _Atomic(void*) next_##name;                                      \
    void* found = atomic_load_explicit(&next_##name, memory_order_relaxed); \
    if (!found) {                                                           \
      found = dlsym(RTLD_NEXT, #name);                                      \
      atomic_store_explicit(&next_##name, found, memory_order_relaxed);     \
    }                                                                       \
    (__typeof__(&name))found;                                               \
  })
