/**
 * Fault and latency injection: which operations fail, and how long calls take. Random choices
 * come from a seeded generator, so that a run can be repeated from its seed.
 */

import { originOf } from '../../emulation/origin';
import { checkArray, checkInteger, checkOptions, type OptionNames } from '../../shared/checks';
import { ERRNOS } from '../../shared/errno';
import { rangeError, valueError } from '../../shared/errors';
import {
  checkFault,
  type FaultCondition,
  type FaultName,
  type FaultPlace,
  type FaultSpec,
  fitsPlace,
  type RefusableCall,
} from './fault-spec';

/**
 * Calls that can be made slow. They take their time without blocking the event loop, so it counts
 * for asynchronous calls alone; of synchronous ones, attachSync() still fails with EBUSY where
 * attach() would.
 */
export const SLOW_CALLS = [
  'open',
  'open-card',
  'start-work',
  'close',
  'sysfs-read',
  'sysfs-write',
  'image-transfer',
] as const;

/**
 * A call that can be made slow.
 *
 * @useDeclaredType
 */
export type SlowCall = (typeof SLOW_CALLS)[number];

const SLOW_CALL_NAMES = Object.fromEntries(SLOW_CALLS.map((name) => [name, true])) as OptionNames<
  Record<SlowCall, Latency>
>;

/** Milliseconds, or a range of which each call takes a random value. */
export type Latency = number | readonly [minimum: number, maximum: number];

export interface FaultOptions {
  /**
   * Seed of the random generator, 0 to 2^32 - 1. Default: a random one, which is printed to
   * standard error if a fault or a latency is random.
   */
  readonly seed?: number | undefined;
  /** What fails from the start: as MockCxl.inject(). Default: nothing. */
  readonly faults?: readonly FaultSpec[] | undefined;
  /** How long calls take, in milliseconds. Default: no time. */
  readonly latency?: Partial<Record<SlowCall, Latency>> | undefined;
}

export const FAULT_OPTIONS: OptionNames<FaultOptions> = { seed: true, faults: true, latency: true };

/** A fault that has been injected. */
export interface InjectedFault {
  readonly spec: FaultSpec;
  /** How often it happened. */
  readonly happened: number;
  /** How many operations fit, those that succeeded first included. */
  readonly fitted: number;
  /** How often it still happens; Infinity: without limit. */
  readonly left: number;
  /** The stack of the call that injected it. */
  readonly origin: string;
  /** The only context that it is for. */
  readonly context: object | undefined;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

const NOWHERE: FaultPlace = {};

/** The faults and latencies in effect. */
export class Faults {
  readonly seed: number;
  readonly #injected: Mutable<InjectedFault>[] = [];
  /** Faults that are injected when the one before them has been used up. */
  readonly #next = new Map<InjectedFault, readonly FaultSpec[]>();
  readonly #latency: Partial<Record<SlowCall, Latency>>;
  #state: number;

  /** The options have passed checkFaultOptions(). */
  constructor(options: FaultOptions) {
    this.seed = options.seed ?? Math.floor(Math.random() * 2 ** 32);
    this.#state = this.seed;
    this.#latency = options.latency ?? {};
    for (const spec of options.faults ?? []) {
      this.inject([spec], originOf(Faults));
    }
    if (options.seed === undefined && this.#isRandom) {
      process.stderr.write(`node-cxl mock: seed ${this.seed} repeats this run's faults\n`);
    }
  }

  get #isRandom(): boolean {
    const ranges = Object.values(this.#latency).some((latency) => typeof latency !== 'number');
    return ranges || this.#injected.some(({ spec }) => spec.probability !== undefined);
  }

  /** Whether any fault has been injected: the places of operations matter only then. */
  get any(): boolean {
    return this.#injected.length > 0;
  }

  /** Injects the first fault; each of the others when the one before it has been used up. */
  inject(specs: readonly FaultSpec[], origin: string, context?: object): void {
    const [first, ...rest] = specs.map((spec) => checkFault(spec));
    if (first !== undefined) this.#inject(first, rest, origin, context);
  }

  #inject(
    spec: FaultSpec,
    rest: readonly FaultSpec[],
    origin: string,
    context: object | undefined,
  ): void {
    const left = spec.times ?? (spec.probability === undefined ? 1 : Number.POSITIVE_INFINITY);
    const fault = { spec, happened: 0, fitted: 0, left, origin, context };
    this.#injected.push(fault);
    if (rest.length > 0) this.#next.set(fault, rest);
    // `times` is 0.
    if (left === 0) this.#injectNext(fault);
  }

