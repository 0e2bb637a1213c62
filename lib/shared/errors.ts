/**
 * Every failure the library reports. A refusal by the system is a CxlError shaped as Node's
 * own system errors are (code, errno, syscall, path); a mistake in the call is a TypeError or
 * RangeError with an ERR_ code, thrown before any system call.
 */
import { inspect } from 'node:util';

/** Linux's numbers: the seam speaks them on every platform, so os.constants will not do. */
export const errnos = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  ERANGE: 34,
  ENOSYS: 38,
  ENODATA: 61,
  EPROTO: 71,
  EBADMSG: 74,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
  ETIMEDOUT: 110,
  EREMOTEIO: 121,
  ECANCELED: 125,
} as const;

export type ErrnoName = keyof typeof errnos;

const names = new Map<number, string>(
  Object.entries(errnos).map(([name, number]) => [number, name]),
);

const descriptions: Partial<Record<ErrnoName, string>> = {
  EACCES: 'permission denied',
  EAGAIN: 'resource temporarily unavailable',
  EBADF: 'bad file descriptor',
  EBADMSG: 'malformed message',
  EBUSY: 'device or resource busy',
  ECANCELED: 'operation canceled',
  EEXIST: 'file exists',
  EFAULT: 'bad address',
  EINVAL: 'invalid argument',
  EIO: 'input/output error',
  EMFILE: 'too many open files',
  ENODATA: 'no data available',
  ENODEV: 'no such device',
  ENOENT: 'no such file or directory',
  ENOMEM: 'not enough memory',
  ENOSPC: 'no space left on device',
  ENOSYS: 'not supported here',
  ENOTTY: 'inappropriate ioctl for device',
  ENXIO: 'no such device or address',
  EOPNOTSUPP: 'operation not supported',
  EPERM: 'operation not permitted',
  EPROTO: 'protocol error',
  ETIMEDOUT: 'timed out',
};

/** What to do about it, where one advice fits every call that can fail so. */
const hints: Partial<Record<ErrnoName, string>> = {
  EACCES:
    'device nodes belong to root until a udev rule says otherwise: install lib/udev/70-node-cxl.rules of this package and join its group',
  EPERM: 'run as root, or give the process the capability the call needs',
  ENODEV:
    'is the AFU present and a mode active? The cxl driver is part of Linux 3.18 to 6.14, on POWER8 and POWER9',
  ENOENT:
    'is the cxl driver loaded? It is part of Linux 3.18 to 6.14, on POWER8 and POWER9. NODE_CXL_BACKEND=mock runs the program without a card',
  EPROTO: 'the driver speaks a newer interface than this library knows: update node-cxl',
  ENOSPC:
    'all process elements or interrupts are taken: close a context, or ask for fewer interrupts (an AFU in dedicated mode has one context)',
};

const syscallHints: Record<string, string> = {
  'ioctl(START_WORK):EIO': 'the context was started before or has been detached: open a new one',
  'ioctl(START_WORK):EINVAL':
    'is the number of interrupts within irqs_min and irqs_max of the AFU?',
  'ioctl(START_WORK):EBUSY': 'the adapter is being reset, or the AFU does not answer: try again',
  'ioctl(START_WORK):ENODEV': 'this processor or kernel cannot wake threads: attach without tid',
  'open:EIO': 'the link to the card is down: wait for its recovery',
  'open:ENOENT':
    'is the cxl driver loaded (it is part of Linux 3.18 to 6.14, on POWER8 and POWER9), and the AFU in the mode that has this node? NODE_CXL_BACKEND=mock runs the program without a card',
  'adopt:ENODEV': 'this is no descriptor of a context on an AFU, or of one that was detached',
  'adopt:EBADF': 'this process has no such descriptor open',
  'mmap:EIO': 'attach the context first; after a detach open a new one',
  'mmap:EACCES': 'the descriptor was not opened for reading and writing',
  'mmap:EINVAL': 'the range passes the end of the problem state area (mmio_size)',
  'read:EEXIST': 'another context of this thread waits on the same descriptor: adopt it once',
  'read:EIO': 'the context was detached (recovery, reset or unplug): close it and open a new one',
  'mmio:EIO': 'the mapping no longer leads to the AFU: ask linkState(), close and open again',
};

/** A refusal by the system, on either backend. */
export class CxlError extends Error {
  override readonly name: string = 'CxlError';
  /** The errno's name, such as 'EIO'. */
  readonly code: string;
  /** The negative errno, as Node's own system errors have it. */
  readonly errno: number;
  /** The call that failed, such as 'ioctl(START_WORK)'. */
  readonly syscall: string;
  /** The file concerned, where there is one. */
  declare readonly path?: string;

