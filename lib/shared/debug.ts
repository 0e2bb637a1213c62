import { debuglog, inspect } from 'node:util';
import { describeErrno, errnoName } from './errno';

/**
 * NODE_DEBUG=cxl prints a line for each system call of the library, those that can take long also
 * when they begin. Register and memory accesses print none.
 */
export const debug = debuglog('cxl');

/** Prints that a call begins, with its input. */
export function debugCall(syscall: string, path: string, input: object): void {
  if (debug.enabled) debug('%s %s: %s', syscall, path, line(input));
}

/**
 * Prints what a call returned; a negative number is an errno. As strace:
 * `ioctl(START_WORK) /dev/cxl/afu0.0s = -1 EIO (input/output error)`.
 */
export function debugResult(syscall: string, path: string | undefined, answer: unknown): void {
  if (!debug.enabled) return;
  debug('%s%s = %s', syscall, path === undefined ? '' : ` ${path}`, result(answer));
}

function result(answer: unknown): string {
  if (typeof answer === 'number' && answer < 0) {
    const code = errnoName(answer);
    return `-1 ${code} (${describeErrno(code)})`;
  }
  return line(answer);
}

function line(value: unknown): string {
  return inspect(value, {
    breakLength: Number.POSITIVE_INFINITY,
    compact: 8,
    maxArrayLength: 16,
    depth: 1,
  });
}
