interface Pending {
  /** When, by the clock of performance.now(), which a test may have replaced by a fake one. */
  readonly due: number;
  readonly action: () => void;
}

/**
 * What the driver and the card do after some time. It happens on the event loop and, because that
 * stands still meanwhile, in a call of the program that blocks. It does not keep the process alive.
 */
export class Timers {
  readonly #pending = new Map<NodeJS.Timeout, Pending>();

  /** Calls `action` after so many milliseconds, unless the returned function is called before. */
  after(milliseconds: number, action: () => void): () => void {
    const timer = setTimeout(() => this.#run(timer), milliseconds).unref();
    this.#pending.set(timer, { due: performance.now() + milliseconds, action });
    return () => this.#take(timer);
  }

  /** Runs what is due, in its order. */
  runDue(): void {
    if (this.#pending.size === 0) return;
    const now = performance.now();
    const due = [...this.#pending].filter(([, pending]) => pending.due <= now);
    due.sort(([, a], [, b]) => a.due - b.due);
    for (const [timer] of due) this.#run(timer);
  }

  #run(timer: NodeJS.Timeout): void {
    this.#take(timer)?.action();
  }

  #take(timer: NodeJS.Timeout): Pending | undefined {
    const pending = this.#pending.get(timer);
    this.#pending.delete(timer);
    clearTimeout(timer);
    return pending;
  }
}
