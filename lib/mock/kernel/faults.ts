/**
 * Fault and latency injection: which operations fail, and how long calls take. Random choices
 * come from a seeded generator, so that a run can be repeated from its seed.
 */
import {
  checkArray,
  checkInteger,
  checkOneOf,
  checkOptions,
  type OptionNames,
} from '../../shared/checks';
import { ERRNOS, type ErrnoName } from '../../shared/errno';
import { rangeError, valueError } from '../../shared/errors';

/** Calls that can be made to fail with an errno. */
export const REFUSABLE_CALLS = [
  'open',
  'open-card',
  'adopt',
  'start-work',
  'process-element',
  'afu-id',
  'map',
  'read',
  'close',
  'allocate',
  'sysfs-read',
  'sysfs-write',
  'image-transfer',
] as const;

/** Conditions that can be injected. Each has an effect of its own rather than an errno. */
export const FAULT_CONDITIONS = [
  /** An MMIO access faults (SIGBUS). Counted per access. */
  'mmio',
  /** An MMIO load reads as all ones; a store is lost. Counted per access. */
  'all-ones',
  /** At an MMIO access, the link goes down. */
  'link-down',
  /** At an MMIO access, all contexts of the AFU are detached. */
  'detach-all',
  /** At an MMIO access, the card leaves its slot. */
  'unplug',
  /** An AFU's access to memory cannot be translated. Counted per access. */
  'translation',
  /**
   * The accelerator does not give up a process element as its context is detached: the driver goes
   * on, and so does the AFU (MockAfu.keptElements). Counted per detach from an AFU-directed AFU.
   */
  'detach',
  /** An AFU interrupt is lost. Counted per interrupt. */
  'lost-interrupt',
  /** An event cannot be copied to the reader: it is lost, and the read fails with EFAULT. */
  'copy',
  /** No descriptor is free: open fails with EMFILE. */
  'descriptors',
] as const;

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

const SLOW_CALL_NAMES = Object.fromEntries(SLOW_CALLS.map((name) => [name, true])) as OptionNames<
  Record<SlowCall, Latency>
>;

export type RefusableCall = (typeof REFUSABLE_CALLS)[number];
export type FaultCondition = (typeof FAULT_CONDITIONS)[number];
export type SlowCall = (typeof SLOW_CALLS)[number];
export type FaultName = RefusableCall | FaultCondition;

export interface FaultSpec {
  readonly name: FaultName;
  /** The errno a call fails with. Default 'EIO'. Not for conditions such as 'link-down'. */
  readonly errno?: ErrnoName | undefined;
  /** How many operations of that kind succeed first. Default 0. */
  readonly after?: number | undefined;
  /** How often it happens at most. Default 1; without limit if a probability is given. */
  readonly times?: number | undefined;
  /** Probability for each operation, 0 to 1. Default 1. */
  readonly probability?: number | undefined;
}
const FAULT_SPEC: OptionNames<FaultSpec> = {
  name: true,
  errno: true,
  after: true,
  times: true,
  probability: true,
};

/** Milliseconds, or a range of which each call takes a random value. */
export type Latency = number | readonly [minimum: number, maximum: number];

export interface FaultOptions {
  /**
   * Seed of the random generator, 0 to 2^32 - 1. Default: a random one, which is printed to
   * standard error if a fault or a latency is random.
   */
  readonly seed?: number | undefined;
  readonly faults?: readonly FaultSpec[] | undefined;
  /** How long calls take, in milliseconds. Default: no time. */
  readonly latency?: Partial<Record<SlowCall, Latency>> | undefined;
}
export const FAULT_OPTIONS: OptionNames<FaultOptions> = { seed: true, faults: true, latency: true };

interface Armed {
  readonly spec: FaultSpec;
  left: number;
  toSkip: number;
}

/** The faults and latencies in effect. */
export class Faults {
  readonly seed: number;
  readonly #armed: Armed[] = [];
  readonly #latency: Partial<Record<SlowCall, Latency>>;
  #state: number;

