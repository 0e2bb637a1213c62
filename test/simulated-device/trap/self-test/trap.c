// SPDX-License-Identifier: Apache-2.0
//
// Trapped registers: threads, remapping, and faults that have another cause.

#include "../trap.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../../native/abi/cxlflash.h"
#include "trap_test.h"

#if TRAP_SUPPORTED

// Puts the adapter in error for a millisecond.
#define ERROR_STATE ((uint64_t)INJECT_FLASH_ERROR_STATE << INJECT_COMMAND_SHIFT | 1)

#define WRITTEN 0x1122334455667788ull
#define ROUNDS 5000
#define RESETS 20

// A flash context in IOARRIN mode: its descriptor.
static int attach(void) {
  struct cxlflash_manage_lun manage = {.hdr.flags = CXLFLASH_ENABLE_SUPERPIPE};
  struct cxlflash_attach attach = {.hdr.flags = O_RDWR, .num_interrupts = 4};
  command("flash-mode ioarrin\n");
  int lun = open("/dev/sg90", O_RDWR);
  if (ioctl(lun, CXLFLASH_MANAGE_LUN, &manage) || ioctl(lun, CXLFLASH_ATTACH, &attach) ||
      (attach.hdr.return_flags & CXLFLASH_CONTEXT_SQ_CMD_MODE)) {
    perror("/dev/sg90");
    exit(1);
  }
  close(lun);
  return (int)attach.adap_fd;
}

static sigjmp_buf touched;
static volatile sig_atomic_t handled;
static void* volatile fault_address;
static volatile bool fault_mask;

static void on_foreign(int number, siginfo_t* info, void* context) {
  sigset_t mask;
  (void)context;
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  fault_mask = sigismember(&mask, number) && !sigismember(&mask, SIGTERM);
  fault_address = info->si_addr;
  handled++;
  if (info->si_code > 0) siglongjmp(touched, 1);
}

// Whether a load or store there calls the handler that was installed first.
static bool segfaults(uint8_t* place, bool store) {
  int before = handled;
  if (sigsetjmp(touched, 1) == 0) {
    if (store) {
      *(volatile uint64_t*)(void*)place = 0;
    } else {
      (void)*(volatile uint64_t*)(void*)place;
    }
  }
  return handled == before + 1 && fault_address == place;
}

// The address is not checked: emulators report that of the last load or store.
static bool segfaults_when_called(uint8_t* place) {
  int before = handled;
  if (sigsetjmp(touched, 1) == 0) ((void (*)(void))(uintptr_t)place)();
  return handled == before + 1;
}

static void forms(void) {
  int fd = attach();
  uint8_t* page = map(fd, SISL_HOST_MAP_SIZE);
  load_forms(page);
  store_forms(page);
  poke(page, SISL_ENDIAN_CTRL, 0x80);
  check(peek(page, SISL_ENDIAN_CTRL) == SISL_ENDIAN_CTRL_BE,
        "a register reads its device value, not what was stored");
  check(peek(page, SISL_CMD_ROOM) == 128, "cmd_room is the number of free commands");
  poke(page, SISL_CMD_ROOM, 5);
  check(peek(page, SISL_CMD_ROOM) == 128, "a store does not change cmd_room");
  munmap(page, SISL_HOST_MAP_SIZE);
  close(fd);
}

struct job {
  uint8_t* page;
  size_t offset;
  uint64_t wrong;
  bool stop;
  uint64_t loads;
};

static void* write_and_read(void* argument) {
  struct job* job = argument;
  for (uint64_t i = 1; i <= ROUNDS; i++) {
    poke(job->page, job->offset, i << 32 | job->offset);
    if (peek(job->page, job->offset) != (i << 32 | job->offset)) job->wrong++;
  }
  return NULL;
}

static void two_threads(void) {
  int fd = attach();
  uint8_t* page = map(fd, SISL_HOST_MAP_SIZE);
  struct job jobs[] = {{.page = page, .offset = INJECT_VALUE},
                       {.page = page, .offset = INJECT_COUNT}};
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, write_and_read, &jobs[i]);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  check(!jobs[0].wrong && !jobs[1].wrong, "two threads each read what they stored");
  munmap(page, SISL_HOST_MAP_SIZE);
  close(fd);
}

