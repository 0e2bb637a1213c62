/**
 * The target of the conformance suite, chosen by CXL_TARGET. Tests name what they need from a
 * target. One that the target lacks is skipped, and the reason is printed.
 */
import type { Cxl } from 'node-cxl';
import { it } from 'vitest';
import { maybeRecorded, replayTarget } from './support/recordings';

export type TargetName = 'mock' | 'simulated' | 'rig' | 'hardware' | 'pslse';

/** What a test may need beyond a memcpy AFU in AFU-directed mode. */
export type Need =
  /** The injection registers of test/README.md. */
  | 'injection'
  /** Of them, those that raise interrupts and data storage faults. */
  | 'event-injection'
  /** An AFU in dedicated mode (afu1.0). */
  | 'dedicated'
  /** A master context. */
  | 'master'
  /** Control of the device itself: its link, raw events, attributes. */
  | 'device-side'
  /** The bare-metal backend of the driver, or a model of it. */
  | 'bare-metal'
  /** The PowerVM guest backend of the driver, or a model of it. */
  | 'guest'
  /** The addon: memory is mapped by the kernel, and an access that faults raises SIGBUS. */
  | 'native'
  /** A card of CAIA 2, where the memcpy AFU copies at most 128 bytes. */
  | 'caia-2'
  /** Memory can be bound to a NUMA node. */
  | 'numa'
  /** mmap() supports MAP_HUGETLB. */
  | 'hugetlb'
  /** The processor is not emulated: the AFU's thread keeps up with the program's. */
  | 'real-time'
  /** Few enough process elements for a test to open all. */
  | 'few-processes'
  /** At least 32 process elements. */
  | 'many-processes'
  /** Descriptors, which can be adopted. */
  | 'descriptors';

/** Control of the device. */
export interface DeviceSide {
  /** Breaks the link to the card without the driver noticing. */
  freeze(card: number): Promise<void>;
  /** Breaks the link to the card, so that the driver notices. */
  linkDown(card: number): Promise<void>;
  /** Restores the link. */
  linkUp(card: number): Promise<void>;
  /** Makes one read() of the context return these bytes. */
  injectEventBytes(afu: string, processElement: number, bytes: Uint8Array): Promise<void>;
  /** Replaces the text of an attribute, or removes it (undefined). Returns a function that restores it. */
  overrideAttribute(path: string, text: string | undefined): Promise<() => Promise<void>>;
  /** Writes a text to an attribute, as an administrator does. Returns the code of the error. */
  writeAttribute(path: string, text: string): Promise<string | undefined>;
  /** Disables an AFU, or enables it again, as an in-kernel driver does for a moment. Not in a guest. */
  setEnabled(afu: string, enabled: boolean): Promise<void>;
  /** What is open on the device, to detect leaks. */
  usage(): Promise<{ files: number; attached: number; mappings: number }>;
}

export interface Target {
  readonly name: TargetName;
  readonly system: Cxl;
  /** A memcpy AFU in AFU-directed mode. */
  readonly afu: string;
  /** A memcpy AFU in dedicated mode. */
  readonly dedicatedAfu: string;
  /** The number of process elements of `afu`, with 'few-processes'. */
  readonly processes: number;
  readonly has: ReadonlySet<Need>;
  readonly device: DeviceSide;
}

const loaders: Record<TargetName | 'replay', () => Promise<Target>> = {
  mock: async () => (await import('./support/mock-target')).mockTarget(),
  simulated: async () => (await import('./support/simulated-target')).simulatedTarget(),
  rig: async () => (await import('./support/real-target')).rigTarget(),
  pslse: async () => (await import('./support/pslse-target')).pslseTarget(),
  hardware: async () => (await import('./support/real-target')).hardwareTarget(),
  replay: replayTarget,
};

const name = (process.env['CXL_TARGET'] ?? 'mock') as TargetName | 'replay';
const load = loaders[name];
if (load === undefined) throw new Error(`CXL_TARGET: no target '${name}'`);

/** The target of this run. */
export const target: Target = maybeRecorded(await load());

/** How much longer than elsewhere things may take: in a simulation each cycle of the clock is slow. */
export const slowness = target.name === 'pslse' ? 4 : 1;

/**
 * A test of the conformance suite, skipped where the target lacks one of its `needs`.
 * `timeout` in milliseconds.
 */
export function test(
  title: string,
  needs: readonly Need[],
  run: () => Promise<void> | void,
  timeout = 20_000,
): void {
  const limit = slowness * timeout;
  const missing = needs.filter((need) => !target.has.has(need));
  if (missing.length === 0) {
    it(title, run, limit);
    return;
  }
  // Every runner prints and counts a skipped test; its title says why.
  it.skip(`${title} [skipped on ${target.name}: needs ${missing.join(', ')}]`, run, limit);
}
