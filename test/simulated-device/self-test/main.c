// SPDX-License-Identifier: Apache-2.0
//
// Checks the life of a context with system calls and prints one line for each rule ("ok …" or
// "not ok …"). Needs the device preloaded.

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../afu/memcpy.h"
#include "self_test.h"

static int failures;

void check(bool holds, const char* rule) {
  printf("%s %s\n", holds ? "ok" : "not ok", rule);
  if (!holds) failures++;
}

void command(const char* text) {
  int fd = open("/dev/cxl-sim", O_WRONLY);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) {
    printf("not ok device command %s: %s\n", text, strerror(errno));
    failures++;
  }
  close(fd);
}

int start_with(int fd, struct cxl_ioctl_start_work work) {
  return ioctl(fd, CXL_IOCTL_START_WORK, &work);
}
int start(int fd) { return start_with(fd, (struct cxl_ioctl_start_work){0}); }

int started(const char* path, int flags) {
  int fd = open(path, O_RDWR | flags);
  if (fd < 0 || start(fd)) {
    perror(path);
    exit(1);
  }
  return fd;
}

uint8_t* map(int fd, size_t length) {
  void* at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return at == MAP_FAILED ? NULL : at;
}

bool maps(int fd, size_t length) {
  uint8_t* at = map(fd, length);
  return at && munmap(at, length) == 0;
}

void inject(uint8_t* registers, enum injection command, uint64_t argument, uint64_t value,
            uint64_t count) {
  uint64_t done = load_register(registers, INJECT_DONE);
  store_register(registers, INJECT_VALUE, value);
  store_register(registers, INJECT_COUNT, count);
  store_register(registers, INJECT_COMMAND, (uint64_t)command << INJECT_COMMAND_SHIFT | argument);
  WAIT_UNTIL(load_register(registers, INJECT_DONE) != done);
}

short polled(int fd) {
  struct pollfd entry = {fd, POLLIN, 0};
  return poll(&entry, 1, 0) < 0 ? -1 : entry.revents;
}

struct cxl_event next_event(int fd) {
  static _Alignas(8) char buffer[CXL_READ_MIN_SIZE];
  struct cxl_event event = {0};
  ssize_t size = read(fd, buffer, sizeof buffer);
  if (size > 0) memcpy(&event, buffer, size < (ssize_t)sizeof event ? (size_t)size : sizeof event);
  event.header.reserved1 = size < 0 ? (uint16_t)errno : 0;
  return event;
}

bool is_interrupt(struct cxl_event event, int number) {
  return event.header.type == CXL_EVENT_AFU_INTERRUPT && event.header.size == 16 &&
         event.irq.irq == number;
}

static sigjmp_buf touched;
static void on_fault(int number) { siglongjmp(touched, number); }
bool faults(uint8_t* place) {
  struct sigaction action = {.sa_handler = on_fault}, before;
  sigaction(SIGBUS, &action, &before);
  bool fault = sigsetjmp(touched, 1) != 0;
  if (!fault) (void)*(volatile uint64_t*)(void*)place;
  sigaction(SIGBUS, &before, NULL);
  return fault;
}

