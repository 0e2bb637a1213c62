/**
 * What the conformance suite runs on, picked by CXL_TARGET. This is the one place that knows
 * how the targets differ; a test names what it needs and is skipped, with the reason printed,
 * where that cannot be had.
 */
import type { Cxl } from 'node-cxl';
import { it } from 'vitest';

export type TargetName = 'mock' | 'simulated' | 'rig' | 'hardware';

/** What a test may need beyond a memcpy AFU in AFU-directed mode. */
export type Need =
  /** The provoke block of test/README.md. */
  | 'provoke'
  /** An AFU in dedicated mode (afu1.0). */
  | 'dedicated'
  /** A master context. */
  | 'master'
  /** The device side can be driven from outside: link, unplug, raw events, attributes. */
  | 'device-side'
  /** The bare-metal backend of the driver, or a model of it. */
  | 'bare-metal'
  /** The PowerVM guest backend of the driver, or a model of it. */
  | 'guest'
  /** Mappings are the processor's own, so that a fault is a true SIGBUS. */
  | 'native'
  /** A card of CAIA 2, whose memcpy AFU copies less. */
  | 'caia-2'
  /** Memory can be bound to a NUMA node. */
  | 'numa'
  /** mmap() knows MAP_HUGETLB. */
  | 'hugetlb'
  /** Few enough process elements to use up. */
  | 'few-processes';

/** The device, driven from its own side. */
export interface DeviceSide {
  /** The link breaks, and the driver has not noticed yet. */
  freeze(card: number): Promise<void>;
  /** The link is down, and the driver knows. */
  linkDown(card: number): Promise<void>;
  linkUp(card: number): Promise<void>;
  /** Makes one read() of the context answer these bytes. */
  injectEventBytes(afu: string, processElement: number, bytes: Uint8Array): Promise<void>;
  /** Replaces an attribute's text, or removes it (undefined); answers what undoes that. */
  overrideAttribute(path: string, text: string | undefined): Promise<() => Promise<void>>;
  /** What is open on the device now, for leak checks. */
  usage(): Promise<{ files: number; attached: number; mappings: number }>;
}

export interface Target {
  readonly name: TargetName;
  readonly system: Cxl;
  /** An AFU in AFU-directed mode that is the memcpy AFU. */
  readonly afu: string;
  /** The same in dedicated mode. */
  readonly dedicatedAfu: string;
  /** Process elements of `afu` where 'few-processes' holds. */
  readonly processes: number;
  readonly has: ReadonlySet<Need>;
  readonly device: DeviceSide;
}

const loaders: Record<TargetName, () => Promise<Target>> = {
  mock: async () => (await import('./support/mock-target')).mockTarget(),
  simulated: async () => (await import('./support/simulated-target')).simulatedTarget(),
  rig: async () => (await import('./support/real-target')).rigTarget(),
  hardware: async () => (await import('./support/real-target')).hardwareTarget(),
};

const name = (process.env['CXL_TARGET'] ?? 'mock') as TargetName;
const load = loaders[name];
if (load === undefined) throw new Error(`CXL_TARGET: no target '${name}'`);

/** The target of this run. */
export const target: Target = await load();

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
  const missing = needs.filter((need) => !target.has.has(need));
  if (missing.length === 0) {
    it(title, run, timeout);
    return;
  }
  // Every runner prints and counts a skipped test; its title says why.
  it.skip(`${title} [skipped on ${target.name}: needs ${missing.join(', ')}]`, run, timeout);
}
