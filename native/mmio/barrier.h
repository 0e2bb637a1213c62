// SPDX-License-Identifier: Apache-2.0
// The full barrier of each architecture, between ordinary memory and the device.
#ifndef NODE_CXL_MMIO_BARRIER_H_
#define NODE_CXL_MMIO_BARRIER_H_

#if defined(__powerpc64__)
// Heavyweight: lwsync orders neither stores against later loads nor cache-inhibited storage.
#define NODE_CXL_BARRIER "sync"
#elif defined(__x86_64__)
// A locked instruction waits for all loads and stores before it, as mfence does, in a fifth of the
// time; it leaves out what concerns non-temporal stores and cache-line flushes alone.
#define NODE_CXL_BARRIER "lock; addl $0, -4(%%rsp)"
#elif defined(__aarch64__)
#define NODE_CXL_BARRIER "dsb sy"
#else
#error "node-cxl: the barriers are written for ppc64, x86-64 and arm64"
#endif

extern "C" void cxl_memory_barrier();

#endif  // NODE_CXL_MMIO_BARRIER_H_