static void opened(void) {
  char buffer[CXL_READ_MIN_SIZE];
  uint32_t element = 77;
  struct cxl_afu_id id;
  struct stat status;
  int fd = open("/dev/cxl/afu0.0s", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  check(fd >= 0, "open gives a descriptor");
  check(fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && minor(status.st_rdev) == 3,
        "fstat shows the character device");
  check(ioctl(fd, CXL_IOCTL_GET_PROCESS_ELEMENT, &element) == 0 && element == 0,
        "a process element is assigned at open");
  check(ioctl(fd, CXL_IOCTL_GET_AFU_ID, &id) == 0 && id.flags == 1 && id.afu_mode == 2 &&
            id.card_id == 0,
        "GET_AFU_ID reports a slave of an AFU-directed AFU");
  check(REFUSAL(ioctl(fd, CXL_IOCTL_GET_AFU_ID, NULL)) == EFAULT, "GET_AFU_ID EFAULT");
  check(REFUSAL(ioctl(fd, _IO(0xCA, 0x55))) == EINVAL, "an unknown ioctl is EINVAL");
  check(REFUSAL(read(fd, buffer, 4095)) == EINVAL, "a read under 4096 bytes is EINVAL");
  check(REFUSAL(read(fd, buffer, 4096)) == EAGAIN, "a read with nothing pending is EAGAIN");
  check(REFUSAL(write(fd, buffer, 1)) == EINVAL, "write is EINVAL");
  check(REFUSAL(lseek(fd, 0, SEEK_SET)) == ESPIPE, "lseek is ESPIPE");
  check(polled(fd) == 0, "poll reports nothing on a new context");
  check(!map(fd, 4096) && errno == EIO, "mmap before attach is EIO");
  close(fd);
  check(REFUSAL(read(fd, buffer, 4096)) == EBADF, "a closed descriptor is EBADF");
}

static void refused_starts(void) {
  int fd = open("/dev/cxl/afu0.0s", O_RDWR);
  check(REFUSAL(start_with(fd, (struct cxl_ioctl_start_work){.flags = 16})) == EINVAL,
        "START_WORK with an unknown flag is EINVAL");
  check(REFUSAL(start_with(fd, (struct cxl_ioctl_start_work){.reserved1 = 1})) == EINVAL,
        "START_WORK with a reserved field set is EINVAL");
  struct cxl_ioctl_start_work work = {.flags = CXL_START_WORK_NUM_IRQS, .num_interrupts = 3};
  check(REFUSAL(start_with(fd, work)) == EINVAL, "fewer interrupts than irqs_min is EINVAL");
  work.num_interrupts = 2038;
  check(REFUSAL(start_with(fd, work)) == EINVAL, "more interrupts than irqs_max is EINVAL");
  check(REFUSAL(ioctl(fd, CXL_IOCTL_START_WORK, (void*)8)) == EFAULT, "START_WORK EFAULT");
  work.num_interrupts = 2037;
  check(start_with(fd, work) == 0, "START_WORK with irqs_max interrupts succeeds");
  int other = open("/dev/cxl/afu0.0s", O_RDWR);
  check(REFUSAL(start(other)) == ENOSPC, "no interrupts left is ENOSPC");
  check(REFUSAL(start(fd)) == EIO, "a second START_WORK is EIO");
  close(fd);
  check(start(other) == 0, "a close frees the interrupts");
  close(other);
}

static void mappings(void) {
  int fd = started("/dev/cxl/afu0.0s", O_NONBLOCK);
  long page = sysconf(_SC_PAGESIZE);
  check(!map(fd, 65536 + (size_t)page) && errno == EINVAL, "mmap past mmio_size is EINVAL");
  uint8_t* registers = map(fd, 65536);
  check(registers != NULL, "mmap of the area");
  check(load_register(registers, MEMCPY_PROCESS_HANDLE) == 0, "the process handle register");
  store_register(registers, MEMCPY_TIMEBASE, 0);
  WAIT_UNTIL(load_register(registers, MEMCPY_TIMEBASE));
  check(load_register(registers, MEMCPY_TIMEBASE) != 0, "the timebase register answers");
  close(fd);
  int other = open("/dev/cxl/afu0.0s", O_RDWR);
  uint32_t element = 0;
  ioctl(other, CXL_IOCTL_GET_PROCESS_ELEMENT, &element);
  check(element == 1, "a mapping keeps its context after close");
  munmap(registers, 65536);
  int third = open("/dev/cxl/afu0.0s", O_RDWR);
  ioctl(third, CXL_IOCTL_GET_PROCESS_ELEMENT, &element);
  check(element == 0, "munmap of the last mapping frees the context");
  close(third);
  close(other);
  fd = open("/dev/cxl/afu0.0s", O_RDONLY);
  check(start(fd) == 0, "START_WORK through a read-only descriptor");
  check(!map(fd, 65536) && errno == EACCES, "mmap of a read-only descriptor is EACCES");
  close(fd);
}

static void event_order(void) {
  int fd = started("/dev/cxl/afu0.0s", O_NONBLOCK);
  uint8_t* registers = map(fd, 65536);
  int set = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event wanted = {.events = EPOLLIN | EPOLLONESHOT}, got;
  epoll_ctl(set, EPOLL_CTL_ADD, fd, &wanted);
  inject(registers, INJECT_AFU_ERROR, 0, 0x1234, 1);
  inject(registers, INJECT_AFU_ERROR, 0, 0x5678, 1);
  inject(registers, INJECT_DATA_STORAGE, 0, 0x10, 1);
  inject(registers, INJECT_DATA_STORAGE, 0, 0x20, 1);
  inject(registers, INJECT_INTERRUPT, 0xd, 0, 3);
  check(epoll_wait(set, &got, 1, 1000) == 1, "epoll reports an event");
  check(polled(fd) == POLLIN, "poll reports POLLIN");
  check(is_interrupt(next_event(fd), 1), "the lowest interrupt first");
  check(is_interrupt(next_event(fd), 3), "then the next, each one once");
  check(is_interrupt(next_event(fd), 4), "then the last");
  struct cxl_event event = next_event(fd);
  check(event.header.type == CXL_EVENT_DATA_STORAGE && event.header.size == 40 &&
            event.fault.addr == 0x20 && event.fault.dsisr,
        "then the data storage fault, the second address");
  event = next_event(fd);
  check(event.header.type == CXL_EVENT_AFU_ERROR && event.header.size == 24 &&
            event.afu_error.error == 0x1234,
        "then the AFU error, the first value");
  check(next_event(fd).header.reserved1 == EAGAIN && polled(fd) == 0, "then nothing");
  wanted.events = EPOLLIN | EPOLLONESHOT;
  epoll_ctl(set, EPOLL_CTL_MOD, fd, &wanted);
  check(epoll_wait(set, &got, 1, 20) == 0, "epoll reports nothing after the last event");
  close(set);
  munmap(registers, 65536);
  close(fd);
}

static void on_alarm(int number) { (void)number; }

static void blocking_read(void) {
  int fd = started("/dev/cxl/afu0.0s", 0);
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, NULL);
  ualarm(30000, 0);
  check(next_event(fd).header.reserved1 == EINTR, "a blocking read is interrupted by a signal");
  pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, NULL, 0);
  command("interrupt afu0.0 0 2\n");
  check(is_interrupt(next_event(fd), 2), "a blocking read returns the event");
  close(fd);
}

