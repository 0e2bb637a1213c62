/**
 * One turn of a theme: it runs epochs until the time is over. At the end of each nothing is open,
 * and the process holds what it held after the first. The first violation ends it.
 */
import type { Cxl } from 'node-cxl';
import { type MockCard, type MockCxl, mockOf } from 'node-cxl/mock';
import type { Target } from '../conformance/target';
import { Counts, Violation } from './counts.mjs';
import { checkLeaks, mappedMemory, settled, summary } from './leaks.mjs';
import { Random } from './random.mjs';

/** A sanitizer or valgrind: all is slow, and freed memory is kept back. */
const TOOL = process.env['SOAK_UNDER'];
/** Milliseconds after which a call counts as hung. */
const HUNG = TOOL === undefined ? 30_000 : 300_000;
/** Milliseconds of an epoch. */
const EPOCH = 5_000;
/** Counts in a line of progress. */
const SHOWN = 8;
/** Epochs before the state to compare with: they fill heaps and caches. */
const WARM_UP = 2;

export type SoakTarget = 'mock' | 'simulated' | 'rig';

export interface TurnOptions {
  target: SoakTarget;
  seed: number;
  milliseconds: number;
}

export interface Theme {
  readonly name: string;
  /** Works until the turn is over, and closes everything. */
  run(turn: Turn): Promise<void>;
}

export interface Report {
  theme: string;
  target: string;
  seed: number;
  seconds: number;
  outcome: 'ok' | 'violation';
  violation: string | undefined;
  counts: Record<string, number>;
  before: Record<string, number> | undefined;
  after: Record<string, number> | undefined;
}

/** What a theme works with. */
export class Turn {
  readonly random: Random;
  readonly counts = new Counts();
  readonly seed: number;
  readonly targetName: SoakTarget;
  readonly target: Target;
  #end = 0;
  #failure: unknown;
  readonly #underWay = new Map<symbol, { begin: number; what: string }>();

  constructor(target: Target, { seed, target: targetName }: TurnOptions) {
    this.target = target;
    this.targetName = targetName;
    this.seed = seed;
    this.random = new Random(seed);
  }

  get system(): Cxl {
    return this.target.system;
  }

  /** The node of the AFU. A card of the mock may have another number when it is plugged in again. */
  get node(): string {
    return nodeOf(this.targetName === 'mock' ? mockOf(this.system) : undefined, this.target.afu);
  }

  /** The epoch is over, or something has gone wrong. */
  get over(): boolean {
    return this.#failure !== undefined || performance.now() >= this.#end;
  }

  /** Awaits a call, which must settle within HUNG. */
  async call<T>(what: string, promise: Promise<T>): Promise<T> {
    const key = Symbol(what);
    this.#underWay.set(key, { begin: performance.now(), what });
    try {
      return await promise;
    } finally {
      this.#underWay.delete(key);
    }
  }

  /** As call(): the code it fails with, one of `allowed`; undefined when it succeeds. Both are counted. */
  async code(
    what: string,
    promise: Promise<unknown>,
    allowed: readonly string[],
  ): Promise<string | undefined> {
    try {
      await this.call(what, promise);
      this.counts.add(what);
      return undefined;
    } catch (error) {
      return this.expected(what, error, allowed);
    }
  }

  /** The code of an error; a violation unless it is one of `allowed`. */
  expected(what: string, error: unknown, allowed: readonly string[]): string {
    if (error instanceof Violation) throw error;
    const { code } = error as { code?: string };
    if (code === undefined || !allowed.includes(code)) {
      throw new Violation(
        `${what} failed with ${code ?? 'an error without a code'}; expected ${allowed.join(', ') || 'success'}: ${(error as Error).stack}`,
      );
    }
    this.counts.add(`${what} ${code}`);
    return code;
  }

  /** A call that must fail with this code. */
  refused(what: string, code: string, run: () => unknown): void {
    try {
      run();
    } catch (error) {
      this.expected(what, error, [code]);
      return;
    }
    throw new Violation(`${what} succeeded; expected ${code}`);
  }

  check(condition: unknown, what: string): void {
    if (!condition) throw new Violation(what);
  }

