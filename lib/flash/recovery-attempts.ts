/** How many recoveries in succession may not help. */
const MOST = 5;
/** Milliseconds: the first delay and the longest, which doubling reaches. */
const DELAYS = [10, 1000] as const;

/** When the recoveries of a queue begin: the first at once, those that follow it after a delay. */
export class RecoveryAttempts {
  readonly #recover: () => Promise<unknown>;
  /** Since a command completed, or the adapter was reset. */
  #made = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(recover: () => Promise<unknown>) {
    this.#recover = recover;
  }

  /** One begins after a delay. */
  get scheduled(): boolean {
    return this.#timer !== undefined;
  }

  /** As many as may be in succession have not helped. */
  get exhausted(): boolean {
    return this.#made === MOST;
  }

  /**
   * Has the context recovered: the first time at once if `atOnce`, else after a delay. Returns
   * whether it was at once.
   */
  begin(atOnce: boolean): boolean {
    this.#made += 1;
    if (this.#made === 1 && atOnce) {
      this.#run();
      return true;
    }
    const [first, longest] = DELAYS;
    const delay = Math.min(first * 2 ** (this.#made - 1), longest);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#run();
    }, delay);
    return false;
  }

  /** The one that is scheduled does not begin. */
  cancel(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** The next one is the first again: they have helped, or the commands were rejected. */
  startOver(): void {
    this.#made = 0;
  }

  #run(): void {
    // The queue's recoveryFailed() has been called when it fails.
    this.#recover().catch(() => undefined);
  }
}
