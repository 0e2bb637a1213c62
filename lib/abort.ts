import { checkInteger, typeError } from './errors';

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
export function checkWaitOptions(options: WaitOptions): WaitOptions {
  const { signal, timeout } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw typeError('options.signal', 'an AbortSignal', signal);
  }
  if (timeout !== undefined) checkInteger('options.timeout', timeout, 0, 2 ** 31 - 1);
  return options;
}