  /** Runs these side by side until each has ended; the first failure ends the epoch. */
  async lanes(all: readonly (() => Promise<void>)[]): Promise<void> {
    await Promise.all(
      all.map(async (lane) => {
        try {
          await lane();
        } catch (error) {
          this.fail(error);
        }
      }),
    );
    if (this.#failure !== undefined) throw this.#failure;
  }

  fail(error: unknown): void {
    this.#failure ??= error;
  }

  /** @internal */
  async epoch(theme: Theme, milliseconds: number): Promise<void> {
    this.#end = performance.now() + milliseconds;
    let watchdog: NodeJS.Timeout | undefined;
    const failed = new Promise<never>((_, reject) => {
      watchdog = setInterval(() => {
        const now = performance.now();
        for (const { begin, what } of this.#underWay.values()) {
          if (now - begin < HUNG) continue;
          this.fail(new Violation(`hangs for ${Math.round(now - begin)} ms: ${what}`));
        }
        // Lanes that hang would keep the epoch from ending.
        if (this.#failure !== undefined && now > this.#end + HUNG) reject(this.#failure);
        if (now > this.#end + 2 * HUNG) reject(new Violation('the epoch does not end'));
      }, 500);
    });
    try {
      await Promise.race([theme.run(this), failed]);
    } finally {
      clearInterval(watchdog);
    }
    if (this.#failure !== undefined) throw this.#failure;
    this.check(this.#underWay.size === 0, 'promises are pending at the end of an epoch');
    await this.#checkDevice();
    this.counts.add('epochs');
  }

  /** Nothing is open on the device, and no memory is left. */
  async #checkDevice(): Promise<void> {
    // The driver does not tell.
    if (this.targetName === 'rig') return;
    let text = '';
    for (let attempt = 0; attempt < 50; attempt += 1) {
      const usage = await this.target.device.usage();
      text = JSON.stringify(usage);
      if (Object.values(usage).every((number) => number === 0)) break;
      text = `left on the device: ${text}`;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    this.check(!text.startsWith('left'), text);
    globalThis.gc?.();
    if (this.targetName === 'mock') {
      this.check(mockOf(this.system).counters.bytes === 0, 'memory of the mock is left');
    } else {
      // Node gives the bytes of a buffer back in a later turn of the event loop.
      for (let attempt = 0; attempt < 50 && mappedMemory() > 0; attempt += 1) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        globalThis.gc?.();
      }
      this.check(mappedMemory() === 0, `${mappedMemory()} bytes of memory are mapped`);
    }
  }
}

/** The node of a mock's first AFU; of `afu` where that is gone, or without a mock. */
export function nodeOf(mock: MockCxl | undefined, afu: string): string {
  const card = mock?.card(0);
  const name = card === undefined ? undefined : nameOf(card);
  return `/dev/cxl/${name ?? afu}s`;
}

/** Undefined while the driver has no such AFU. */
function nameOf(card: MockCard): string | undefined {
  try {
    return card.afu(0).name;
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_INVALID_STATE') return undefined;
    throw error;
  }
}

/** Runs a theme to its end, or to its first violation, which the report has. */
export async function runTheme(
  theme: Theme,
  target: Target,
  options: TurnOptions,
  progress: (line: string) => void,
): Promise<Report> {
  const turn = new Turn(target, options);
  const begin = performance.now();
  const seconds = () => Math.round((performance.now() - begin) / 1000);
  for (const event of ['uncaughtException', 'unhandledRejection']) {
    process.on(event, (error) => turn.fail(new Violation(`${event}: ${error?.stack ?? error}`)));
  }
  const timer = setInterval(
    () => progress(`${seconds()} s: ${turn.counts.text('', SHOWN)}`),
    5_000,
  );
  timer.unref();
  let before: Awaited<ReturnType<typeof settled>> | undefined;
  let after: Awaited<ReturnType<typeof settled>> | undefined;
  let violation: string | undefined;
  const { milliseconds } = options;
  // What the collector has not looked at yet cannot be told from what is kept.
  const memory = TOOL === undefined && globalThis.gc !== undefined;
  const epoch = Math.min(EPOCH, milliseconds / (WARM_UP + 2));
  try {
    for (let number = 1; performance.now() - begin < milliseconds || number <= WARM_UP + 1; ) {
      await turn.epoch(theme, epoch);
      if (number === WARM_UP) before = await settled();
      else if (before !== undefined) after = await checkLeaks(before, { memory });
      number += 1;
    }
  } catch (error) {
    violation = (error as Error)?.stack ?? String(error);
    for (const event of turn.counts.events) progress(event);
  } finally {
    clearInterval(timer);
  }
  return {
    theme: theme.name,
    target: options.target,
    seed: options.seed,
    seconds: seconds(),
    outcome: violation === undefined ? 'ok' : 'violation',
    violation,
    counts: turn.counts.all(),
    before: before && summary(before),
    after: after && summary(after),
  };
}
