import { checkInteger, checkOptions, typeError } from './errors';

export interface WaitOptions {
  /** Aborting rejects the wait with an AbortError. No event that was read is lost. */
  signal?: AbortSignal;
  /** Milliseconds, 0 to 2^31 - 1; then the wait rejects with ETIMEDOUT. Default: none. */
  timeout?: number;
}

/** What an aborted wait rejects with: as Node's own, name AbortError and code ABORT_ERR. */
export class AbortError extends Error {
  override readonly name = 'AbortError';
  readonly code = 'ABORT_ERR';

  constructor(signal: AbortSignal) {
    super('The operation was aborted', { cause: signal.reason });
  }
}

/** The same options, checked before anything is done on their account. */
export function checkWaitOptions<T extends WaitOptions>(options: T): T {
  const { signal, timeout } = checkOptions(options);
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw typeError('options.signal', 'an AbortSignal', signal);
  }
  if (timeout !== undefined) checkInteger('options.timeout', timeout, 0, 2 ** 31 - 1);
  return options;
}

/** @internal Throws the AbortError of a signal that has been aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortError(signal);
}

interface Listening {
  readonly callbacks: Set<() => void>;
  readonly listener: () => void;
}

const listening = new WeakMap<AbortSignal, Listening>();

/**
 * @internal Calls `callback` when the signal aborts, unless the returned function is called
 * before. A signal has one listener of ours however many waits it ends: with one each, Node
 * would warn of a leak where a program has a single signal for eleven contexts.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  const { callbacks, listener } = listening.get(signal) ?? listen(signal);
  callbacks.add(callback);
  return () => {
    if (!callbacks.delete(callback) || callbacks.size > 0) return;
    listening.delete(signal);
    signal.removeEventListener('abort', listener);
  };
}

function listen(signal: AbortSignal): Listening {
  const callbacks = new Set<() => void>();
  const listener = () => {
    for (const callback of callbacks) callback();
  };
  const made = { callbacks, listener };
  listening.set(signal, made);
  signal.addEventListener('abort', listener, { once: true });
  return made;
}
