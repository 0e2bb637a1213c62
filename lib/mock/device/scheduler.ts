/**
 * When the accelerators run. A program that touches registers or memory, or puts a barrier,
 * gives them a step there and then; otherwise they run on timers that keep no process alive.
 */

/** One process element with work to do. */
export interface Runner {
  /** A bounded step. True when there is more to do at once. */
  step(): boolean;
}

/** Time a tick may take, in milliseconds: the program's own callbacks must get their turn. */
const sliceOfTick = 4;
/** How long an idle AFU sleeps at most before it looks at its queue again, in milliseconds. */
const longestSleep = 16;
/** Process elements that one access gives a step: with more, they take turns. */
const stepsPerPoke = 16;

export class Scheduler {
  readonly #runners = new Set<Runner>();
  /** Those whose turn it is not yet; the rest of a round of poke(). */
  #waiting: Runner[] = [];
  #timer: NodeJS.Timeout | undefined;
  #sleep = 1;
  #running = false;

  add(runner: Runner): void {
    this.#runners.add(runner);
    this.#soon();
  }

  remove(runner: Runner): void {
    this.#runners.delete(runner);
    if (this.#runners.size === 0) this.#stop();
  }

  /** One step of everything, or of a few where there are many; for memory accessors and barriers. */
  poke(): void {
    if (this.#runners.size === 0 || this.#running) return;
    this.#running = true;
    try {
      let more = this.#runners.size > stepsPerPoke;
      for (const runner of this.#turns()) more = runner.step() || more;
      if (more) this.#soon();
    } finally {
      this.#running = false;
    }
  }

  #turns(): Iterable<Runner> {
    if (this.#runners.size <= stepsPerPoke) return this.#runners;
    if (this.#waiting.length === 0) this.#waiting = [...this.#runners];
    // One that was removed in the meantime knows that, and does nothing.
    return this.#waiting.splice(-stepsPerPoke);
  }

  /** One step of one process element; for its own registers. */
  run(runner: Runner): void {
    if (this.#running || !this.#runners.has(runner)) return;
    this.#running = true;
    try {
      if (runner.step()) this.#soon();
    } finally {
      this.#running = false;
    }
  }

  /** Makes the next tick come in a millisecond rather than after a sleep. */
  wake(): void {
    if (this.#runners.size > 0) this.#soon();
  }

  #soon(): void {
    if (this.#timer !== undefined && this.#sleep === 1) return;
    this.#stop();
    this.#schedule();
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sleep = 1;
  }

  #schedule(): void {
    // A timer, not an immediate: an unreferenced immediate does not wake a sleeping loop.
    this.#timer = setTimeout(() => this.#tick(), this.#sleep).unref();
  }

  #tick(): void {
    this.#timer = undefined;
    const end = performance.now() + sliceOfTick;
    let more = true;
    this.#running = true;
    try {
      while (more && performance.now() < end) {
        more = false;
        for (const runner of this.#runners) more = runner.step() || more;
      }
    } finally {
      this.#running = false;
      if (this.#runners.size > 0 && this.#timer === undefined) {
        this.#sleep = more ? 1 : Math.min(this.#sleep * 2, longestSleep);
        this.#schedule();
      }
    }
  }
}
