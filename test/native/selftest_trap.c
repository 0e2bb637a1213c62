// SPDX-License-Identifier: Apache-2.0
//
// Registers that act on access: every form of load and store, threads, remapping, and what
// becomes of faults that are none of theirs.

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

#include "../../native/abi/cxlflash.h"
#include "selftest.h"

enum { ENDIAN_CONTROL = 0x00, ROOM = 0x38, COMMAND = 0x1000, VALUE = 0x1008, COUNT = 0x1010 };

// The provoke block's command that puts the adapter in error, for a millisecond.
#define ERROR_STATE (4ull << 56 | 1)

#define HOST_PAGE 65536
#define WRITTEN 0x1122334455667788ull
#define ALL_ONES (~0ull)
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

// The compiler makes one plain load or store of each.
static uint64_t peek(uint8_t* page, size_t offset) {
  return be64toh(*(volatile uint64_t*)(void*)(page + offset));
}
static void poke(uint8_t* page, size_t offset, uint64_t value) {
  *(volatile uint64_t*)(void*)(page + offset) = htobe64(value);
}

static sigjmp_buf touched;
static volatile sig_atomic_t told;
static void* volatile told_address;
static volatile bool told_mask;

static void on_foreign(int number, siginfo_t* info, void* context) {
  sigset_t mask;
  (void)context;
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  told_mask = sigismember(&mask, number) && !sigismember(&mask, SIGTERM);
  told_address = info->si_addr;
  told++;
  if (info->si_code > 0) siglongjmp(touched, 1);
}

// Whether a load there, or a store, reaches the handler that was there first.
static bool segfaults(uint8_t* place, bool store) {
  int before = told;
  if (sigsetjmp(touched, 1) == 0) {
    if (store) {
      *(volatile uint64_t*)(void*)place = 0;
    } else {
      (void)*(volatile uint64_t*)(void*)place;
    }
  }
  return told == before + 1 && told_address == place;
}

// Each form is followed by an instruction that counts, so that one decoded too long or too
// short does not go unnoticed.
#define LOADS(target, expected, form, ...)                                                       \
  do {                                                                                           \
    register uint64_t got asm(target) = ALL_ONES;                                                \
    uint64_t count = 0;                                                                          \
    asm volatile(form COUNT_UP : [got] "+r"(got), [count] "+r"(count) : __VA_ARGS__ : "memory"); \
    check(got == (expected) && count == 1, "load: " form);                                       \
  } while (0)
#define STORES(source, expected, form, ...)                           \
  do {                                                                \
    register uint64_t value asm(source) = STORED;                     \
    uint64_t count = 0;                                               \
    poke(page, VALUE, 0);                                             \
    asm volatile(form COUNT_UP                                        \
                 : [count] "+r"(count)                                \
                 : [value] "r"(value), __VA_ARGS__                    \
                 : "memory");                                         \
    uint64_t got = *(volatile uint64_t*)(void*)(page + VALUE);        \
    check(got == (uint64_t)(expected) && count == 1, "store: " form); \
  } while (0)

// As the processor's registers have them; a register of the device is all of its 8 bytes.
#define STORED 0x1122334455667788ull
#define SWAPPED 0x8877665544332211ull

#if defined(__x86_64__)
#define COUNT_UP "\nincq %[count]"

static void load_forms(uint8_t* page) {
  uint8_t* at = page + VALUE;
  *(volatile uint64_t*)(void*)at = STORED;
  LOADS("rax", STORED, "movq (%[at]), %[got]", [at] "D"(at));
  LOADS("rcx", STORED, "movq (%[at]), %[got]", [at] "b"(at));
  LOADS("rdx", STORED, "movq 0x1008(%[at]), %[got]", [at] "S"(page));
  LOADS("rbx", STORED, "movq -8(%[at]), %[got]", [at] "a"(at + 8));
  LOADS("rsi", STORED, "movq (%[at],%[index],8), %[got]", [at] "c"(page), [index] "d"(VALUE / 8l));
  LOADS("rdi", STORED, "movq 8(%[at],%[index],4), %[got]", [at] "a"(page), [index] "b"(1024l));
  LOADS("r8", STORED, "movq 0x1000(%[at],%[index]), %[got]", [at] "r"(page), [index] "r"(8l));
  LOADS("r9", STORED, "movq 0(,%[index],8), %[got]", [index] "r"((uintptr_t)at / 8));
  LOADS("r10", STORED, "movq %%gs:(%[at]), %[got]", [at] "r"(at));
  LOADS("r11", 0, "movl (%[at]), %k[got]", [at] "r"(at));
  LOADS("rax", 0, "movl 4(%[at]), %k[got]", [at] "r"(at));
  register uint8_t* r12 asm("r12") = at;
  LOADS("r14", STORED, "movq (%[at]), %[got]", [at] "r"(r12));
  LOADS("r15", STORED, "movq 0(%[at],%[index]), %[got]", [at] "r"(r12), [index] "r"(0l));
  register uint8_t* r13 asm("r13") = at;
  LOADS("r14", STORED, "movq (%[at]), %[got]", [at] "r"(r13));
  // A load may take its own address away.
  asm volatile("movq (%[at]), %[at]" : [at] "+r"(at));
  check((uint64_t)at == STORED, "load: into the register of the address");
}