  constructor(options: FaultOptions) {
    this.seed = options.seed ?? Math.floor(Math.random() * 2 ** 32);
    checkInteger('options.seed', this.seed, 0, 2 ** 32 - 1);
    this.#state = this.seed;
    this.#latency = options.latency ?? {};
    checkOptions(this.#latency, SLOW_CALL_NAMES, 'options.latency');
    for (const [call, value] of Object.entries(this.#latency)) checkLatency(call, value);
    for (const spec of checkArray('options.faults', options.faults ?? [])) this.inject(spec);
    if (options.seed === undefined && this.#isRandom) {
      process.stderr.write(`node-cxl mock: seed ${this.seed} repeats this run's faults\n`);
    }
  }

  get #isRandom(): boolean {
    const ranges = Object.values(this.#latency).some((latency) => typeof latency !== 'number');
    return ranges || this.#armed.some(({ spec }) => spec.probability !== undefined);
  }

  /** Arms a fault; counting starts now. */
  inject(spec: FaultSpec): void {
    checkFault(spec);
    const left = spec.times ?? (spec.probability === undefined ? 1 : Number.POSITIVE_INFINITY);
    this.#armed.push({ spec, left, toSkip: spec.after ?? 0 });
  }

  /** Disarms every fault of that name, or all. */
  clear(name?: FaultName): void {
    const kept = name === undefined ? [] : this.#armed.filter(({ spec }) => spec.name !== name);
    this.#armed.splice(0, this.#armed.length, ...kept);
  }

  /** Whether the condition occurs at this operation. */
  happens(name: FaultCondition): boolean {
    return this.#armed.length > 0 && this.#next(name) !== undefined;
  }

  /** 0, or the negative errno that this call fails with. */
  refusal(name: RefusableCall): number {
    if (this.#armed.length === 0) return 0;
    const spec = this.#next(name);
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

  /** Counts an operation. The fault that happens at it, if one does. */
  #next(name: FaultName): FaultSpec | undefined {
    for (const fault of this.#armed) {
      if (fault.spec.name !== name || fault.left === 0) continue;
      if (fault.toSkip > 0) {
        fault.toSkip -= 1;
        continue;
      }
      if (fault.spec.probability !== undefined && this.#random() >= fault.spec.probability) {
        continue;
      }
      fault.left -= 1;
      return fault.spec;
    }
    return undefined;
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

function checkFault(spec: FaultSpec): void {
  checkOptions(spec, FAULT_SPEC, 'fault');
  checkOneOf('fault.name', spec.name, [...REFUSABLE_CALLS, ...FAULT_CONDITIONS]);
  if (spec.errno !== undefined) {
    if (!Object.hasOwn(ERRNOS, spec.errno))
      throw valueError('fault.errno', "a name such as 'EIO'", spec.errno);
    if ((FAULT_CONDITIONS as readonly string[]).includes(spec.name)) {
      throw valueError('fault.errno', `absent: '${spec.name}' has its own effect`, spec.errno);
    }
  }
  checkNumber('fault.after', spec.after, Number.MAX_SAFE_INTEGER);
  checkNumber('fault.times', spec.times, Number.POSITIVE_INFINITY);
  checkNumber('fault.probability', spec.probability, 1);
}

function checkLatency(call: string, latency: Latency): void {
  const range = typeof latency === 'number' ? [latency] : latency;
  if (!Array.isArray(range) || (typeof latency !== 'number' && range.length !== 2)) {
    throw valueError(`latency of '${call}'`, 'a number, or [minimum, maximum]', latency);
  }
  for (const value of range) checkNumber(`latency of '${call}'`, value ?? Number.NaN, 2 ** 31 - 1);
}

function checkNumber(name: string, value: number | undefined, maximum: number): void {
  if (value === undefined) return;
  if (typeof value !== 'number' || !(value >= 0) || value > maximum) {
    throw rangeError(name, `from 0 to ${maximum}`, value);
  }
}
