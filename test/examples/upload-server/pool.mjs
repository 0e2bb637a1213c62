// @ts-check
// A fixed number of copiers. A job waits for a free one, and is done again when the card has failed.
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * What passes by itself: the link is down or the context detached (EIO), the AFU does not answer
 * (ETIMEDOUT), the nodes are gone while the card recovers (ENODEV, ENOENT, ENXIO), other programs
 * have all process elements (ENOSPC), the card is being reset (EBUSY).
 */
const PASSING = new Set(['EIO', 'ETIMEDOUT', 'ENODEV', 'ENOENT', 'ENXIO', 'ENOSPC', 'EBUSY']);

/** Milliseconds between attempts to open a copier: doubled each time, up to the second number. */
const PAUSES = [10, 1000];

/** Whether another attempt may succeed. @param {unknown} error */
export function passes(error) {
  const { code } = /** @type {{ code?: string }} */ (error);
  return code === FULL || (code !== undefined && PASSING.has(code));
}

const FULL = 'ERR_POOL_FULL';

/** More jobs wait than the pool lets wait. */
export class PoolFullError extends Error {
  code = FULL;
}

/**
 * @typedef {{ copy(bytes: Uint8Array): Promise<Uint8Array>, close(): Promise<void> }} Copies
 */

export class Pool {
  /** Counts since the start, but `waiting`, `busy` and `contexts`, which are of now. */
  metrics = {
    jobs: 0,
    failures: 0,
    bytes: 0,
    seconds: 0,
    /** Copiers closed because of an error. */
    lost: 0,
    /** Jobs begun again. */
    retries: 0,
    waiting: 0,
    busy: 0,
    contexts: 0,
  };
  #open;
  #most;
  #attempts;
  #recovery;
  /** Copiers that do nothing; undefined: one that is to be opened. @type {(Copies | undefined)[]} */
  #free = [];
  /** @type {((copier: Copies | undefined) => void)[]} */
  #waiting = [];
  #size;
  /** @type {Promise<void> | undefined} */
  #closing;
  /** Called when every copier is free. */
  #idle = () => {};

  /**
   * @param {() => Promise<Copies>} open
   * @param {object} [options]
   * @param {number} [options.size] copiers
   * @param {number} [options.waiting] jobs that may wait for a copier
   * @param {number} [options.attempts] of each job
   * @param {number} [options.recovery] milliseconds that the card may take to come back
   */
  constructor(open, { size = 4, waiting = 64, attempts = 3, recovery = 30_000 } = {}) {
    this.#open = open;
    this.#size = size;
    this.#most = waiting;
    this.#attempts = attempts;
    this.#recovery = recovery;
    this.#free = Array.from({ length: size }, () => undefined);
  }

  /** Opens all copiers, before the first job: a machine without a card is found out at the start. */
  async open() {
    for (const index of this.#free.keys()) {
      this.#free[index] = await this.#open();
      this.metrics.contexts += 1;
    }
  }

  /**
   * Copies bytes by one of the copiers.
   *
   * @param {Uint8Array} bytes at most a batch or so, so that jobs take turns
   * @returns {Promise<Uint8Array>}
   * @throws ERR_POOL_FULL; what the last attempt threw
   */
  async copy(bytes) {
    const start = performance.now();
    let copier = await this.#take();
    this.metrics.jobs += 1;
    this.metrics.busy += 1;
    try {
      for (let attempt = 1; ; attempt += 1) {
        try {
          copier ??= await this.#reopen();
          const copy = await copier.copy(bytes);
          this.metrics.bytes += copy.length;
          return copy;
        } catch (error) {
          if (copier !== undefined) await this.#lose(copier);
          copier = undefined;
          if (attempt === this.#attempts || !passes(error)) throw error;
          this.metrics.retries += 1;
        }
      }
    } catch (error) {
      this.metrics.failures += 1;
      throw error;
    } finally {
      this.metrics.busy -= 1;
      this.metrics.seconds += (performance.now() - start) / 1000;
      this.#give(copier);
    }
  }

  /**
   * Refuses new jobs, waits for those that were accepted, and closes every context. Jobs whose card
   * does not come back at once fail.
   */
  close() {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close() {
    if (this.#free.length < this.#size) {
      await new Promise((resolve) => {
        this.#idle = () => resolve(undefined);
      });
    }
    await Promise.all(this.#free.map((copier) => copier?.close()));
    this.metrics.contexts = 0;
  }

  /** @returns {Promise<Copies | undefined>} */
  async #take() {
    if (this.#closing !== undefined) throw new PoolFullError('the pool is closed');
    if (this.#free.length > 0) return this.#free.pop();
    if (this.#waiting.length >= this.#most) throw new PoolFullError('too many jobs wait');
    this.metrics.waiting += 1;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #give(/** @type {Copies | undefined} */ copier) {
    const next = this.#waiting.shift();
    if (next === undefined) {
      this.#free.push(copier);
      if (this.#free.length === this.#size) this.#idle();
      return;
    }
    this.metrics.waiting -= 1;
    next(copier);
  }

  /** A context is of no use after an error: it may be detached, or still be working. */
  async #lose(/** @type {Copies} */ copier) {
    this.metrics.lost += 1;
    this.metrics.contexts -= 1;
    // What failed first is what counts.
    await copier.close().catch(() => {});
  }

  /** Opens a copier, however long the card takes to come back, up to the limit. */
  async #reopen() {
    const end = performance.now() + this.#recovery;
    const [first = 0, longest = 0] = PAUSES;
    for (let pause = first; ; pause = Math.min(pause * 2, longest)) {
      try {
        const copier = await this.#open();
        this.metrics.contexts += 1;
        return copier;
      } catch (error) {
        const late = this.#closing !== undefined || performance.now() + pause > end;
        if (late || !passes(error)) throw error;
      }
      await sleep(pause);
    }
  }
}
