// SPDX-License-Identifier: Apache-2.0
#include "fault_guard.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <uv.h>

#include <atomic>

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

struct sigaction previous;
// Set when the previous handler asked to be called once only (SA_RESETHAND) and has been.
std::atomic<bool> previous_spent{false};

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

void PassOn(int signal, siginfo_t* info, void* context, bool will_fault_again) {
  const bool spent = (previous.sa_flags & SA_RESETHAND) != 0 && previous_spent.exchange(true);
  if (!spent && (previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
    return;
  }
  if (!spent && previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
    return;
  }
  if (will_fault_again) {
    // Without a handler, ignored or not, the kernel kills the process: let the instruction
    // fault again under the default action, so that a core dump shows the culprit.
    RestoreDefault();
    return;
  }
  if (!spent && previous.sa_handler == SIG_IGN) return;
  // The signal was sent by kill() or the like: nothing would raise it again. It is blocked until
  // this handler returns, and then takes the default action.
  RestoreDefault();
  syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal);
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

void Install() {
  struct sigaction action = {};
  sigaction(SIGBUS, nullptr, &previous);
  // The previous handler is called from within ours, and may count on what it asked to be
  // blocked, or not to be, meanwhile.
  action.sa_mask = previous.sa_mask;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | (previous.sa_flags & (SA_NODEFER | SA_RESTART));
  action.sa_sigaction = OnBusError;
  sigaction(SIGBUS, &action, nullptr);
}

uv_once_t installed = UV_ONCE_INIT;

}  // namespace

void GuardFaults() { uv_once(&installed, Install); }

}  // namespace cxl
