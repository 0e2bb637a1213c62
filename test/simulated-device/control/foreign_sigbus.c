// SPDX-License-Identifier: Apache-2.0
//
// A SIGBUS that has nothing to do with an AFU: memory without backing, to which the handler below
// gives backing. It is installed when the process starts, before any other handler.

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../calls/next.h"
#include "control.h"

static atomic_uint handled;
static uint8_t* page;
static int page_fd = -1;
static long page_size;
static struct sigaction previous;

static void on_sigbus(int signal, siginfo_t* info, void* context) {
  uint8_t* address = info->si_addr;
  if (page && address >= page && address < page + page_size) {
    atomic_fetch_add(&handled, 1);
    // Gives the page its backing, so that the access succeeds when it is repeated.
    if (ftruncate(page_fd, page_size)) _exit(99);
    return;
  }
  if ((previous.sa_flags & SA_SIGINFO) && previous.sa_sigaction) {
    previous.sa_sigaction(signal, info, context);
    return;
  }
  sigaction(SIGBUS, &previous, NULL);
}

void control_install_sigbus(void) {
  struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  page_size = sysconf(_SC_PAGESIZE);
  sigaction(SIGBUS, &action, &previous);
}

static void* touch(void* unused) {
  (void)unused;
  *(volatile uint8_t*)page = 1;
  return NULL;
}

int raise_foreign_sigbus(bool in_thread) {
  if (page_fd < 0) {
    page_fd = memfd_create("cxlsim-foreign", MFD_CLOEXEC);
    void* at = NEXT(mmap)(NULL, (size_t)page_size, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
    if (at == MAP_FAILED) return -errno;
    page = at;
  }
  if (ftruncate(page_fd, 0)) return -errno;
  if (!in_thread) {
    touch(NULL);
    return 0;
  }
  pthread_t thread;
  int error = pthread_create(&thread, NULL, touch, NULL);
  if (error) return -error;
  return -pthread_join(thread, NULL);
}

unsigned foreign_sigbus_count(void) { return atomic_load(&handled); }