static uint8_t wait_status(volatile struct element* element) {
  WAIT_UNTIL(element->status);
  return element->status;
}

static void memcpy_afu(void) {
  struct element* queue = aligned_alloc(65536, 65536);
  char source[1000], target[1000];
  memset(queue, 0, 65536);
  memset(source, 'x', sizeof source);
  memset(target, 0, sizeof target);
  int fd = open("/dev/cxl/afu0.0s", O_RDWR | O_NONBLOCK);
  start_with(fd, (struct cxl_ioctl_start_work){.work_element_descriptor = (uintptr_t)queue | 2});
  uint8_t* registers = map(fd, 65536);
  queue[0].length = htobe16(sizeof source);
  queue[0].source = htobe64((uintptr_t)source);
  queue[0].target = htobe64((uintptr_t)target);
  __atomic_store_n(&queue[0].command, ELEMENT_VALID, __ATOMIC_SEQ_CST);
  check(wait_status(&queue[0]) == ELEMENT_COMPLETE && memcmp(source, target, sizeof source) == 0,
        "the memcpy AFU copies");
  queue[1] = queue[0];
  queue[1].status = 0;
  queue[1].source = htobe64(0x1000);
  __atomic_store_n(&queue[1].command, ELEMENT_VALID, __ATOMIC_SEQ_CST);
  check(wait_status(&queue[1]) == ELEMENT_ADDRESS_ERROR && next_event(fd).fault.addr == 0x1000,
        "a bad source is a translation fault, no crash");
  queue[2].length = htobe16(3);
  __atomic_store_n(&queue[2].command, ELEMENT_VALID | ELEMENT_INTERRUPT, __ATOMIC_SEQ_CST);
  check(wait_status(&queue[2]) == ELEMENT_COMPLETE, "an interrupt element completes");
  WAIT_UNTIL(load_register(registers, MEMCPY_STATUS));
  check(is_interrupt(next_event(fd), 3), "an interrupt element raises its interrupt");
  check(load_register(registers, MEMCPY_STATUS) == MEMCPY_STATUS_STOPPED,
        "an interrupt element stops the AFU");
  store_register(registers, MEMCPY_CONTROL, MEMCPY_CONTROL_RESTART);
  queue[3].length = htobe16(99);
  __atomic_store_n(&queue[3].command, ELEMENT_VALID | ELEMENT_INTERRUPT, __ATOMIC_SEQ_CST);
  check(wait_status(&queue[3]) == ELEMENT_INVALID_SOURCE, "an unknown interrupt source is refused");
  munmap(registers, 65536);
  close(fd);
  free(queue);
}

