// SPDX-License-Identifier: Apache-2.0

#include "trap.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../afu/memory.h"
#include "../calls/next.h"
#include "../driver/area.h"
#include "access.h"

#if TRAP_SUPPORTED

static struct sigaction previous;
static bool installed;

// The access can neither be carried out nor skipped, so the process ends.
static void abort_unknown(const ucontext_t* state, const void* address) {
  uint8_t bytes[4];
  size_t known = memory_load(bytes, trapped_instruction(state), sizeof bytes);
  char text[320];
  int size = snprintf(text, sizeof text, "cxlsim: access to the register at %p by an instruction",
                      address);
  for (size_t i = 0; i < known; i++) {
    size += snprintf(text + size, sizeof text - (size_t)size, " %02x", bytes[i]);
  }
  size += snprintf(text + size, sizeof text - (size_t)size,
                   " that the simulated device does not know; it knows %s\n", trapped_forms);
  if (NEXT(write)(STDERR_FILENO, text, (size_t)size) < 0) _exit(127);
  abort();
}

// False when the fault is not one of a register.
static bool carry_out(ucontext_t* state, const void* address) {
  struct area_place place;
  struct trapped_access access;
  // A jump to the address is not an access.
  if (trapped_instruction(state) == (uintptr_t)address) return false;
  if (!area_find(address, &place)) return false;
  if (place.backing == BACKING_UNTOUCHED) {
    area_touch(address);
    return true;
  }
  bool known = trapped_decode(state, &access);
  if (known && !(place.protection & (access.store ? PROT_WRITE : PROT_READ))) return false;
  // The mapping was replaced meanwhile: the access is repeated and succeeds.
  if (place.backing != BACKING_DEVICE) return known;
  if (!known) abort_unknown(state, address);
  const struct trapped_registers* registers = place.context->trapped;
  uint64_t bytes = 0;
  if (access.store) {
    registers->store(place.context, place.offset, access.width, access.bytes);
  } else {
    bytes = registers->load(place.context, place.offset, access.width);
  }
  trapped_complete(state, &access, bytes);
  return true;
}

static void send_again(int signal) {
  sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
  NEXT(syscall)(SYS_tgkill, getpid(), gettid(), signal);
}

// Delivers the signal as the kernel would have without this handler.
static void pass_on(int signal, siginfo_t* info, ucontext_t* state) {
  struct sigaction to = previous;
  sigset_t mask;
  bool fault = info->si_code > 0;
  if (to.sa_handler == SIG_DFL || to.sa_handler == SIG_IGN) {
    // An ignored fault kills as well, when the instruction is repeated.
    if (fault) {
      sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    } else if (to.sa_handler == SIG_DFL) {
      send_again(signal);
    }
    return;
  }
  if (to.sa_flags & SA_RESETHAND) previous = (struct sigaction){.sa_handler = SIG_DFL};
  sigorset(&mask, &state->uc_sigmask, &to.sa_mask);
  if (!(to.sa_flags & SA_NODEFER)) sigaddset(&mask, signal);
  pthread_sigmask(SIG_SETMASK, &mask, NULL);
  if (to.sa_flags & SA_SIGINFO) {
    to.sa_sigaction(signal, info, state);
  } else {
    to.sa_handler(signal);
  }
}

static void on_fault(int signal, siginfo_t* info, void* context) {
  int before = errno;
  bool handled = false;
  // This thread cannot hold the lock: this library itself does not access such a mapping.
  if (info->si_code > 0) {
    device_lock();
    handled = carry_out(context, info->si_addr);
    device_unlock();
  }
  if (!handled) pass_on(signal, info, context);
  errno = before;
}

void trap_install(void) {
  if (installed) return;
  installed = true;
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaction(SIGSEGV, NULL, &previous);
  action.sa_flags |= previous.sa_flags & SA_RESTART;
  // The handler of another signal may access a register too, while this one holds the lock.
  sigfillset(&action.sa_mask);
  sigaction(SIGSEGV, &action, NULL);
}

#else

// IOARRIN mode is refused, so there is no such context.
void trap_install(void) { abort(); }

#endif
