/** The device side of a card. */
import { checkInteger } from '../../shared/checks';
import { stateError } from '../../shared/errors';
import type { AdapterSetup, CxlAdapter, Link } from '../kernel/adapter';
import type { Kernel } from '../kernel/kernel';
import { checkMilliseconds } from './card-options';
import { MockAfu } from './mock-afu';

/**
 * What a test does to a card and its slot. The object stays the same while the driver's adapter
 * comes and goes with unplug(), plug(), unbind(), bind() and resets.
 *
 * @example
 * import { createMockCxl } from 'node-cxl/mock';
 *
 * const system = createMockCxl();
 * const context = await system.open('/dev/cxl/afu0.0s');
 * await context.attach({ wed: 0n });
 * const registers = context.mapProblemState();
 * const card = system.card(0);
 * const device = card.afu(0).context(0);
 * card.freeze(); // the driver does not know it yet
 * console.log(registers.read32(0x08).toString(16), device.status); // ffffffff STARTED
 * card.notice(); // now it does, and detaches the context
 * console.log(device.status); // CLOSED
 * card.recover();
 * await context.close();
 */
export class MockCard {
  readonly #kernel: Kernel;
  readonly #setup: AdapterSetup;
  readonly #afus: MockAfu[];
  #adapter: CxlAdapter;

  /** @internal */
  constructor(kernel: Kernel, setup: AdapterSetup) {
    this.#kernel = kernel;
    this.#setup = setup;
    this.#adapter = this.#probe();
    this.#afus = setup.afus.map(
      (_, slice) => new MockAfu(kernel, `slice ${slice}`, () => this.#adapter.afu(slice)),
    );
  }

  #probe(): CxlAdapter {
    const adapter = this.#kernel.probe(this.#setup);
    adapter.onReprobe = () => {
      // Unless bind() has probed it already.
      if (this.#adapter === adapter) this.#adapter = this.#probe();
    };
    return adapter;
  }

  /** Number of the adapter: 0 is card0. A new probe while old contexts are open changes it. */
  get number(): number {
    return this.#adapter.number;
  }

  /** Whether the driver is bound to the card: sysfs has its cardN. */
  get bound(): boolean {
    return this.#adapter.bound;
  }

  /** State of the link, whether or not the driver has noticed it. */
  get link(): Link {
    return this.#adapter.link;
  }

  /** How many AFU interrupts no context has. */
  get freeInterrupts(): number {
    return this.#adapter.freeInterrupts;
  }

  /** The AFU of slice `slice`, from 0. */
  afu(slice = 0): MockAfu {
    return this.#afus[checkInteger('slice', slice, 0, this.#afus.length - 1)]!;
  }

  /** The AFUs, by slice. */
  get afus(): readonly MockAfu[] {
    return this.#afus;
  }

  /**
   * The link goes into error: loads read as all ones. Until notice() the driver does not know,
   * and contexts stay STARTED.
   */
  freeze(): void {
    this.#adapter.freeze();
  }

  /**
   * The driver notices the error: it detaches the contexts, and on bare metal removes the device
   * nodes. If it expects another image after the reset (loadImageOnPerst), it unbinds the card.
   */
  notice(): void {
    this.#adapter.notice();
  }

  /** freeze(), then notice() by a timer: at once, in a guest after errorPollInterval. */
  linkDown(): void {
    this.#adapter.linkDown();
  }

  /** The link works again, and the device nodes are back. */
  recover(): void {
    this.#adapter.recover();
  }

  /** linkDown(), and recover() after so many milliseconds. */
  enterErrorState(milliseconds: number): void {
    this.#adapter.enterErrorState(checkMilliseconds('milliseconds', milliseconds, 0));
  }

  /** Takes the card out of its slot: the link is gone, then the driver unbinds it. */
  unplug(): void {
    this.#adapter.unplug();
  }

  /** Puts the card back after unplug(); the driver probes it as a new card. */
  plug(): void {
    if (this.#adapter.link !== 'gone') throw stateError('the card is in its slot');
    this.#adapter = this.#probe();
  }

  /** Unbinds the driver from the card. Contexts are detached. */
  unbind(): void {
    this.#adapter.unbind();
  }

  /** Binds the driver again after unbind(). In a guest that is needed after a reset. */
  bind(): void {
    if (this.#adapter.bound) throw stateError('the driver is bound to the card');
    this.#adapter = this.#probe();
  }

  /** unbind() and bind(). */
  rebind(): void {
    this.unbind();
    this.bind();
  }
}
