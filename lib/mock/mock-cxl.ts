/** MockCxl: a Cxl of modeled cards, with the device side of them for tests. */
import { type InspectOptions, inspect } from 'node:util';
import type { Binding } from '../binding';
import { unwrapped } from '../binding/wrapped';
import { Cxl } from '../device/cxl';
import { originOf } from '../emulation/origin';
import { resolve } from '../emulation/virtual-files';
import { CallLog } from '../observe/call-log';
import { ObservedBinding } from '../observe/observed-binding';
import { checkInteger, checkString } from '../shared/checks';
import { stateError, typeError, unwrap } from '../shared/errors';
import { shown } from '../shared/inspection';
import { MockBinding } from './binding';
import { checkMockOptions, defaultCards, kernelOptions, type MockOptions } from './config/options';
import { adapterSetup } from './device/card-options';
import { assertNone } from './device/leftovers';
import { MockCard } from './device/mock-card';
import { MockFlash } from './flash/mock-flash';
import type { FaultName, FaultSpec } from './kernel/fault-spec';
import { Kernel } from './kernel/kernel';
import { fileTree } from './kernel/sysfs';

/** What is open, mapped or allocated in a mock: all 0 at the end of a program without leaks. */
export interface MockCounters {
  /** Open descriptors. */
  readonly files: number;
  /** Mappings of problem state areas. */
  readonly mappings: number;
  /** Bytes allocated and not freed. */
  readonly bytes: number;
  /** Contexts of all AFUs, those of in-kernel drivers included. */
  readonly contexts: number;
}

/** The mock of each backend that belongs to one. */
const mocks = new WeakMap<Binding, MockCxl>();

/**
 * The mock behind a system, for its device side: `mockOf(cxl)` where NODE_CXL_BACKEND is `mock` or
 * `mock:FILE.json`, or setGlobalSystem() has put a mock in the place of `cxl`.
 *
 * @throws ERR_INVALID_STATE the system is no mock
 * @example
 * import { cxl } from 'node-cxl';
 * import { mockOf } from 'node-cxl/mock';
 *
 * if (cxl.backend === 'mock') mockOf(cxl).card(0).linkDown();
 */
export function mockOf(system: Cxl): MockCxl {
  if (!(system instanceof Cxl)) throw typeError('system', 'a Cxl', system);
  const mock = mocks.get(unwrapped(system.binding));
  if (mock === undefined) throw stateError('this system is not a mock');
  return mock;
}

/**
 * A Cxl of modeled cards, and what a test does to them.
 *
 * @example
 * import { createMockCxl } from 'node-cxl/mock';
 *
 * const system = createMockCxl();
 * const context = await system.open('/dev/cxl/afu0.0s');
 * await context.attach({ wed: 0n });
 * system.card(0).linkDown(); // the driver detaches the context
 * const error = await context.waitForEvent().catch((reason) => reason);
 * console.log(error.code); // EIO
 * await context.close();
 * system.assertNoLeaks();
 */
export class MockCxl extends Cxl {
  readonly #kernel: Kernel;
  readonly #cards: MockCard[];
  readonly #binding: MockBinding;
  /** The flash adapters: those of options.flash, and those added since. */
  readonly flash: MockFlash;
  /** What the program called. Calls of flash.process() are not among them. */
  readonly calls: CallLog;

  /** @internal Use createMockCxl(). */
  constructor(options: MockOptions = {}) {
    const kernel = new Kernel(kernelOptions(checkMockOptions(options)));
    const setups = (options.cards ?? defaultCards()).map((card, slot) => adapterSetup(card, slot));
    const cards = setups.map((setup) => new MockCard(kernel, setup));
    const binding = new MockBinding(kernel, (number) => {
      cards.find((card) => card.number === number)?.rebind();
    });
    const calls = new CallLog(options.calls);
    // Made at first use: MockFlash adds its part to the binding below.
    super(() => {
      const observed = new ObservedBinding(binding, calls.observer);
      mocks.set(observed, this);
      return observed;
    });
    this.calls = calls;
    this.#kernel = kernel;
    this.#cards = cards;
    this.#binding = binding;
    this.flash = new MockFlash(kernel, binding, options.flash ?? []);
  }

  /** The card of slot `slot`, from 0, whether it is plugged in or not. */
  card(slot = 0): MockCard {
    return this.#cards[checkInteger('slot', slot, 0, this.#cards.length - 1)]!;
  }

  /** The cards, in the order of the options; those of flash adapters come last. */
  get cards(): readonly MockCard[] {
    return this.#cards;
  }

  /** Seed of the random faults. With it as an option, a run that failed can be repeated. */
  get seed(): number {
    return this.#kernel.faults.seed;
  }

