// SPDX-License-Identifier: Apache-2.0
#include "fault_guard.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>

#include "../threads/thread.h"

namespace {

// What mmio.cc put into the section: distances from the field itself, so that the table needs
// no relocation.
struct FixUp {
  int32_t access;
  int32_t resume;
};

}  // namespace

// The linker marks where a section begins and ends when its name is an identifier.
extern "C" {
extern const FixUp __start_cxl_fix_ups[] __attribute__((visibility("hidden")));
extern const FixUp __stop_cxl_fix_ups[] __attribute__((visibility("hidden")));
}

namespace cxl {
namespace {

// A handler that had the signal before ours.
struct Previous {
  struct sigaction action;
  // It asked to be called once only (SA_RESETHAND), and has been.
  std::atomic<bool> spent;
};

// The first is who had the signal before the first mapping; the others replaced our handler later,
// until it was installed again. Handlers read them, so that an entry is complete before it counts.
constexpr int kMaxPrevious = 16;
Previous previous[kMaxPrevious];
std::atomic<int> newest{-1};
int used_previous = 0;  // under the lock of GuardFaults()

// Handlers of ours that are under way on this thread. Initial-exec: a handler must not allocate,
// which the first access to another kind of thread-local variable may.
__attribute__((tls_model("initial-exec"))) thread_local int depth = 0;

#if defined(__x86_64__)
using ProgramCounter = greg_t;
ProgramCounter* Pc(ucontext_t* context) { return &context->uc_mcontext.gregs[REG_RIP]; }
#elif defined(__aarch64__)
using ProgramCounter = decltype(mcontext_t::pc);
ProgramCounter* Pc(ucontext_t* context) { return &context->uc_mcontext.pc; }
#elif defined(__powerpc64__)
using ProgramCounter = unsigned long;
constexpr int kNextInstruction = 32;  // PT_NIP
ProgramCounter* Pc(ucontext_t* context) { return &context->uc_mcontext.gp_regs[kNextInstruction]; }
#endif

bool Resume(ucontext_t* context) {
  const auto pc = static_cast<uintptr_t>(*Pc(context));
  for (const FixUp* entry = __start_cxl_fix_ups; entry != __stop_cxl_fix_ups; ++entry) {
    if (reinterpret_cast<uintptr_t>(&entry->access) + static_cast<intptr_t>(entry->access) == pc) {
      *Pc(context) = static_cast<ProgramCounter>(reinterpret_cast<uintptr_t>(&entry->resume) +
                                                 static_cast<intptr_t>(entry->resume));
      return true;
    }
  }
  return false;
}

void RestoreDefault() {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  sigaction(SIGBUS, &action, nullptr);
}

void PassOnTo(Previous& to, int signal, siginfo_t* info, void* context, bool will_fault_again) {
  const struct sigaction& action = to.action;
  const bool spent = (action.sa_flags & SA_RESETHAND) != 0 && to.spent.exchange(true);
  if (!spent && (action.sa_flags & SA_SIGINFO) != 0) {
    action.sa_sigaction(signal, info, context);
    return;
  }
  if (!spent && action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN) {
    action.sa_handler(signal);
    return;
  }
  if (will_fault_again) {
    // Without a handler, ignored or not, the kernel kills the process: let the instruction
    // fault again under the default action, so that a core dump shows the culprit.
    RestoreDefault();
    return;
  }
  if (!spent && action.sa_handler == SIG_IGN) return;
  // The signal was sent by kill() or the like: nothing would raise it again. It is blocked until
  // this handler returns, and then takes the default action.
  RestoreDefault();
  syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal);
}

// To the handler that ours replaced last. One that was installed over ours may pass on to ours in
// turn: then to the first, which cannot.
void PassOn(int signal, siginfo_t* info, void* context, bool will_fault_again) {
  const int last = newest.load();
  if (last == 0 || depth > 0) {
    PassOnTo(previous[0], signal, info, context, will_fault_again);
    return;
  }
  ++depth;
  PassOnTo(previous[last], signal, info, context, will_fault_again);
  --depth;
}

void OnBusError(int signal, siginfo_t* info, void* context) {
  // si_code is positive for a fault; kill() and raise() give zero or less. A memory error that
  // the kernel tells in advance (AO) is not due to the instruction it interrupts.
  const bool fault = info->si_code > 0 && info->si_code != BUS_MCEERR_AO;
  if (fault && Resume(static_cast<ucontext_t*>(context))) return;
  const int saved = errno;
  PassOn(signal, info, context, fault);
  errno = saved;
}

bool SameAction(const struct sigaction& one, const struct sigaction& other) {
  return one.sa_flags == other.sa_flags && one.sa_handler == other.sa_handler;
}

// Under the lock of GuardFaults(). A place of its own for each handler: another thread may be in
// it.
void Remember(const struct sigaction& action) {
  int at = 0;
  const int count = used_previous;
  while (at < count && !SameAction(previous[at].action, action)) ++at;
  // More than any program installs: the last place is used again.
  if (at == kMaxPrevious) at = kMaxPrevious - 1;
  if (at >= count) {
    previous[at].action = action;
    used_previous = at + 1;
  }
  previous[at].spent.store(false);
  newest.store(at);
}

}  // namespace

void GuardFaults() {
  // Never destroyed: threads may still come here while the process exits.
  static Mutex& mutex = *new Mutex;
  Lock lock(mutex);
  struct sigaction current = {};
  sigaction(SIGBUS, nullptr, &current);
  if ((current.sa_flags & SA_SIGINFO) != 0 && current.sa_sigaction == OnBusError) return;
  Remember(current);
  struct sigaction action = {};
  // The previous handler is called from within ours, and may count on what it asked to be
  // blocked, or not to be, meanwhile.
  action.sa_mask = current.sa_mask;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | (current.sa_flags & (SA_NODEFER | SA_RESTART));
  action.sa_sigaction = OnBusError;
  sigaction(SIGBUS, &action, nullptr);
}

void GuardFaultsAgain() {
  if (newest.load() >= 0) GuardFaults();
}

}  // namespace cxl
