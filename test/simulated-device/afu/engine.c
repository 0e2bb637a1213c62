// SPDX-License-Identifier: Apache-2.0

#include "engine.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "../calls/next.h"
#include "../flash/flash.h"

static bool running;

// How long the thread polls without sleep after work, how long with short sleeps, so that it keeps
// up with a thread that polls a register, and how its sleep grows then.
#define BUSY_NS 200000
#define SHORT_NS 20000000
#define SHORT_SLEEP_NS 20000
#define LONGEST_SLEEP_NS 200000
#define ALONE_CHECK_NS 500000000

static bool run_afu(struct afu* afu, bool* attached) {
  bool worked = false;
  for (int pe = 0; pe < 512; pe++) {
    struct context* context = afu->contexts[pe];
    if (!context || context->status != STARTED || context->foreign) continue;
    *attached = true;
    if (!afu->card->link_up || !afu->enabled) continue;
    worked |= injection_step(context);
    // The command may have detached the context or taken the link down.
    if (afu->contexts[pe] != context || context->status != STARTED || !afu->card->link_up) {
      continue;
    }
    worked |= memcpy_afu_step(context);
    device_give_way();
  }
  return worked;
}

// Whether this is the last thread. A process ends with its last thread, so this one ends the
// process when the main thread has exited and no other is left.
static bool alone(void) {
  char text[512];
  // After the main thread has exited the link cannot be read. Checked first, because it uses no
  // descriptor, whose number a program may expect to be free.
  if (NEXT(readlink)("/proc/self/exe", text, sizeof text) >= 0) return false;
  int fd = NEXT(open)("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t size = NEXT(read)(fd, text, sizeof text - 1);
  NEXT(close)(fd);
  text[size > 0 ? size : 0] = 0;
  char* state = strrchr(text, ')');
  int threads = 0;
  // After the name, the first field is the state and the 18th the number of threads.
  if (!state || state[1] != ' ' || state[2] != 'Z') return false;
  const char* format = "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d";
  return sscanf(state + 2, format, &threads) == 1 && threads <= 2;
}

static void* run(void* unused) {
  (void)unused;
  int64_t last_work = now(), last_check = last_work;
  long sleep = SHORT_SLEEP_NS;
  // Else the kernel adds 50 µs to each sleep.
  prctl(PR_SET_TIMERSLACK, 1);
  for (;;) {
    device_lock();
    device_give_way();
    bool attached = false, worked = false;
    device_tick();
    for (int number = 0; number < CARDS; number++) worked |= run_afu(cards[number].afu, &attached);
    worked |= flash_step(&attached);
    if (!attached && !device_busy() && !flash_busy()) {
      running = false;
      device_unlock();
      return NULL;
    }
    device_unlock();
    int64_t time = now();
    if (worked) {
      last_work = time;
      sleep = SHORT_SLEEP_NS;
    }
    bool busy = time - last_work < BUSY_NS;
    if (!busy && time - last_check > ALONE_CHECK_NS) {
      last_check = time;
      if (alone()) exit(0);
    }
    if (busy || options.spin) {
      sched_yield();
      continue;
    }
    nanosleep(&(struct timespec){0, sleep}, NULL);
    if (time - last_work < SHORT_NS) continue;
    sleep = sleep * 2 < LONGEST_SLEEP_NS ? sleep * 2 : LONGEST_SLEEP_NS;
  }
}

void engine_forget(void) { running = false; }

void engine_wake(void) {
  if (running) return;
  // The thread handles no signals of the process.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, NULL) == 0) {
    running = true;
    pthread_setname_np(thread, "cxlsim");
    pthread_detach(thread);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}