  /** Removes every fault of that name, or all. */
  clear(name?: FaultName): void {
    const kept = this.#injected.filter(({ spec }) => name !== undefined && spec.name !== name);
    this.#injected.splice(0, this.#injected.length, ...kept);
    for (const fault of this.#next.keys()) {
      if (!kept.includes(fault as Mutable<InjectedFault>)) this.#next.delete(fault);
    }
  }

  /** Faults that have not happened as often as they should, and those that wait for them. */
  pending(): Pick<InjectedFault, 'spec' | 'happened' | 'fitted' | 'origin'>[] {
    const waiting = [...this.#next].flatMap(([{ origin }, specs]) =>
      specs.map((spec) => ({ spec, happened: 0, fitted: 0, origin })),
    );
    const unused = this.#injected.filter(({ left, happened }) =>
      left === Number.POSITIVE_INFINITY ? happened === 0 : left > 0,
    );
    return [...unused, ...waiting];
  }

  /** Whether the condition occurs at this operation. */
  happens(name: FaultCondition, place: FaultPlace = NOWHERE): boolean {
    return this.any && this.#count(name, place) !== undefined;
  }

  /** 0, or the negative errno that this call fails with. */
  refusal(name: RefusableCall, place: FaultPlace = NOWHERE): number {
    if (!this.any) return 0;
    const spec = this.#count(name, place);
    return spec === undefined ? 0 : -ERRNOS[spec.errno ?? 'EIO'];
  }

  /** Milliseconds this operation takes. */
  delay(name: SlowCall): number {
    const latency = this.#latency[name];
    if (latency === undefined) return 0;
    if (typeof latency === 'number') return latency;
    const [minimum, maximum] = latency;
    return minimum + (maximum - minimum) * this.#random();
  }

  /**
   * Counts an operation. The fault that happens at it, if one does: of several the first injected,
   * and the others do not count the operation.
   */
  #count(name: FaultName, place: FaultPlace): FaultSpec | undefined {
    for (const fault of this.#injected) {
      const { spec } = fault;
      if (spec.name !== name || fault.left === 0 || !fitsPlace(spec, place)) continue;
      if (fault.context !== undefined && fault.context !== place.context) continue;
      fault.fitted += 1;
      if (fault.fitted <= (spec.after ?? 0)) continue;
      if (spec.probability !== undefined && this.#random() >= spec.probability) continue;
      fault.happened += 1;
      fault.left -= 1;
      if (fault.left === 0) this.#injectNext(fault);
      return spec;
    }
    return undefined;
  }

  #injectNext(fault: InjectedFault): void {
    const [first, ...rest] = this.#next.get(fault) ?? [];
    this.#next.delete(fault);
    if (first !== undefined) this.#inject(first, rest, fault.origin, fault.context);
  }

  /** Uniform in [0, 1), by the mulberry32 generator: the same sequence on every platform. */
  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

/** `name`: what errors name. */
export function checkFaultOptions({ seed, faults, latency }: FaultOptions, name: string): void {
  if (seed !== undefined) checkInteger(`${name}.seed`, seed, 0, 2 ** 32 - 1);
  for (const [index, spec] of checkArray(`${name}.faults`, faults ?? []).entries()) {
    checkFault(spec, `${name}.faults[${index}]`);
  }
  checkOptions(latency ?? {}, SLOW_CALL_NAMES, `${name}.latency`);
  for (const [call, value] of Object.entries(latency ?? {})) {
    if (value !== undefined) checkLatency(`${name}.latency.${call}`, value);
  }
}

function checkLatency(name: string, latency: Latency): void {
  const range = typeof latency === 'number' ? [latency, latency] : latency;
  const valid = Array.isArray(range) && range.length === 2;
  if (!valid || !range.every((value) => typeof value === 'number')) {
    throw valueError(name, 'a number, or [minimum, maximum]', latency);
  }
  for (const value of range) {
    if (!(value >= 0 && value <= 2 ** 31 - 1)) throw rangeError(name, 'from 0 to 2^31 - 1', value);
  }
  const [minimum, maximum] = range as [number, number];
  if (minimum > maximum) throw rangeError(name, 'with its minimum first', latency);
}
