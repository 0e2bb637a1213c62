import { checkInteger, checkOptions, type OptionNames } from './checks';
import { debug } from './debug';
import { typeError } from './errors';

/** Options of what waits. */
export interface WaitOptions {
  /** An abort rejects the wait with an AbortError. Events that were read stay pending. */
  signal?: AbortSignal | undefined;
  /** Milliseconds, 0 to 2^31 - 1, after which the wait rejects with ETIMEDOUT. Default: no limit. */
  timeout?: number | undefined;
}

/** @internal */
export const WAIT_OPTIONS: OptionNames<WaitOptions> = { signal: true, timeout: true };

/**
 * What every aborted operation of this package rejects with; `name` and `code` are those of Node's
 * own AbortError, and `cause` is the reason that the signal was given. All entry points export this
 * one class.
 *
 * @example
 * import { AbortError, cxl } from 'node-cxl';
 *
 * try {
 *   await cxl.open('/dev/cxl/afu0.0s', { signal: AbortSignal.abort('shutting down') });
 * } catch (error) {
 *   if (error instanceof AbortError) console.log(error.code, error.cause); // ABORT_ERR shutting down
 * }
 */
export class AbortError extends Error {
  /** As that of Node's own AbortError. */
  override readonly name = 'AbortError';
  /** As that of Node's own AbortError. */
  readonly code = 'ABORT_ERR';

  /**
   * The error of an operation that a signal aborted.
   *
   * @param signal whose abort it is; its reason becomes the cause
   */
  constructor(signal?: AbortSignal) {
    super('The operation was aborted', { cause: signal?.reason });
  }
}

/**
 * Throws unless the options have known names only and `signal` and `timeout` are valid; returns
 * them. A function with more options than these two checks the others itself.
 */
export function checkWaitOptions<T extends WaitOptions>(
  options: T,
  names: OptionNames<NoInfer<T>>,
): T {
  const { signal, timeout } = checkOptions<WaitOptions>(options, names as OptionNames<WaitOptions>);
  checkSignal(signal);
  if (timeout !== undefined) checkInteger('options.timeout', timeout, 0, 2 ** 31 - 1);
  return options;
}

/** @internal Throws unless `options.signal` is absent or an AbortSignal; returns it. */
export function checkSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw typeError('options.signal', 'an AbortSignal', signal);
  }
  return signal;
}

/** @internal Throws the AbortError of a signal that has been aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortError(signal);
}

interface SharedListener {
  readonly callbacks: Set<() => void>;
  readonly listener: () => void;
}

const listeners = new WeakMap<AbortSignal, SharedListener>();

/**
 * @internal Calls `callback` when the signal aborts, unless the returned function is called
 * before. All callbacks of a signal share one listener: Node warns of a leak when a signal has
 * more than ten, as it would for a program that uses one signal for eleven contexts.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  const { callbacks, listener } = listeners.get(signal) ?? listen(signal);
  callbacks.add(callback);
  return () => {
    if (!callbacks.delete(callback) || callbacks.size > 0) return;
    listeners.delete(signal);
    signal.removeEventListener('abort', listener);
  };
}

function listen(signal: AbortSignal): SharedListener {
  const callbacks = new Set<() => void>();
  const listener = () => {
    for (const callback of callbacks) callback();
  };
  const shared = { callbacks, listener };
  listeners.set(signal, shared);
  signal.addEventListener('abort', listener, { once: true });
  return shared;
}

/**
 * @internal What `running`, a call that has begun and cannot be stopped, resolves with. At an abort
 * it rejects at once, and `undo` gets the result when there is one: nobody else will.
 */
export function abortable<T>(
  running: Promise<T>,
  signal: AbortSignal | undefined,
  undo: (result: T) => Promise<unknown>,
): Promise<T> {
  if (signal === undefined) return running;
  return new Promise((resolve, reject) => {
    let aborted = signal.aborted;
    const abort = () => {
      aborted = true;
      reject(new AbortError(signal));
    };
    const unlisten = onAbort(signal, abort);
    if (aborted) abort();
    running.then(
      (result) => {
        unlisten();
        if (!aborted) resolve(result);
        else undo(result).catch((error) => debug('undoing an aborted call: %o', error));
      },
      (error) => {
        unlisten();
        reject(error);
      },
    );
  });
}

/** @internal Resolves after so many milliseconds; rejects with the AbortError of the signal. */
export function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(new AbortError(signal));
      return;
    }
    let unlisten: (() => void) | undefined;
    const timer = setTimeout(() => {
      unlisten?.();
      resolve();
    }, milliseconds);
    if (signal === undefined) return;
    unlisten = onAbort(signal, () => {
      clearTimeout(timer);
      reject(new AbortError(signal));
    });
  });
}
