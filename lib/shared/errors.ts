/**
 * The errors that the library throws. When a system call fails, that is a CxlError, with the
 * properties of Node's own system errors (code, errno, syscall, path). A wrong argument is a
 * TypeError or RangeError with an ERR_ code, thrown before any system call.
 */
import { inspect } from 'node:util';
import { describeErrno, ERRNOS, type ErrnoName, errnoName, NO_THREAD } from './errno';
import { hintFor } from './hints';
import { nearest } from './nearest';

/**
 * A system call that failed, on either backend.
 *
 * @example
 * import { CxlError, cxl } from 'node-cxl';
 *
 * try {
 *   await cxl.open('/dev/cxl/afu7.0s');
 * } catch (error) {
 *   if (!(error instanceof CxlError)) throw error;
 *   console.log(error.code, error.syscall, error.path); // ENOENT open /dev/cxl/afu7.0s
 * }
 */
export class CxlError extends Error {
  /** The name of the class. */
  override readonly name: string = 'CxlError';
  /** The errno's name, such as 'EIO'. */
  readonly code: string;
  /** The negative errno, as Node's own system errors have it. */
  readonly errno: number;
  /** The call that failed, such as 'ioctl(START_WORK)'. */
  readonly syscall: string;
  /** The file concerned, where there is one. */
  declare readonly path?: string;

  /**
   * The error of a system call that failed.
   *
   * @param errno of either sign, as Linux numbers it
   * @param hint what to do about it. Default: what the library knows of this call and errno
   */
  constructor(errno: number, syscall: string, path?: string, hint?: string) {
    const code = errnoName(errno);
    const where = path === undefined ? syscall : `${syscall} '${path}'`;
    const advice = hint ?? hintFor(syscall, code);
    super(`${code}: ${describeErrno(code)}, ${where}${advice === undefined ? '' : ` (${advice})`}`);
    this.code = code;
    this.errno = -Math.abs(errno);
    this.syscall = syscall;
    if (path !== undefined) this.path = path;
  }
}

/**
 * The CxlError for an errno (of either sign, or by name). The stack trace starts at the caller
 * of `above`, by default of this function.
 */
export function systemError(
  errno: number | ErrnoName,
  syscall: string,
  path?: string,
  hint?: string,
  above?: (...args: never[]) => unknown,
): CxlError {
  const number = Math.abs(typeof errno === 'string' ? ERRNOS[errno] : errno);
  if (number > NO_THREAD) {
    return systemError(
      number - NO_THREAD,
      'pthread_create',
      undefined,
      undefined,
      above ?? systemError,
    );
  }
  const error = new CxlError(number, syscall, path, hint);
  Error.captureStackTrace(error, above ?? systemError);
  return error;
}

/** What a call of the binding returned; a negative errno is thrown as a CxlError. */
export function unwrap<T>(result: T | number, syscall: string, path?: string): T {
  if (typeof result === 'number' && result < 0) {
    throw systemError(result, syscall, path, undefined, unwrap);
  }
  return result as T;
}

type ErrCode =
  | 'ERR_INVALID_ARG_TYPE'
  | 'ERR_INVALID_ARG_VALUE'
  | 'ERR_OUT_OF_RANGE'
  | 'ERR_INVALID_STATE';

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

/** An argument of the right type whose value is not allowed. */
export function valueError(name: string, expected: string, actual: unknown) {
  const shown = inspect(actual, { depth: 0, maxStringLength: 60 });
  return withCode(
    new TypeError(`${name} must be ${expected}; got ${shown}`),
    'ERR_INVALID_ARG_VALUE',
    valueError,
  );
}

/** An option that does not exist; `options` is how the object is called, `known` what it can have. */
export function unknownOption(options: string, name: string, known: readonly string[]) {
  const meant = nearest(name, known);
  const advice = meant === undefined ? '' : `; did you mean ${meant}?`;
  return withCode(
    new TypeError(
      `${options}.${name} is not an option${advice} (options: ${known.join(', ') || 'none'})`,
    ),
    'ERR_INVALID_ARG_VALUE',
    unknownOption,
  );
}

/** A number outside its range. */
export function rangeError(name: string, expected: string, actual: unknown) {
  return withCode(
    new RangeError(`${name} must be ${expected}; got ${shownNumber(actual)}`),
    'ERR_OUT_OF_RANGE',
    rangeError,
  );
}

/** A bigint without its n; a text as it is. */
function shownNumber(value: unknown): string {
  const plain = typeof value === 'bigint' || typeof value === 'string';
  return plain ? String(value) : inspect(value, { depth: 0 });
}

/** A call that the object's state does not allow. */
export function stateError(message: string) {
  return withCode(new Error(message), 'ERR_INVALID_STATE', stateError);
}
