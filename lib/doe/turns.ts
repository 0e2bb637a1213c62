import { AbortError, onAbort } from '../shared/abort';
import { throwIfAborted } from './abort';

/** A queue for one thing: first come, first served, and who gives up leaves the queue. */
export class Turns {
  #taken = false;
  readonly #waiting: Array<() => void> = [];

  /** Resolves when it is the caller's turn, with the function that ends it. */
  async take(signal: AbortSignal | undefined): Promise<() => void> {
    throwIfAborted(signal);
    if (this.#taken) await this.#wait(signal);
    this.#taken = true;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      const next = this.#waiting.shift();
      // Handed over without a gap in which somebody newer could come first.
      if (next === undefined) this.#taken = false;
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