static void* watch_room(void* argument) {
  struct job* job = argument;
  while (!__atomic_load_n(&job->stop, __ATOMIC_RELAXED)) {
    uint64_t room = peek(job->page, SISL_CMD_ROOM);
    if (room != 128 && room != ALL_ONES) job->wrong++;
    __atomic_add_fetch(&job->loads, 1, __ATOMIC_RELAXED);
  }
  return NULL;
}

static void replaced_meanwhile(void) {
  int fd = attach();
  struct job job = {.page = map(fd, SISL_HOST_MAP_SIZE)};
  pthread_t thread;
  pthread_create(&thread, NULL, watch_room, &job);
  bool there = true;
  for (int i = 0; i < 500; i++) {
    void* at =
        mmap(job.page, SISL_HOST_MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    there = there && at == job.page;
  }
  __atomic_store_n(&job.stop, true, __ATOMIC_RELAXED);
  pthread_join(thread, NULL);
  check(there && !job.wrong, "a mapping is replaced while a thread loads from it");
  munmap(job.page, SISL_HOST_MAP_SIZE);
  close(fd);
}

static void reset_meanwhile(void) {
  bool ones = true, sticks = true;
  uint64_t wrong = 0;
  // Repeated, because the reset must come between a fault of the thread and its handling.
  for (int i = 0; i < RESETS; i++) {
    int fd = attach();
    struct job job = {.page = map(fd, SISL_HOST_MAP_SIZE)};
    pthread_t thread;
    pthread_create(&thread, NULL, watch_room, &job);
    while (!__atomic_load_n(&job.loads, __ATOMIC_RELAXED)) usleep(100);
    poke(job.page, INJECT_COMMAND, ERROR_STATE);
    ones = ones && peek(job.page, SISL_CMD_ROOM) == ALL_ONES;
    poke(job.page, INJECT_VALUE, WRITTEN);
    sticks = sticks && peek(job.page, INJECT_VALUE) == WRITTEN;
    __atomic_store_n(&job.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    wrong += job.wrong;
    munmap(job.page, SISL_HOST_MAP_SIZE);
    close(fd);
  }
  check(ones, "after an adapter reset a load is all ones");
  check(sticks, "a store after the reset changes the mapping only");
  check(!wrong, "a thread that loads during a reset reads either cmd_room or all ones");
}

static void unmapped(void) {
  int fd = attach();
  size_t part = (size_t)sysconf(_SC_PAGESIZE);
  uint8_t* page = map(fd, SISL_HOST_MAP_SIZE);
  munmap(page + SISL_HOST_MAP_SIZE - part, part);
  check(segfaults(page + SISL_HOST_MAP_SIZE - 8, false),
        "a load from where it was unmapped is a fault");
  poke(page, INJECT_VALUE, WRITTEN);
  check(peek(page, INJECT_VALUE) == WRITTEN, "the rest of a mapping is still trapped");
  munmap(page, SISL_HOST_MAP_SIZE);
  check(segfaults(page, true), "after munmap a store is a fault");
  uint8_t* readable = mmap(NULL, SISL_HOST_MAP_SIZE, PROT_READ, MAP_SHARED, fd, 0);
  check(peek(readable, SISL_CMD_ROOM) == 128, "a load from a read-only mapping succeeds");
  check(segfaults(readable + INJECT_VALUE, true), "a store to a read-only mapping is a fault");
  munmap(readable, SISL_HOST_MAP_SIZE);
  close(fd);
}

static void in_a_child(void) {
  int fd = attach(), status = -1;
  uint8_t* page = map(fd, SISL_HOST_MAP_SIZE);
  poke(page, INJECT_VALUE, WRITTEN);
  pid_t child = fork();
  if (child == 0) {
    poke(page, INJECT_VALUE, 1);
    (void)peek(page, INJECT_VALUE);
    _exit(0);
  }
  waitpid(child, &status, 0);
  check(status == 0 && peek(page, INJECT_VALUE) == WRITTEN,
        "a store by a child does not reach its parent's registers");
  munmap(page, SISL_HOST_MAP_SIZE);
  close(fd);
}

static void foreign_faults(void) {
  uint8_t* place = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int fd = attach();
  uint8_t* page = map(fd, SISL_HOST_MAP_SIZE);
  check(segfaults(place, false) && segfaults(place + 8, true),
        "another fault calls the first handler");
  check(fault_mask, "the first handler runs with its own signal mask");
  int before = handled;
  raise(SIGSEGV);
  check(handled == before + 1, "a SIGSEGV that was sent calls the first handler");
  check(segfaults_when_called(page + SISL_CMD_ROOM),
        "a jump to a register calls the first handler");
  check(peek(page, SISL_CMD_ROOM) == 128, "registers are still trapped after a passed-on fault");
  munmap(page, SISL_HOST_MAP_SIZE);
  munmap(place, 65536);
  close(fd);
}

// How a child ends that has a context mapped: a signal's number, or 0. What it wrote to stderr is
// in `said`.
static int ends(void (*handler)(int), int flags, void (*body)(uint8_t* page), char* said,
                size_t size) {
  int ends[2];
  if (pipe(ends)) return -1;
  pid_t child = fork();
  if (child == 0) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    sigaction(SIGSEGV, &(struct sigaction){.sa_handler = handler, .sa_flags = flags}, NULL);
    int fd = attach();
    uint8_t* page = map(fd, SISL_HOST_MAP_SIZE);
    dup2(ends[1], STDERR_FILENO);
    body(page);
    _exit(peek(page, SISL_CMD_ROOM) == 128 ? 0 : 99);
  }
  int status;
  close(ends[1]);
  size_t length = 0;
  for (ssize_t part; (part = read(ends[0], said + length, size - 1 - length)) > 0;) {
    length += (size_t)part;
  }
  said[length] = 0;
  close(ends[0]);
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return WTERMSIG(status);
  return WEXITSTATUS(status) ? -1 : 0;
}

static void touch_nothing(uint8_t* page) {
  (void)page;
  volatile uint64_t* volatile nothing = NULL;
  *nothing = 1;
}
static void send_itself(uint8_t* page) {
  (void)page;
  raise(SIGSEGV);
}

static void send_itself_twice(uint8_t* page) {
  send_itself(page);
  send_itself(page);
}
static void say(int number) {
  (void)number;
  if (write(STDERR_FILENO, "called ", 7) < 0) _exit(98);
}

static void other_dispositions(void) {
  char said[512];
  size_t size = sizeof said;
  check(ends(SIG_DFL, 0, touch_nothing, said, size) == SIGSEGV, "a fault without a handler kills");
  check(ends(SIG_IGN, 0, touch_nothing, said, size) == SIGSEGV, "an ignored fault kills");
  check(ends(SIG_DFL, 0, send_itself, said, size) == SIGSEGV, "a SIGSEGV that was sent kills");
  check(ends(SIG_IGN, 0, send_itself, said, size) == 0,
        "an ignored SIGSEGV that was sent does not kill");
  check(ends(say, 0, send_itself_twice, said, size) == 0 && strcmp(said, "called called ") == 0,
        "a handler without siginfo is called as often as there is a signal");
  check(ends(say, SA_RESETHAND, send_itself_twice, said, size) == SIGSEGV &&
            strncmp(said, "called ", 7) == 0 && !strstr(said + 7, "called "),
        "a handler with SA_RESETHAND is called once");
  check(ends(SIG_DFL, 0, unknown_form, said, size) == SIGABRT &&
            strncmp(said, "cxlsim: access to the register", 30) == 0,
        "an instruction that is not decoded ends the process with a message");
}

void trap_rules(void) {
  // In children: this process has no handler yet.
  other_dispositions();
  struct sigaction action = {.sa_sigaction = on_foreign, .sa_flags = SA_SIGINFO}, before;
  sigaction(SIGSEGV, &action, &before);
  foreign_faults();
  forms();
  two_threads();
  in_a_child();
  unmapped();
  replaced_meanwhile();
  reset_meanwhile();
}

#else

void trap_rules(void) {
  int fd = open("/dev/cxl-sim", O_WRONLY);
  check(REFUSAL(write(fd, "flash-mode ioarrin", 18)) == EOPNOTSUPP,
        "IOARRIN mode is EOPNOTSUPP on a processor whose instructions are not decoded");
  close(fd);
}

#endif
