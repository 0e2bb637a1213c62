// SPDX-License-Identifier: Apache-2.0
//
// The flash adapter and the children of a fork: the parent's contexts, those of a child, and a
// child that is killed.

#include <endian.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../native/abi/cxlflash.h"
#include "../flash/sislite.h"
#include "self_test.h"

#define CHUNK 65536ull
#define CHUNKS 4
// Blocks a command, of 4 KiB, and commands in the ring.
#define LARGE 1024
#define SLOTS 64

static int lun;

static struct cxlflash_attach attach(void) {
  struct cxlflash_manage_lun manage = {.hdr.flags = CXLFLASH_ENABLE_SUPERPIPE};
  struct cxlflash_attach attach = {.hdr.flags = O_RDWR, .num_interrupts = 4};
  if (ioctl(lun, CXLFLASH_MANAGE_LUN, &manage) || ioctl(lun, CXLFLASH_ATTACH, &attach)) {
    perror("/dev/sg90");
    exit(1);
  }
  return attach;
}

static int verify(uint64_t id, uint64_t handle) {
  struct cxlflash_verify verify = {.context_id = id, .rsrc_handle = handle};
  return REFUSAL(ioctl(lun, CXLFLASH_VERIFY, &verify));
}

static uint64_t open_virtual(uint64_t id, uint64_t blocks) {
  struct cxlflash_uvirtual request = {.context_id = id, .lun_size = blocks};
  return ioctl(lun, CXLFLASH_USER_VIRTUAL, &request) ? ~0ull : request.rsrc_handle;
}

static void in_child(const struct cxlflash_attach* parents, uint64_t handle) {
  check(verify(parents->context_id, handle) == EINVAL,
        "the child of a fork cannot use its parent's flash context");
  struct cxlflash_attach own = attach();
  check((uint32_t)own.context_id != (uint32_t)parents->context_id,
        "the child gets a process element of its own");
  struct cxlflash_clone clone = {.context_id_src = parents->context_id,
                                 .context_id_dst = own.context_id};
  check(ioctl(lun, CXLFLASH_VLUN_CLONE, &clone) == 0 && verify(own.context_id, handle) == 0,
        "the child can clone its parent's resources");
  check(open_virtual(own.context_id, CHUNKS * CHUNK) != ~0ull,
        "the child can open a resource of its own");
  close((int)parents->adap_fd);
  uint8_t* page = map((int)own.adap_fd, SISL_HOST_MAP_SIZE);
  check(page && load_register(page, SISL_ENDIAN_CTRL) != ~0ull,
        "the child has registers of its own");
}

