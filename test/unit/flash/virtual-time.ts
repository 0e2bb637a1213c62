/** Timers and the clock, for code that takes them from the global object: time passes when told. */
interface Timer {
  due: number;
  readonly every: number | undefined;
  readonly run: () => void;
}

export class VirtualTime {
  now = 0;
  readonly #timers = new Set<Timer>();
  #immediates: (() => void)[] = [];

  /** Runs `use` with these timers in place of the real ones. */
  async during<T>(use: () => Promise<T>): Promise<T> {
    const replaced = {
      setTimeout: (run: () => void, delay = 0) => this.#add(run, delay, undefined),
      setInterval: (run: () => void, delay = 0) => this.#add(run, delay, delay),
      setImmediate: (run: () => void) => void this.#immediates.push(run),
      clearTimeout: (timer: Timer | undefined) => void this.#timers.delete(timer as Timer),
      clearInterval: (timer: Timer | undefined) => void this.#timers.delete(timer as Timer),
      performance: { now: () => this.now },
    };
    const names = Object.keys(replaced) as (keyof typeof replaced)[];
    const real = names.map((name) => Object.getOwnPropertyDescriptor(globalThis, name)!);
    for (const name of names) {
      Object.defineProperty(globalThis, name, {
        value: replaced[name],
        configurable: true,
        writable: true,
      });
    }
    try {
      return await use();
    } finally {
      for (const [index, name] of names.entries()) {
        Object.defineProperty(globalThis, name, real[index]!);
      }
    }
  }

  get timers(): number {
    return this.#timers.size;
  }

  /** One turn of the event loop, after so many milliseconds. */
  pass(milliseconds: number): void {
    const end = this.now + milliseconds;
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.due <= end);
      const next = due.sort((one, other) => one.due - other.due)[0];
      if (next === undefined) break;
      this.now = Math.max(this.now, next.due);
      if (next.every === undefined) this.#timers.delete(next);
      else next.due += next.every;
      next.run();
    }
    this.now = end;
    const immediates = this.#immediates;
    this.#immediates = [];
    for (const run of immediates) run();
  }

  #add(run: () => void, delay: number, every: number | undefined): Timer {
    const timer = { due: this.now + Math.max(1, delay), every, run };
    this.#timers.add(timer);
    return timer;
  }
}
