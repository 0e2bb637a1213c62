/**
 * What is being done to a device, so that whoever uses it knows what may happen: while it is calm
 * nothing may fail. Threads share it.
 */
const GENERATION = 0;
/** Disturbances that last. */
const LASTING = 1;
/** How often contexts that were attached have been detached. */
const DETACHES = 2;
const STOPPED = 3;

export interface Look {
  readonly calm: boolean;
  readonly generation: number;
  readonly detaches: number;
}

/** Whether a context that was opened at one look is attached at a later one: nothing has detached it. */
export function isAlive(opened: Look, now: Look): boolean {
  // One that was opened amid a disturbance may have been detached by it.
  return opened.calm && opened.detaches === now.detaches;
}

export class Weather {
  readonly #words: Int32Array;

  constructor(readonly buffer = new SharedArrayBuffer(16)) {
    this.#words = new Int32Array(buffer);
  }

  /** A disturbance begins; to be called before it does. `detaches`: contexts may be detached. */
  begin(detaches: boolean): void {
    Atomics.add(this.#words, LASTING, 1);
    if (detaches) Atomics.add(this.#words, DETACHES, 1);
    Atomics.add(this.#words, GENERATION, 1);
  }

  /** It has ended, with all that it did. */
  end(): void {
    Atomics.add(this.#words, GENERATION, 1);
    Atomics.sub(this.#words, LASTING, 1);
  }

  look(): Look {
    return {
      generation: Atomics.load(this.#words, GENERATION),
      calm: Atomics.load(this.#words, LASTING) === 0,
      detaches: Atomics.load(this.#words, DETACHES),
    };
  }

  /** Whether nothing was done to the device since that look. */
  calmSince(look: Look): boolean {
    return look.calm && this.look().generation === look.generation;
  }

  get stopped(): boolean {
    return Atomics.load(this.#words, STOPPED) === 1;
  }

  stop(): void {
    Atomics.store(this.#words, STOPPED, 1);
  }
}