static void store_forms(uint8_t* page) {
  uint8_t* at = page + VALUE;
  STORES("rax", STORED, "movq %[value], (%[at])", [at] "D"(at));
  STORES("rcx", STORED, "movq %[value], 0x1008(%[at])", [at] "b"(page));
  STORES("rdx", STORED, "movq %[value], 8(%[at],%[index],4)", [at] "a"(page), [index] "b"(1024l));
  STORES("rsi", STORED, "movq %[value], -8(%[at])", [at] "r"(at + 8));
  STORES("r8", STORED, "movq %[value], (%[at])", [at] "r"(at));
  STORES("r15", STORED, "movq %[value], (%[at])", [at] "r"(at));
  STORES("r9", 0, "movl %k[value], (%[at])", [at] "r"(at));
  STORES("rdi", 0, "movl %k[value], 4(%[at])", [at] "r"(at));
  STORES("rax", -2, "movq $-2, (%[at])", [at] "r"(at));
  STORES("rax", 0x12345678, "movq $0x12345678, 0x1008(%[at])", [at] "r"(page));
  STORES("rax", 0, "movl $5, (%[at])", [at] "r"(at));
}

// Bytes are of no register, and no form of access to one.
static void unknown_form(uint8_t* page) { asm volatile("movb $1, (%0)" ::"r"(page + VALUE)); }

#elif defined(__powerpc64__)
#define COUNT_UP "\naddi %[count], %[count], 1"
#define AT [at] "b"(at)
#define INDEXED [at] "b"(page), [index] "r"((uint64_t)VALUE)

static void load_forms(uint8_t* page) {
  uint8_t* at = page + VALUE;
  *(volatile uint64_t*)(void*)at = STORED;
  LOADS("r3", STORED, "ld %[got], 0(%[at])", AT);
  LOADS("r29", STORED, "ld %[got], -8(%[at])", [at] "b"(at + 8));
  LOADS("r10", STORED, "ldx %[got], %[at], %[index]", INDEXED);
  LOADS("r3", STORED, "ldx %[got], 0, %[at]", AT);
  LOADS("r14", SWAPPED, "ldbrx %[got], %[at], %[index]", INDEXED);
  LOADS("r3", 0, "lwz %[got], 0(%[at])", AT);
  LOADS("r30", 0, "lwzx %[got], %[at], %[index]", INDEXED);
  LOADS("r3", 0, "lwbrx %[got], %[at], %[index]", INDEXED);
  asm volatile("ld %[at], 0(%[at])" : [at] "+b"(at));
  check((uint64_t)at == STORED, "load: into the register of the address");
}

static void store_forms(uint8_t* page) {
  uint8_t* at = page + VALUE;
  STORES("r3", STORED, "std %[value], 0(%[at])", AT);
  STORES("r29", STORED, "std %[value], -8(%[at])", [at] "b"(at + 8));
  STORES("r10", STORED, "stdx %[value], %[at], %[index]", INDEXED);
  STORES("r14", SWAPPED, "stdbrx %[value], %[at], %[index]", INDEXED);
  STORES("r3", 0, "stw %[value], 0(%[at])", AT);
  STORES("r3", 0, "stwx %[value], %[at], %[index]", INDEXED);
  STORES("r3", 0, "stwbrx %[value], %[at], %[index]", INDEXED);
}

static void unknown_form(uint8_t* page) {
  asm volatile("stb %0, 0(%1)" ::"r"(1), "b"(page + VALUE));
}
#endif

static void forms(void) {
  int fd = attach();
  uint8_t* page = map(fd, HOST_PAGE);
  load_forms(page);
  store_forms(page);
  poke(page, ENDIAN_CONTROL, 0x80);
  check(peek(page, ENDIAN_CONTROL) == 0x8000000000000080ull, "a register reads as what it is");
  check(peek(page, ROOM) == 128, "cmd_room is what there is");
  poke(page, ROOM, 5);
  check(peek(page, ROOM) == 128, "and takes no store");
  munmap(page, HOST_PAGE);
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
  uint8_t* page = map(fd, HOST_PAGE);
  struct job jobs[] = {{.page = page, .offset = VALUE}, {.page = page, .offset = COUNT}};
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, write_and_read, &jobs[i]);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  check(!jobs[0].wrong && !jobs[1].wrong, "two threads get what is theirs");
  munmap(page, HOST_PAGE);
  close(fd);
}

static void* watch_room(void* argument) {
  struct job* job = argument;
  while (!__atomic_load_n(&job->stop, __ATOMIC_RELAXED)) {
    uint64_t room = peek(job->page, ROOM);
    if (room != 128 && room != ALL_ONES) job->wrong++;
    __atomic_add_fetch(&job->loads, 1, __ATOMIC_RELAXED);
  }
  return NULL;
}

