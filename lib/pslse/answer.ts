/**
 * What a call waits for: an answer that comes once. Calls are generators that yield the answers they
 * need, so that one description of a call serves a program that waits with `await` and one that
 * blocks its thread.
 */
import { realTimers } from '../emulation/real-timers';

/** Milliseconds: a timer of Node that is longer ends at once. */
export const MAX_TIMER = 2 ** 31 - 1;

export class Answer<T> {
  /** When the wait is over, by performance.now(). */
  #deadline: number;
  #value: T | undefined;
  #settled = false;
  #onSettle: (() => void)[] = [];
  readonly #late: () => T;

  /** `late` gives the value when `timeout` milliseconds have passed. */
  constructor(timeout: number, late: () => T) {
    this.#deadline = realTimers.now() + timeout;
    this.#late = late;
  }

  /** Milliseconds. */
  get left(): number {
    return this.#deadline - realTimers.now();
  }

  /** Waits no longer than so many milliseconds from now. */
  shorten(timeout: number): void {
    if (this.#settled || this.left <= timeout) return;
    this.#deadline = realTimers.now() + timeout;
    const timer = realTimers.setTimeout(() => this.expire(), timeout);
    timer.unref();
    this.#onSettle.push(() => realTimers.clearTimeout(timer));
  }

  get settled(): boolean {
    return this.#settled;
  }

  get value(): T {
    return this.#value as T;
  }

  /** The first value counts. */
  settle(value: T): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#value = value;
    for (const callback of this.#onSettle.splice(0)) callback();
  }

  /** Calls back when the value is there. */
  onSettle(callback: () => void): void {
    if (this.#settled) callback();
    else this.#onSettle.push(callback);
  }

  expire(): void {
    if (!this.#settled) this.settle(this.#late());
  }

  /** Keeps the process alive until then. */
  async wait(): Promise<void> {
    if (this.#settled) return;
    await new Promise<void>((resolve) => {
      const milliseconds = Math.min(Math.max(this.left, 0), MAX_TIMER);
      const timer = realTimers.setTimeout(() => this.expire(), milliseconds);
      this.#onSettle.push(() => {
        realTimers.clearTimeout(timer);
        resolve();
      });
    });
  }
}

/** A call: yields what it waits for, and returns its result. */
export type Call<R> = Generator<Answer<unknown>, R, void>;

/** Yields until the answer is there. */
export function* awaited<T>(answer: Answer<T>): Call<T> {
  if (!answer.settled) yield answer as Answer<unknown>;
  return answer.value;
}

/** Makes a call without blocking the thread. */
export async function callAsync<R>(call: Call<R>): Promise<R> {
  for (;;) {
    const step = call.next();
    if (step.done) return step.value;
    await step.value.wait();
  }
}
