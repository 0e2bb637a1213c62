import { sleep, throwIfAborted } from '../shared/abort';
import { CxlError } from '../shared/errors';

const MAX_RETRIES = 20;
/** Milliseconds. */
const MAX_PAUSE = 100;

/**
 * Repeats a call while it fails with EAGAIN: up to 20 times, with pauses that double from 1 ms to
 * 100 ms (about 1.5 s in all), and for at least `atLeast` milliseconds. An abort of the signal
 * ends it between two calls.
 */
export async function retryOnEagain<T>(
  call: () => Promise<T>,
  signal?: AbortSignal,
  atLeast = 0,
): Promise<{ answer: T; retries: number }> {
  const end = performance.now() + atLeast;
  for (let retries = 0; ; retries += 1) {
    throwIfAborted(signal);
    try {
      return { answer: await call(), retries };
    } catch (error) {
      if (!isAgain(error)) throw error;
      if (retries >= MAX_RETRIES && performance.now() >= end) throw error;
      await sleep(Math.min(2 ** retries, MAX_PAUSE), signal);
    }
  }
}

/** Of the driver; a thread that cannot be started is EAGAIN too, and not the driver's to repair. */
function isAgain(error: unknown): boolean {
  return error instanceof CxlError && error.code === 'EAGAIN' && error.syscall !== 'pthread_create';
}
