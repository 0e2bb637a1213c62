/** The mock as a system of its own: what a program sees, and the device side for its tests. */
import { Cxl } from '../device/cxl';
import { rangeError, unwrap } from '../shared/errors';
import { MockBinding } from './binding';
import { adapterSetup, defaultCards, kernelOptions, type MockOptions } from './config/options';
import type { FaultName, FaultSpec } from './device/faults';
import { MockCard } from './device/mock-card';
import { MockFlash } from './flash';
import { Kernel } from './kernel/kernel';
import { fileTree } from './kernel/sysfs';
import { resolve } from './kernel/virtual-files';

/** What is open or held in a mock: all zero when nothing leaked. */
export interface MockCounters {
  /** Open descriptors. */
  readonly files: number;
  /** Live mappings of problem state areas. */
  readonly mappings: number;
  /** Bytes allocated and not freed. */
  readonly bytes: number;
  /** Contexts, of all AFUs, in-kernel ones too. */
  readonly contexts: number;
}

/** A Cxl of modelled cards, and the side of it that a program never sees. */
export class MockCxl extends Cxl {
  readonly #kernel: Kernel;
  readonly #cards: MockCard[];
  /** Flash adapters: options.flash, or added later. */
  readonly flash: MockFlash;

  /** @internal Use createMockCxl(). */
  constructor(options: MockOptions = {}) {
    const kernel = new Kernel(kernelOptions(options));
    const setups = (options.cards ?? defaultCards()).map(adapterSetup);
    const cards = setups.map((setup) => new MockCard(kernel, setup));
    const binding = new MockBinding(kernel, (number) => {
      cards.find((card) => card.number === number)?.rebind();
    });
    super(() => binding);
    this.#kernel = kernel;
    this.#cards = cards;
    this.flash = new MockFlash(kernel, binding, options.flash ?? []);
  }

  /** The card in slot `slot`, from 0, whether plugged in or not. */
  card(slot = 0): MockCard {
    const card = this.#cards[slot];
    if (card === undefined) {
      throw rangeError('slot', `an integer from 0 to ${this.#cards.length - 1}`, slot);
    }
    return card;
  }

  get cards(): readonly MockCard[] {
    return this.#cards;
  }

  /** What repeats this run's chances: print it when a run with faults fails. */
  get seed(): number {
    return this.#kernel.faults.seed;
  }

  /** What the driver logged, oldest first; the newest 1000 lines. */
  get log(): readonly string[] {
    return this.#kernel.messages;
  }

  get counters(): MockCounters {
    const afus = [...this.#kernel.adapters.values()].flatMap((adapter) => adapter.afus);
    return {
      files: this.#kernel.files.size,
      mappings: this.#kernel.mappings,
      bytes: this.#kernel.memory.bytes,
      contexts: afus.reduce((sum, afu) => sum + afu.contexts.size, 0),
    };
  }

  /** Arms a fault from now on. */
  inject(fault: FaultSpec): void {
    this.#kernel.faults.inject(fault);
  }

  /** Disarms the faults of that name, or all. */
  clearFaults(name?: FaultName): void {
    this.#kernel.faults.clear(name);
  }

  /**
   * Makes an attribute show another text from now on, or be absent: what an older driver, or
   * a broken one, would do.
   *
   * @param path such as '/sys/class/cxl/afu0.0/irqs_max'; links are followed
   * @throws ENOENT, ENOTDIR as a read of it would
   */
  setAttribute(path: string, text: string | undefined): void {
    const found = unwrap(resolve(fileTree(this.#kernel), path), 'open', path);
    this.#kernel.oddAttributes.set(found.real, text);
  }

  /** Undoes every setAttribute(). */
  restoreAttributes(): void {
    this.#kernel.oddAttributes.clear();
  }

  /** Lets every AFU take a step now, as an access to memory or registers does. */
  step(): void {
    this.#kernel.scheduler.poke();
  }

  /** @internal The modelled kernel, for the parts of the mock that build on it. */
  get kernel(): Kernel {
    return this.#kernel;
  }
}
