/**
 * Fault and latency injection: what goes wrong, when, and how slowly, decided by a seeded
 * generator so that a run can be repeated from its seed.
 */
import { type ErrnoName, errnos } from '../../shared/errno';
import { rangeError, valueError } from '../../shared/errors';

/** Calls that can be made to fail with an errno. */
export const refusableCalls = [
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

/** Things that can go wrong without a call failing of itself. */
export const mishaps = [
  /** An MMIO access faults (SIGBUS). Counted per access. */
  'mmio',
  /** An MMIO load gives all ones, a store is lost. Counted per access. */
  'all-ones',
  /** At an MMIO access, the link goes down. */
  'link-down',
  /** At an MMIO access, all contexts of the AFU are detached. */
  'detach-all',
  /** At an MMIO access, the card leaves its slot. */
  'unplug',
  /** An AFU's access to memory cannot be translated. Counted per access. */
  'translation',
  /** An AFU interrupt is lost on its way. Counted per interrupt. */
  'lost-interrupt',
  /** An event cannot be copied to the reader: it is lost, and read fails with EFAULT. */
  'copy',
  /** No descriptor is free: open fails with EMFILE. */
  'descriptors',
] as const;

/** Calls that can be made slow. The rest are answered by the kernel at once. */
export const slowCalls = [
  'open',
  'open-card',
  'start-work',
  'close',
  'sysfs-read',
  'sysfs-write',
  'image-transfer',
  /** Each MMIO access, which blocks the thread, as a slow card does. */
  'mmio',
] as const;

export type RefusableCall = (typeof refusableCalls)[number];
export type Mishap = (typeof mishaps)[number];
export type SlowCall = (typeof slowCalls)[number];
export type FaultName = RefusableCall | Mishap;

export interface FaultSpec {
  readonly name: FaultName;
  /** What a refused call answers. Default 'EIO'. Not for mishaps. */
  readonly errno?: ErrnoName;
  /** Operations of that kind to let through first. Default 0: at once. */
  readonly after?: number;
  /** How often it happens at most. Default 1, or without limit where a probability is given. */
  readonly times?: number;
  /** Chance of each operation, 0 to 1. Default 1. */
  readonly probability?: number;
}

/** Milliseconds, or a range to draw from. */
export type Latency = number | readonly [minimum: number, maximum: number];

export interface FaultOptions {
  /** Seed of every chance taken, 0 to 2^32-1. Without one it is random, and printed where it matters. */
  readonly seed?: number | undefined;
  readonly faults?: readonly FaultSpec[] | undefined;
  /** How long calls take. */
  readonly latency?: Partial<Record<SlowCall, Latency>> | undefined;
}

interface Armed {
  readonly spec: FaultSpec;
  left: number;
  toSkip: number;
}

const sleepCell = new Int32Array(new SharedArrayBuffer(4));

/** Blocks the thread, as a call that takes so long would. */
export function block(milliseconds: number): void {
  if (milliseconds > 0) Atomics.wait(sleepCell, 0, 0, milliseconds);
}

export class Faults {
  readonly seed: number;
  readonly #armed: Armed[] = [];
  readonly #latency: Partial<Record<SlowCall, Latency>>;
  #state: number;

  constructor(options: FaultOptions) {
    this.seed = options.seed ?? Math.floor(Math.random() * 2 ** 32);
    if (!Number.isInteger(this.seed) || this.seed < 0 || this.seed >= 2 ** 32) {
      throw rangeError('seed', 'an integer from 0 to 2^32 - 1', options.seed);
    }
    this.#state = this.seed;
    this.#latency = options.latency ?? {};
    for (const [call, value] of Object.entries(this.#latency)) checkLatency(call, value);
    for (const spec of options.faults ?? []) this.inject(spec);
    if (options.seed === undefined && this.#takesChances) {
      process.stderr.write(`node-cxl mock: seed ${this.seed} repeats this run's faults\n`);
    }
  }

  get #takesChances(): boolean {
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

  /** Whether the mishap happens at this operation. */
  happens(name: Mishap): boolean {
    return this.#armed.length > 0 && this.#strike(name) !== undefined;
  }

  /** 0, or the negative errno this call is to answer. */
  refusal(name: RefusableCall): number {
    if (this.#armed.length === 0) return 0;
    const spec = this.#strike(name);
    return spec === undefined ? 0 : -errnos[spec.errno ?? 'EIO'];
  }

  /** Milliseconds this operation takes. */
  delay(name: SlowCall): number {
    const latency = this.#latency[name];
    if (latency === undefined) return 0;
    if (typeof latency === 'number') return latency;
    const [minimum, maximum] = latency;
    return minimum + (maximum - minimum) * this.#random();
  }

  /** Blocks the thread for as long as this operation takes. */
  pause(name: SlowCall): void {
    block(this.delay(name));
  }

  #strike(name: FaultName): FaultSpec | undefined {
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

  /** Uniform in [0, 1): the mulberry32 generator, enough for choosing and repeatable anywhere. */
  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

function checkFault(spec: FaultSpec): void {
  const names: readonly string[] = [...refusableCalls, ...mishaps];
  if (!names.includes(spec?.name)) throw valueError('fault.name', names.join(', '), spec?.name);
  if (spec.errno !== undefined) {
    if (!(spec.errno in errnos))
      throw valueError('fault.errno', "a name such as 'EIO'", spec.errno);
    if ((mishaps as readonly string[]).includes(spec.name)) {
      throw valueError('fault.errno', `absent: '${spec.name}' has its own effect`, spec.errno);
    }
  }
  checkNumber('fault.after', spec.after, Number.MAX_SAFE_INTEGER);
  checkNumber('fault.times', spec.times, Number.POSITIVE_INFINITY);
  checkNumber('fault.probability', spec.probability, 1);
}

function checkLatency(call: string, latency: Latency): void {
  if (!(slowCalls as readonly string[]).includes(call)) {
    throw valueError('latency', `an object of ${slowCalls.join(', ')}`, call);
  }
  const range = typeof latency === 'number' ? [latency] : latency;
  for (const value of range) checkNumber(`latency of '${call}'`, value, 2 ** 31 - 1);
}

function checkNumber(name: string, value: number | undefined, maximum: number): void {
  if (value === undefined) return;
  if (typeof value !== 'number' || !(value >= 0) || value > maximum) {
    throw rangeError(name, `from 0 to ${maximum}`, value);
  }
}
