import { AbortError, onAbort, throwIfAborted } from './abort';

/** Mutual exclusion of asynchronous callers: first come, first served. */
export class Mutex {
  #locked = false;
  readonly #waiting: Array<() => void> = [];

  /**
   * Resolves when the caller holds the mutex, with the function that releases it.
   * @throws AbortError when the signal aborts first; the caller then leaves the queue
   */
  async lock(signal: AbortSignal | undefined): Promise<() => void> {
    throwIfAborted(signal);
    if (this.#locked) await this.#wait(signal);
    this.#locked = true;
    let released = false;
    return () => {
      if (released) return;
      released = true;
      const next = this.#waiting.shift();
      // Stays locked on the way to the next caller, so that no newer one can come first.
      if (next === undefined) this.#locked = false;
      else next();
    };
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      let unlisten: (() => void) | undefined;
      const proceed = () => {
        unlisten?.();
        resolve();
      };
      this.#waiting.push(proceed);
      if (signal === undefined) return;
      unlisten = onAbort(signal, () => {
        this.#waiting.splice(this.#waiting.indexOf(proceed), 1);
        reject(new AbortError(signal));
      });
    });
  }
}
