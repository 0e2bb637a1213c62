/** What the user can do about a failed call: the text in parentheses at the end of a CxlError's message. */
import type { ErrnoName } from './errno';

/** By errno, for every call that fails with it. */
const HINTS: Partial<Record<ErrnoName, string>> = {
  EACCES:
    'only root can open device nodes without a udev rule: install lib/udev/70-node-cxl.rules of this package and join its group',
  EPERM: 'run as root, or give the process the capability the call needs',
  ENODEV:
    'is the AFU present and a mode active? The cxl driver is part of Linux 3.18 to 6.14, on POWER8 and POWER9',
  ENOENT:
    'is the cxl driver loaded? It is part of Linux 3.18 to 6.14, on POWER8 and POWER9. NODE_CXL_BACKEND=mock runs the program without a card',
  EPROTO: 'the driver has a newer interface than this library: update node-cxl',
  ECONNREFUSED:
    'no PSLSE daemon listens there: start the AFU simulator, then the daemon, and use the port that it says',
  EPROTONOSUPPORT:
    'what listens there is no PSLSE daemon of a version known here (PSL8 1.2, PSL9 2.0)',
  ENOSPC:
    'all process elements or interrupts are taken: close a context, or ask for fewer interrupts (an AFU in dedicated mode has one context)',
};

/** By call and errno. */
const SYSCALL_HINTS: Record<string, string> = {
  'ioctl(START_WORK):EIO': 'the context was started before or has been detached: open a new one',
  'ioctl(START_WORK):EINVAL':
    'is the number of interrupts within irqs_min and irqs_max of the AFU?',
  'ioctl(START_WORK):EBUSY': 'the adapter is being reset, or the AFU does not answer: try again',
  'ioctl(START_WORK):ENODEV': 'this processor or kernel cannot wake threads: attach without tid',
  'pthread_create:EAGAIN':
    'no thread could be started: raise the limit of threads (ulimit -u, pids.max of the cgroup), or end others, and try again',
  'open:EIO': 'the link to the card is down: wait for its recovery',
  'open:ENOENT':
    'is the cxl driver loaded (it is part of Linux 3.18 to 6.14, on POWER8 and POWER9), and the AFU in the mode that has this node? NODE_CXL_BACKEND=mock runs the program without a card',
  'adopt:ENODEV': 'the descriptor is not that of an AFU context, or the context was detached',
  'adopt:EBADF': 'the process has no such descriptor open',
  'mmap:EIO': 'attach the context first; after a detach open a new one',
  'mmap:EACCES': 'the descriptor was not opened for reading and writing',
  'mmap:EINVAL': 'the range extends past the end of the problem state area (mmio_size)',
  'read:ENODATA': 'PSLSE reads the error buffer through a context: attach one of this AFU first',
  'read:EEXIST':
    'another context of this thread waits on the same descriptor: adopt a descriptor only once',
  'read:EIO':
    'the context was detached (recovery, reset or unplug), or its card has no link: when linkState() stays down, close it and open a new one',
  'mmio:EIO':
    'the AFU can no longer be accessed: check linkState(), close the context and open a new one',
};

/** The hint for a call that failed with this errno name, where there is one. */
export function hintFor(syscall: string, code: string): string | undefined {
  return SYSCALL_HINTS[`${syscall}:${code}`] ?? HINTS[code as ErrnoName];
}
