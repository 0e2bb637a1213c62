/**
 * Decides when AFU models do their work. They take a step whenever the program accesses registers
 * or memory or calls memoryBarrier(), and otherwise by a timer, which does not keep the Node
 * process alive.
 */

import { realTimers } from '../../emulation/real-timers';

/** What takes steps: a process element. */
export interface Runner {
  /** Does some of the pending work. True when there is more to do at once. */
  step(): boolean;
}

/** How long a tick of the timer may take, in milliseconds, so that the program's callbacks run. */
const TICK_DURATION = 4;
/** The longest time between two ticks when no AFU has work, in milliseconds. */
const MAX_SLEEP = 16;
/** How many process elements take a step at one access. */
const STEPS_PER_POKE = 16;

export class Scheduler {
  readonly #runners = new Set<Runner>();
  /** Those that have not had a step yet since all of them last had one by poke(). */
  #waiting: Runner[] = [];
  #timer: NodeJS.Timeout | undefined;
  #sleep = 1;
  #running = false;

  add(runner: Runner): void {
    this.#runners.add(runner);
    this.#tickSoon();
  }

  remove(runner: Runner): void {
    this.#runners.delete(runner);
    if (this.#runners.size === 0) this.#stop();
  }

  /** A step of all runners, or of STEPS_PER_POKE in rotation: at an access to memory, or a barrier. */
  poke(): void {
    if (this.#runners.size === 0 || this.#running) return;
    this.#running = true;
    try {
      let more = this.#runners.size > STEPS_PER_POKE;
      for (const runner of this.#nextRunners()) more = runner.step() || more;
      if (more) this.#tickSoon();
    } finally {
      this.#running = false;
    }
  }

  #nextRunners(): Iterable<Runner> {
    if (this.#runners.size <= STEPS_PER_POKE) return this.#runners;
    if (this.#waiting.length === 0) this.#waiting = [...this.#runners];
    // A runner that was removed meanwhile does nothing in its step.
    return this.#waiting.splice(-STEPS_PER_POKE);
  }

  /** A step of one runner: at an access to its registers. */
  run(runner: Runner): void {
    if (this.#running || !this.#runners.has(runner)) return;
    this.#running = true;
    try {
      if (runner.step()) this.#tickSoon();
    } finally {
      this.#running = false;
    }
  }

  /** Makes the next tick come in a millisecond. */
  wake(): void {
    if (this.#runners.size > 0) this.#tickSoon();
  }

  #tickSoon(): void {
    if (this.#timer !== undefined && this.#sleep === 1) return;
    this.#stop();
    this.#schedule();
  }

  #stop(): void {
    realTimers.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sleep = 1;
  }

  #schedule(): void {
    // Not setImmediate(): an unreferenced immediate does not wake an event loop that waits.
    this.#timer = realTimers.setTimeout(() => this.#tick(), this.#sleep).unref();
  }

  #tick(): void {
    this.#timer = undefined;
    const end = realTimers.now() + TICK_DURATION;
    let more = true;
    this.#running = true;
    try {
      while (more && realTimers.now() < end) {
        more = false;
        for (const runner of this.#runners) more = runner.step() || more;
      }
    } finally {
      this.#running = false;
      if (this.#runners.size > 0 && this.#timer === undefined) {
        this.#sleep = more ? 1 : Math.min(this.#sleep * 2, MAX_SLEEP);
        this.#schedule();
      }
    }
  }
}