  /** The newest 1000 lines of the driver's log, oldest first. */
  get log(): readonly string[] {
    return this.#kernel.messages;
  }

  /** What is in use now: what a program has not closed or freed. */
  get counters(): MockCounters {
    const afus = [...this.#kernel.adapters.values()].flatMap((adapter) => adapter.afus);
    return {
      files: this.#kernel.files.size,
      mappings: this.#kernel.mappings.size,
      bytes: this.#kernel.memory.bytes,
      contexts: afus.reduce((sum, afu) => sum + afu.contexts.size, 0),
    };
  }

  /**
   * Adds a fault. Its counts begin now. With several, each is added when the one before it has
   * happened as often as it may. MockContext.inject() adds one for a single context.
   *
   * @throws TypeError or RangeError naming the field that is wrong
   * @example
   * import { createMockCxl } from 'node-cxl/mock';
   *
   * const system = createMockCxl();
   * system.inject({ name: 'mmio', device: 'afu0.0', registers: [0x40, 0x7f], access: 'store' });
   * system.inject({ name: 'open', errno: 'EBUSY', times: 2 }, { name: 'open', errno: 'EIO' });
   * const error = await system.open('/dev/cxl/afu0.0s').catch((reason) => reason);
   * console.log(error.code); // EBUSY
   */
  inject(fault: FaultSpec, ...next: FaultSpec[]): void {
    this.#kernel.faults.inject([fault, ...next], originOf(this.inject));
  }

  /**
   * Checks that every fault has happened: as often as `times` says; one without a limit at least
   * once. A test whose fault never happened tests nothing.
   *
   * @throws AssertionError that lists them, with where each was injected
   */
  assertNoPendingFaults(): void {
    assertNone(
      'faults have not happened',
      this.#kernel.faults.pending().map(({ spec, happened, fitted, origin }) => ({
        what: `${inspect(spec, { breakLength: Number.POSITIVE_INFINITY })}: happened ${happened} times, ${fitted} operations fit`,
        origin,
      })),
      this.assertNoPendingFaults,
    );
  }

  /** Removes the faults of that name, or all. */
  clearFaults(name?: FaultName): void {
    this.#kernel.faults.clear(name);
  }

  /**
   * Checks that the program has closed, unmapped and freed what it opened, mapped and allocated, and
   * that it waits for nothing. Memory that the garbage collector may still free counts too.
   *
   * @throws AssertionError that lists what is left, with where the program made it
   * @example
   * import { createMockCxl } from 'node-cxl/mock';
   *
   * const system = createMockCxl();
   * system.allocate(4096);
   * try {
   *   system.assertNoLeaks(); // in afterEach() of a test
   * } catch (error) {
   *   console.log(String(error).includes('4096')); // true
   * }
   */
  assertNoLeaks(): void {
    const { files, openNodes, mappings, memory, waits } = this.#kernel;
    const left = [...files.values(), ...openNodes, ...mappings, ...memory.live, ...waits];
    assertNone('things are left', left, this.assertNoLeaks);
  }

  /**
   * Makes a sysfs attribute read as another text from now on, or (undefined) be absent: to test
   * with the attributes of another driver version.
   *
   * @param path such as '/sys/class/cxl/afu0.0/irqs_max'; symbolic links are followed
   * @throws ENOENT, ENOTDIR as a read of it does
   */
  setAttribute(path: string, text: string | undefined): void {
    checkString('path', path);
    if (text !== undefined) checkString('text', text);
    const found = unwrap(resolve(fileTree(this.#kernel), path), 'open', path);
    this.#kernel.attributeOverrides.set(found.real, text);
  }

  /**
   * Writes a text to a sysfs attribute, as `echo` does for an administrator: it takes effect, or is
   * refused, as in the driver.
   *
   * @param path such as '/sys/class/cxl/card0/reset'; symbolic links are followed
   * @throws the errno of the write, such as EINVAL, EBUSY or EIO; ENOENT; EACCES: not writable
   */
  async writeAttribute(path: string, text: string): Promise<void> {
    checkString('path', path);
    checkString('text', text);
    unwrap(await this.#binding.sysfs.write(path, text), 'write', path);
  }

  /** Undoes every setAttribute(). */
  restoreAttributes(): void {
    this.#kernel.attributeOverrides.clear();
  }

  /** Makes the AFUs take a step now, as an access to memory or registers does. */
  step(): void {
    this.#kernel.scheduler.poke();
  }

  /** @internal What is open, for util.inspect() and console.log(). */
  override [inspect.custom](depth: number, options: InspectOptions): string {
    return shown(this, depth, options, { ...this.counters });
  }

  /** @internal */
  get kernel(): Kernel {
    return this.#kernel;
  }
}