  constructor(errno: number, syscall: string, path?: string, hint?: string) {
    const code = errnoName(errno);
    const advice =
      hint ?? syscallHints[`${syscall}:${code}`] ?? hints[code as ErrnoName] ?? undefined;
    const where = path === undefined ? syscall : `${syscall} '${path}'`;
    const what = descriptions[code as ErrnoName] ?? 'failed';
    super(`${code}: ${what}, ${where}${advice === undefined ? '' : ` (${advice})`}`);
    this.code = code;
    this.errno = -Math.abs(errno);
    this.syscall = syscall;
    if (path !== undefined) this.path = path;
  }
}

/** The name of an errno, of either sign; `E121` style for one that has none here. */
export function errnoName(errno: number): string {
  return names.get(Math.abs(errno)) ?? `E${Math.abs(errno)}`;
}

/**
 * The Error for an errno (of either sign, or by name) that a system call gave. `above` is a
 * function to leave out of the stack, so that it starts at the caller.
 */
export function systemError(
  errno: number | ErrnoName,
  syscall: string,
  path?: string,
  hint?: string,
  above?: (...args: never[]) => unknown,
): CxlError {
  const number = typeof errno === 'string' ? errnos[errno] : errno;
  const error = new CxlError(number, syscall, path, hint);
  Error.captureStackTrace(error, above ?? systemError);
  return error;
}

/** The value a call at the seam answered, or its refusal thrown. */
export function unwrap<T>(answer: T | number, syscall: string, path?: string): T {
  if (typeof answer === 'number' && answer < 0) {
    throw systemError(answer, syscall, path, undefined, unwrap);
  }
  return answer as T;
}

export type ErrCode =
  | 'ERR_INVALID_ARG_TYPE'
  | 'ERR_INVALID_ARG_VALUE'
  | 'ERR_OUT_OF_RANGE'
  | 'ERR_INVALID_STATE'
  | 'ERR_BUFFER_OUT_OF_BOUNDS';

function withCode<E extends Error>(error: E, code: ErrCode, above: unknown): E & { code: ErrCode } {
  const coded = Object.assign(error, { code });
  Error.captureStackTrace(coded, above as () => void);
  return coded;
}

/** An argument of the wrong type. */
export function typeError(name: string, expected: string, actual: unknown) {
  const shown = inspect(actual, { depth: 0, maxStringLength: 40 });
  return withCode(
    new TypeError(`${name} must be ${expected}; got ${shown}`),
    'ERR_INVALID_ARG_TYPE',
    typeError,
  );
}

/** An argument of the right type that means nothing. */
export function valueError(name: string, expected: string, actual: unknown) {
  const shown = inspect(actual, { depth: 0, maxStringLength: 60 });
  return withCode(
    new TypeError(`${name} must be ${expected}; got ${shown}`),
    'ERR_INVALID_ARG_VALUE',
    valueError,
  );
}

/** A number outside its range. */
export function rangeError(name: string, expected: string, actual: unknown) {
  return withCode(
    new RangeError(`${name} must be ${expected}; got ${String(actual)}`),
    'ERR_OUT_OF_RANGE',
    rangeError,
  );
}

/** A call that this object's state does not allow. */
export function stateError(message: string) {
  return withCode(new Error(message), 'ERR_INVALID_STATE', stateError);
}

/** An integer within [min, max], else a TypeError or RangeError naming it. */
export function checkInteger(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number') throw typeError(name, 'a number', value);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw rangeError(name, `an integer from ${min} to ${max}`, value);
  }
  return value;
}

/** An object of options, else a TypeError: null has no properties to take a default for. */
export function checkOptions<T>(value: T): T {
  if (typeof value !== 'object' || value === null) throw typeError('options', 'an object', value);
  return value;
}

/** Not what JavaScript takes for true: 'false' and '0' would be. */
export function checkBoolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw typeError(name, 'a boolean', value);
  return value;
}

/** A bigint within [0, 2^64). */
export function checkUint64(name: string, value: unknown): bigint {
  if (typeof value !== 'bigint') throw typeError(name, 'a bigint', value);
  // Faster than two comparisons of bigints.
  if (BigInt.asUintN(64, value) !== value) throw rangeError(name, 'from 0n to 2^64 - 1', value);
  return value;
}
