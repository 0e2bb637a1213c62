/** The device side of a card: what a test does to hardware that a program cannot. */
import { rangeError, stateError } from '../../shared/errors';
import type { Adapter, AdapterSetup, Link } from '../kernel/adapter';
import type { Kernel } from '../kernel/kernel';
import { MockAfu } from './mock-afu';

/** A slot, and the card in it. It outlives the adapter the driver sees: unplug() and plug(). */
export class MockCard {
  readonly #kernel: Kernel;
  readonly #setup: AdapterSetup;
  readonly #afus: MockAfu[];
  #adapter: Adapter;

  /** @internal */
  constructor(kernel: Kernel, setup: AdapterSetup) {
    this.#kernel = kernel;
    this.#setup = setup;
    this.#adapter = this.#probe();
    this.#afus = setup.afus.map(
      (_, slice) => new MockAfu(kernel, `slice ${slice}`, () => this.#adapter.afus[slice]),
    );
  }

  #probe(): Adapter {
    const adapter = this.#kernel.probe(this.#setup);
    adapter.onReprobe = () => {
      // Unless it was bound again by hand in the meantime.
      if (this.#adapter === adapter) this.#adapter = this.#probe();
    };
    return adapter;
  }

  /** The adapter's number: of card0, 0. Another after a new probe while old contexts are open. */
  get number(): number {
    return this.#adapter.number;
  }

  /** Whether the driver is bound to it: there is a cardN. */
  get bound(): boolean {
    return this.#adapter.bound;
  }

  /** Of the link to the card, whatever the driver has noticed. */
  get link(): Link {
    return this.#adapter.link;
  }

  /** AFU interrupts no context has. */
  get freeInterrupts(): number {
    return this.#adapter.freeInterrupts;
  }

  /** The AFU in slice `slice`, from 0. */
  afu(slice = 0): MockAfu {
    const afu = this.#afus[slice];
    if (afu === undefined) {
      throw rangeError('slice', `an integer from 0 to ${this.#afus.length - 1}`, slice);
    }
    return afu;
  }

  get afus(): readonly MockAfu[] {
    return this.#afus;
  }

  /**
   * The link goes into error: loads are all ones. The driver has not noticed yet, and
   * contexts stay STARTED; see notice().
   */
  freeze(): void {
    this.#adapter.freeze();
  }

  /**
   * The driver notices the error: contexts are detached, and on bare metal the nodes vanish;
   * the whole card does where the driver expects another image (loadImageOnPerst).
   */
  notice(): void {
    this.#adapter.notice();
  }

  /** freeze(), noticed on the next turn; in a guest when its driver looks (errorPollInterval). */
  linkDown(): void {
    this.#adapter.linkDown();
  }

  /** The link comes back, and the nodes with it. */
  recover(): void {
    this.#adapter.recover();
  }

  /** linkDown(), and recover() after so many milliseconds. */
  enterErrorState(milliseconds: number): void {
    this.#adapter.enterErrorState(milliseconds);
  }

  /** Pulls the card out: the link is gone before the driver knows. */
  unplug(): void {
    this.#adapter.unplug();
  }

  /** Puts the card back after unplug(): it is probed from nothing. */
  plug(): void {
    if (this.#adapter.link !== 'gone') throw stateError('the card is in its slot');
    this.#adapter = this.#probe();
  }

  /** Unbinds the driver, the card staying where it is. Contexts are detached. */
  unbind(): void {
    this.#adapter.unbind();
  }

  /** Binds the driver again after unbind(): what a guest needs after a reset. */
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