static void replaced_meanwhile(void) {
  int fd = attach();
  struct job job = {.page = map(fd, HOST_PAGE)};
  pthread_t thread;
  pthread_create(&thread, NULL, watch_room, &job);
  bool there = true;
  for (int i = 0; i < 500; i++) {
    void* at = mmap(job.page, HOST_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    there = there && at == job.page;
  }
  __atomic_store_n(&job.stop, true, __ATOMIC_RELAXED);
  pthread_join(thread, NULL);
  check(there && !job.wrong, "a mapping is replaced while a thread loads from it");
  munmap(job.page, HOST_PAGE);
  close(fd);
}

static void reset_meanwhile(void) {
  bool ones = true, sticks = true;
  uint64_t wrong = 0;
  // Often, since the thread is to be caught between its fault and the handling of it.
  for (int i = 0; i < RESETS; i++) {
    int fd = attach();
    struct job job = {.page = map(fd, HOST_PAGE)};
    pthread_t thread;
    pthread_create(&thread, NULL, watch_room, &job);
    while (!__atomic_load_n(&job.loads, __ATOMIC_RELAXED)) usleep(100);
    poke(job.page, COMMAND, ERROR_STATE);
    ones = ones && peek(job.page, ROOM) == ALL_ONES;
    poke(job.page, VALUE, WRITTEN);
    sticks = sticks && peek(job.page, VALUE) == WRITTEN;
    __atomic_store_n(&job.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    wrong += job.wrong;
    munmap(job.page, HOST_PAGE);
    close(fd);
  }
  check(ones, "after an adapter reset a load is all ones");
  check(sticks, "and a store sticks, and reaches nobody");
  check(!wrong, "a thread that loads meanwhile sees room or all ones, and nothing else");
}

static void unmapped(void) {
  int fd = attach();
  size_t part = (size_t)sysconf(_SC_PAGESIZE);
  uint8_t* page = map(fd, HOST_PAGE);
  munmap(page + HOST_PAGE - part, part);
  check(segfaults(page + HOST_PAGE - 8, false), "a load from where it was unmapped is a fault");
  poke(page, VALUE, WRITTEN);
  check(peek(page, VALUE) == WRITTEN, "what is left of the mapping acts as before");
  munmap(page, HOST_PAGE);
  check(segfaults(page, true), "and nothing acts after it");
  uint8_t* readable = mmap(NULL, HOST_PAGE, PROT_READ, MAP_SHARED, fd, 0);
  check(peek(readable, ROOM) == 128, "a mapping to read can be loaded from");
  check(segfaults(readable + VALUE, true), "and a store is a fault");
  munmap(readable, HOST_PAGE);
  close(fd);
}

static void foreign_faults(void) {
  uint8_t* place = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int fd = attach();
  uint8_t* page = map(fd, HOST_PAGE);
  check(segfaults(place, false) && segfaults(place + 8, true),
        "another fault reaches the handler that was there first");
  check(told_mask, "with the signals blocked that it asked for");
  int before = told;
  raise(SIGSEGV);
  check(told == before + 1, "and so does a SIGSEGV that was sent");
  check(peek(page, ROOM) == 128, "after which registers act as before");
  munmap(page, HOST_PAGE);
  munmap(place, 65536);
  close(fd);
}

// How a child ends that has a context mapped: a signal's number, or 0; what it wrote to stderr
// in `said`.
static int ends(void (*handler)(int), void (*body)(uint8_t* page), char* said, size_t size) {
  int ends[2];
  if (pipe(ends)) return -1;
  pid_t child = fork();
  if (child == 0) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGSEGV, handler);
    int fd = attach();
    uint8_t* page = map(fd, HOST_PAGE);
    dup2(ends[1], STDERR_FILENO);
    body(page);
    _exit(peek(page, ROOM) == 128 ? 0 : 99);
  }
  int status;
  close(ends[1]);
  ssize_t length = read(ends[0], said, size - 1);
  said[length > 0 ? length : 0] = 0;
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

static void without_a_handler(void) {
  char said[512];
  size_t size = sizeof said;
  check(ends(SIG_DFL, touch_nothing, said, size) == SIGSEGV, "a fault without a handler kills");
  check(ends(SIG_IGN, touch_nothing, said, size) == SIGSEGV, "an ignored one does too");
  check(ends(SIG_DFL, send_itself, said, size) == SIGSEGV, "a SIGSEGV that was sent kills");
  check(ends(SIG_IGN, send_itself, said, size) == 0, "but not where it is ignored");
  check(ends(SIG_DFL, unknown_form, said, size) == SIGABRT &&
            strncmp(said, "cxlsim: access to the register", 30) == 0,
        "an access that the device does not know ends the process, and says so");
}

void trap_rules(void) {
  // In children, before this process has a handler.
  without_a_handler();
  struct sigaction action = {.sa_sigaction = on_foreign, .sa_flags = SA_SIGINFO}, before;
  sigaction(SIGSEGV, &action, &before);
  foreign_faults();
  forms();
  two_threads();
  unmapped();
  replaced_meanwhile();
  reset_meanwhile();
}
