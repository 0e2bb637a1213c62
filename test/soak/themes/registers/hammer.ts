/** One thread's accesses to its registers: each is the value that was stored, or says what happened. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context, Cxl, ProblemState } from 'node-cxl';
import { ALL_ONES_64 } from '../../../../lib/shared/all-ones';
import { Violation } from '../../counts.mjs';
import type { Random } from '../../random.mjs';
import { isAlive, type Look, type Weather } from '../../weather';

/** A register that keeps what is stored to it (injection register VALUE). */
const VALUE = 0x1008;
/** Accesses in one turn of the event loop. */
const BURST = 50;
/** What opening and attaching may fail with while the device is disturbed. */
const CLOSED = ['ENOENT', 'ENODEV', 'EIO', 'EBUSY', 'EINVAL', 'ENXIO'];

export interface HammerOptions {
  system: Cxl;
  /** The path of the node: it changes when a card is plugged in again. */
  node: () => string;
  weather: Weather;
  random: Random;
  count: (name: string, number?: number) => void;
  over: () => boolean;
}

interface Opened {
  readonly context: Context;
  readonly regs: ProblemState;
  /** Before it was opened. */
  readonly look: Look;
  /** What the register may have: a store while the link is down may be lost, and so may a load's value. */
  readonly stored: Set<bigint>;
  /** A value has been loaded that this context stored; before, it may be another context's. */
  own: boolean;
}

export class Hammer {
  readonly #options: HammerOptions;
  readonly #one = new BigUint64Array(1);

  constructor(options: HammerOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { over, random } = this.#options;
    while (!over()) {
      const opened = await this.#open();
      if (opened === undefined) {
        await sleep(random.integer(1, 5));
        continue;
      }
      const { context } = opened;
      try {
        while (!over() && this.#burst(opened)) {
          await new Promise<void>((resolve) => setImmediate(resolve));
        }
      } finally {
        await context.close();
      }
    }
  }

  async #open(): Promise<Opened | undefined> {
    const { system, node, weather, random, count } = this.#options;
    const look = weather.look();
    let context: Context | undefined;
    try {
      context = await system.open(node());
      await context.attach({ wed: 0n, errFf: random.chance(0.3) });
      const regs = context.mapProblemState({ endian: random.pick(['big', 'little']) });
      count('contexts');
      return { context, regs, look, stored: new Set(), own: false };
    } catch (error) {
      await context?.close();
      const { code } = error as { code?: string };
      if (weather.calmSince(look) || !CLOSED.includes(code ?? '')) throw error;
      count(`open ${code}`);
      return undefined;
    }
  }

  /** False once the context may have been detached. */
  #burst(opened: Opened): boolean {
    const { weather } = this.#options;
    for (let i = 0; i < BURST; i += 1) this.#pair(opened);
    const now = weather.look();
    return isAlive(opened.look, now) || !now.calm;
  }

  /** Stores a value and loads it. */
  #pair(opened: Opened): void {
    const { weather, random, count } = this.#options;
    const before = weather.look();
    const { regs } = opened;
    const alive = isAlive(opened.look, before);
    const value = BigInt(random.integer(1, 2 ** 31));
    let loaded: bigint;
    opened.stored.add(value);
    try {
      loaded = random.chance(0.2) ? this.#block(regs, value) : this.#word(regs, value);
    } catch (error) {
      const { code } = error as { code?: string };
      if (code !== 'EIO') throw error;
      if (alive && weather.calmSince(before)) {
        throw new Violation(`an access failed while nothing was wrong: ${(error as Error).stack}`);
      }
      count('EIO');
      return;
    }
    if (loaded === value) {
      count('accesses', 2);
      // Without a link the simulated device keeps what is stored aside until the link is back.
      if (weather.calmSince(before)) {
        opened.own = true;
        opened.stored.clear();
        opened.stored.add(value);
      }
    } else if (alive && weather.calmSince(before)) {
      throw new Violation(`0x${value.toString(16)} was stored, 0x${loaded.toString(16)} loaded`);
    } else if (loaded === ALL_ONES_64) {
      count('all ones');
    } else if (loaded === 0n) {
      // The backing of the mapping went and came in between.
      count('zeros');
    } else if (opened.stored.has(loaded) || !opened.own) {
      count('earlier values');
    } else {
      throw new Violation(`0x${loaded.toString(16)} was never stored`);
    }
  }

  #word(regs: ProblemState, value: bigint): bigint {
    regs.write64(VALUE, value);
    return regs.read64(VALUE);
  }

  #block(regs: ProblemState, value: bigint): bigint {
    this.#one[0] = value;
    regs.writeBlock(VALUE, this.#one);
    this.#one[0] = 1n << 40n;
    regs.readBlock(VALUE, this.#one);
    return this.#one[0];
  }
}