static void forked(void) {
  struct cxlflash_attach mine = attach();
  uint64_t handle = open_virtual(mine.context_id, 1);
  struct cxlflash_resize resize = {
      .context_id = mine.context_id, .rsrc_handle = handle, .req_size = CHUNKS * CHUNK};
  pid_t child = fork();
  if (child == 0) {
    in_child(&mine, handle);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  check(verify(mine.context_id, handle) == 0,
        "a close by the child does not close the parent's context");
  check(ioctl(lun, CXLFLASH_VLUN_RESIZE, &resize) == 0 && resize.last_lba == CHUNKS * CHUNK - 1,
        "the chunks of a child are free after its exit");
  close((int)mine.adap_fd);
}

// Issues reads without end.
static void read_endlessly(void) {
  static struct sisl_ioarcb ring[SLOTS] __attribute__((aligned(64)));
  static struct sisl_ioasa status __attribute__((aligned(64)));
  static uint64_t responses[SLOTS];
  static uint8_t data[LARGE * 4096] __attribute__((aligned(4096)));
  struct cxlflash_attach own = attach();
  uint64_t handle = open_virtual(own.context_id, 1);
  uint8_t* page = map((int)own.adap_fd, SISL_HOST_MAP_SIZE);
  uint32_t blocks = htobe32(LARGE);
  for (int i = 0; i < SLOTS; i++) {
    ring[i] = (struct sisl_ioarcb){.ctx_id = (uint16_t)own.context_id,
                                   .req_flags = SISL_REQ_FLAGS_RES_HNDL,
                                   .res_hndl = (uint32_t)handle,
                                   .data_len = sizeof data,
                                   .data_ea = (uintptr_t)data,
                                   .cdb[0] = SCSI_READ_16,
                                   .ioasa = (uintptr_t)&status};
    memcpy(ring[i].cdb + 10, &blocks, sizeof blocks);
  }
  store_register(page, SISL_ENDIAN_CTRL, SISL_ENDIAN_CTRL_HOST);
  store_register(page, SISL_RRQ_START, (uintptr_t)responses);
  store_register(page, SISL_RRQ_END, (uintptr_t)&responses[SLOTS - 1]);
  store_register(page, SISL_SQ_START, (uintptr_t)ring);
  store_register(page, SISL_SQ_END, (uintptr_t)&ring[SLOTS - 1]);
  for (;;) {
    struct sisl_ioarcb* head = (struct sisl_ioarcb*)(uintptr_t)load_register(page, SISL_SQ_HEAD);
    struct sisl_ioarcb* tail = head > ring ? head - 1 : &ring[SLOTS - 1];
    store_register(page, SISL_SQ_TAIL, (uintptr_t)tail);
    usleep(100);
  }
}

enum { WAITING, ASKED, ANSWERED, FINISHED };
static int question;
static uint64_t asked_of;

static void* ask(void* argument) {
  int now;
  while ((now = __atomic_load_n(&question, __ATOMIC_ACQUIRE)) != FINISHED) {
    bool answer = now == ASKED && verify(asked_of, 0) == 0;
    if (answer) __atomic_store_n(&question, ANSWERED, __ATOMIC_RELEASE);
    usleep(100);
  }
  return argument;
}

static bool answered(int milliseconds) {
  for (; milliseconds; milliseconds--) {
    if (__atomic_load_n(&question, __ATOMIC_ACQUIRE) == ANSWERED) return true;
    usleep(1000);
  }
  return false;
}

// Another thread makes the call, since it blocks while the child holds the lock.
static void killed_with_the_lock(void) {
  struct cxlflash_attach mine = attach();
  open_virtual(mine.context_id, 1);
  asked_of = mine.context_id;
  pthread_t thread;
  pthread_create(&thread, NULL, ask, NULL);
  pid_t child = fork();
  if (child == 0) read_endlessly();
  bool held = false;
  for (int turn = 0; turn < 100 && !held; turn++) {
    usleep(20000 + 1000 * (useconds_t)turn);
    kill(child, SIGSTOP);
    __atomic_store_n(&question, ASKED, __ATOMIC_RELEASE);
    held = !answered(200);
    if (!held) kill(child, SIGCONT);
  }
  kill(child, SIGKILL);
  check(held, "a process that is stopped during a command holds the adapter's lock");
  check(answered(20000), "the next process gets the lock after the owner was killed");
  waitpid(child, NULL, 0);
  __atomic_store_n(&question, FINISHED, __ATOMIC_RELEASE);
  pthread_join(thread, NULL);
  close((int)mine.adap_fd);
}

static void wake_up(int number) { (void)number; }

static void descriptor(void) {
  struct cxlflash_attach mine = attach();
  int fd = (int)mine.adap_fd;
  uint8_t event[CXL_READ_MIN_SIZE];
  int flags = fcntl(fd, F_GETFL);
  check((flags & O_ACCMODE) == O_RDWR && !(flags & O_NONBLOCK) && fcntl(fd, F_GETFD) == FD_CLOEXEC,
        "the descriptor of ATTACH is O_RDWR, blocks, and is close-on-exec");
  // Without SA_RESTART: the signal ends the read.
  struct sigaction action = {.sa_handler = wake_up}, old;
  sigaction(SIGALRM, &action, &old);
  ualarm(20000, 20000);
  check(REFUSAL(read(fd, event, sizeof event)) == EINTR, "a read of it waits for an event");
  ualarm(0, 0);
  sigaction(SIGALRM, &old, NULL);
  close(fd);
}

// As libudev does to find a device: from folder to folder, links themselves too.
static void walked(void) {
  int folder = open("/sys/class", O_PATH | O_DIRECTORY | O_CLOEXEC);
  int generic = openat(folder, "scsi_generic", O_PATH | O_NOFOLLOW | O_CLOEXEC);
  int link = openat(generic, "sg96", O_PATH | O_NOFOLLOW | O_CLOEXEC);
  int device = openat(generic, "sg96/device", O_PATH | O_CLOEXEC);
  struct stat found;
  struct statfs system;
  char target[256] = "";
  check(link >= 0 && fstat(link, &found) == 0 && S_ISLNK(found.st_mode) &&
            readlinkat(generic, "sg96", target, sizeof target) > 0 &&
            strstr(target, "/scsi_generic/sg96"),
        "O_PATH and O_NOFOLLOW open a link of sysfs itself");
  check(device >= 0 && fstatfs(device, &system) == 0 && system.f_type == SYSFS_MAGIC &&
            faccessat(device, "uevent", R_OK, 0) == 0,
        "a device folder is in a file system of the type sysfs, and has uevent");
  close(device);
  close(link);
  close(generic);
  close(folder);
}

void flash_rules(void) {
  command("flash-mode sq\n");
  lun = open("/dev/sg90", O_RDWR);
  walked();
  descriptor();
  forked();
  killed_with_the_lock();
  close(lun);
}
