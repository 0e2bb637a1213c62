// SPDX-License-Identifier: Apache-2.0
//
// Waiting for descriptors. The kernel waits for the eventfd of a context; its result is changed to
// what the driver reports.

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

#include "../driver/context.h"
#include "../driver/events.h"
#include "export.h"
#include "files.h"
#include "next.h"

// POLLIN, POLLERR or 0, like the driver's poll, and -1 for another descriptor. Updates the eventfd,
// since the close of a context that was never started wakes no one.
static short poll_state(int fd) {
  struct file* file = file_get(fd);
  if (!file) return -1;
  short state = -1;
  if (file->kind == FILE_CONTEXT) {
    device_lock();
    device_tick();
    struct context* context = file->context;
    event_signal(context);
    state = event_pending(context) ? POLLIN | POLLRDNORM : context->status == CLOSED ? POLLERR : 0;
    device_unlock();
  }
  file_put(file);
  return state;
}

static bool any_ours(const struct pollfd* entries, nfds_t count) {
  for (nfds_t i = 0; i < count; i++) {
    if (file_is(entries[i].fd)) return true;
  }
  return false;
}

// An eventfd is always writable and the driver's files never, so POLLOUT is not requested.
static void prepare(struct pollfd* copy, const struct pollfd* entries, nfds_t count) {
  memcpy(copy, entries, count * sizeof *copy);
  for (nfds_t i = 0; i < count; i++) {
    short state = poll_state(copy[i].fd);
    if (state < 0) continue;
    copy[i].events &= ~(POLLOUT | POLLWRNORM | POLLWRBAND);
    if (state & POLLERR) copy[i].events |= POLLIN;
  }
}

static int conclude(struct pollfd* entries, const struct pollfd* copy, nfds_t count, int ready) {
  for (nfds_t i = 0; i < count; i++) {
    entries[i].revents = copy[i].revents;
    if (!copy[i].revents) continue;
    short state = poll_state(entries[i].fd);
    if (state < 0) continue;
    entries[i].revents = state & (entries[i].events | POLLERR);
    if (!entries[i].revents) ready--;
  }
  return ready;
}

EXPORT int ppoll(struct pollfd* entries, nfds_t count, const struct timespec* timeout,
                 const sigset_t* mask) {
  if (!any_ours(entries, count)) return NEXT(ppoll)(entries, count, timeout, mask);
  struct pollfd* copy = malloc(count * sizeof *copy);
  if (!copy) {
    errno = ENOMEM;
    return -1;
  }
  prepare(copy, entries, count);
  int ready = NEXT(ppoll)(copy, count, timeout, mask);
  int error = errno;
  if (ready >= 0) ready = conclude(entries, copy, count, ready);
  free(copy);
  errno = error;
  return ready;
}
EXPORT int poll(struct pollfd* entries, nfds_t count, int milliseconds) {
  if (!any_ours(entries, count)) return NEXT(poll)(entries, count, milliseconds);
  struct timespec timeout = {milliseconds / 1000, milliseconds % 1000 * 1000000l};
  return ppoll(entries, count, milliseconds < 0 ? NULL : &timeout, NULL);
}
EXPORT int __poll_chk(struct pollfd* entries, nfds_t count, int milliseconds, size_t size) {
  if (size / sizeof *entries < count) abort();
  return poll(entries, count, milliseconds);
}

static void clear_writable(int count, fd_set* writing) {
  for (int fd = 0; fd < count; fd++) {
    // poll_state() also updates the eventfd.
    if (file_is(fd) && poll_state(fd) >= 0 && writing) FD_CLR(fd, writing);
  }
}

EXPORT int select(int count, fd_set* reading, fd_set* writing, fd_set* failing,
                  struct timeval* timeout) {
  clear_writable(count, writing);
  return NEXT(select)(count, reading, writing, failing, timeout);
}
EXPORT int pselect(int count, fd_set* reading, fd_set* writing, fd_set* failing,
                   const struct timespec* timeout, const sigset_t* mask) {
  clear_writable(count, writing);
  return NEXT(pselect)(count, reading, writing, failing, timeout, mask);
}

EXPORT int epoll_ctl(int set, int operation, int fd, struct epoll_event* event) {
  if (operation == EPOLL_CTL_DEL || !event || poll_state(fd) < 0) {
    return NEXT(epoll_ctl)(set, operation, fd, event);
  }
  struct epoll_event asked = *event;
  asked.events &= ~(uint32_t)(EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
  return NEXT(epoll_ctl)(set, operation, fd, &asked);
}