// The program and the AFU are two threads, so each round is another order of their steps.
static void restart_of_an_afu_that_runs(void) {
  struct element* queue = aligned_alloc(65536, 65536);
  memset(queue, 0, 65536);
  int fd = open("/dev/cxl/afu0.0s", O_RDWR | O_NONBLOCK);
  start_with(fd, (struct cxl_ioctl_start_work){.work_element_descriptor = (uintptr_t)queue | 512});
  uint8_t* registers = map(fd, 65536);
  int stops = 0;
  for (int round = 0; round < 200 && stops == round; round++) {
    store_register(registers, MEMCPY_CONTROL, MEMCPY_CONTROL_RESTART);
    queue[round].length = htobe16(1);
    __atomic_store_n(&queue[round].command, ELEMENT_VALID | ELEMENT_INTERRUPT, __ATOMIC_SEQ_CST);
    wait_status(&queue[round]);
    next_event(fd);
    WAIT_UNTIL(load_register(registers, MEMCPY_STATUS));
    // Long enough for the AFU to take a restart.
    if (round % 50 == 0) usleep(1000);
    stops += load_register(registers, MEMCPY_STATUS) == MEMCPY_STATUS_STOPPED;
    store_register(registers, MEMCPY_CONTROL, MEMCPY_CONTROL_RESTART);
    WAIT_UNTIL(!load_register(registers, MEMCPY_STATUS));
  }
  check(stops == 200, "a restart has no effect on an AFU that runs");
  munmap(registers, 65536);
  close(fd);
  free(queue);
}

static void* close_later(void* argument) {
  usleep(30000);
  command("interrupt afu0.0 0 1\n");
  close(*(int*)argument);
  return NULL;
}

static void close_under_a_read(void) {
  int fd = started("/dev/cxl/afu0.0s", 0), copy = fd;
  pthread_t thread;
  pthread_create(&thread, NULL, close_later, &copy);
  check(is_interrupt(next_event(fd), 1), "a read under way outlives its descriptor");
  pthread_join(thread, NULL);
  check(REFUSAL(fcntl(fd, F_GETFD)) == EBADF, "a descriptor closed during a read is EBADF");
}

static void raw_events(void) {
  char buffer[CXL_READ_MIN_SIZE];
  int fd = started("/dev/cxl/afu0.0s", O_NONBLOCK);
  command("event-raw afu0.0 0 0400ffff00\n");
  check(read(fd, buffer, sizeof buffer) == 5 && memcmp(buffer, "\x04\x00\xff\xff", 4) == 0,
        "injected bytes are what one read returns");
  close(fd);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  alarm(60);
  opened();
  refused_starts();
  mappings();
  event_order();
  blocking_read();
  close_under_a_read();
  raw_events();
  memcpy_afu();
  restart_of_an_afu_that_runs();
  device_rules();
  trap_rules();
  flash_rules();
  return failures != 0;
}
