/**
 * An adapter (card): its link, the interrupts its AFUs share, and recovery. The model of
 * struct cxl and of the error handlers in drivers/misc/cxl/pci.c and guest.c.
 */
import { errnos } from '../../shared/errno';
import { Afu, type AfuSetup } from './afu';
import type { Kernel } from './kernel';

export type PerstImage = 'none' | 'user' | 'factory';

/** A card in a slot, as the driver finds it. */
export interface AdapterSetup {
  readonly afus: readonly AfuSetup[];
  /** '1.0' on POWER8 (PSL8), '2.0' on POWER9 (PSL9). */
  readonly caiaVersion: string;
  readonly pslRevision: number;
  readonly baseImage: number;
  readonly imageLoaded: 'user' | 'factory';
  readonly loadImageOnPerst: PerstImage;
  readonly perstReloadsSameImage: boolean;
  readonly timebaseSynced: boolean;
  readonly tunneledOps: boolean;
  /** AFU interrupts the adapter has for all its contexts together. */
  readonly interrupts: number;
  /** Such as '0000:01:00.0'. */
  readonly pciAddress: string;
  /** PCI ids: what an image download's header carries in a guest. */
  readonly vendor: number;
  readonly device: number;
  /** Milliseconds a reset takes the link down for. */
  readonly resetTime: number;
}

/** ok; frozen: in error (loads are all ones); gone: out of its slot. */
export type Link = 'ok' | 'frozen' | 'gone';

export class Adapter {
  readonly kernel: Kernel;
  readonly number: number;
  readonly setup: AdapterSetup;
  afus: Afu[];
  link: Link = 'ok';
  /** Bound to the driver: in sysfs, with its nodes. */
  bound = true;
  loadImageOnPerst: PerstImage;
  perstReloadsSameImage: boolean;
  /** The card's own record of being re-probed as a new adapter. */
  onReprobe: (() => void) | undefined;
  readonly #removed: Afu[] = [];
  #freeInterrupts: number;
  /** Attached contexts; -1 while locked for a reset. */
  #contexts = 0;
  #noticed = false;
  #timers = new Set<NodeJS.Timeout>();

  constructor(kernel: Kernel, number: number, setup: AdapterSetup) {
    this.kernel = kernel;
    this.number = number;
    this.setup = setup;
    this.#freeInterrupts = setup.interrupts;
    this.loadImageOnPerst = setup.loadImageOnPerst;
    this.perstReloadsSameImage = setup.perstReloadsSameImage;
    this.afus = setup.afus.map((afu, slice) => new Afu(this, slice, afu));
    for (const afu of this.afus) {
      if (afu.setup.mode === undefined) afu.selectBestMode();
      else afu.activate(afu.setup.mode);
    }
  }

  get name(): string {
    return `card${this.number}`;
  }

  get caiaMajor(): number {
    return Number.parseInt(this.setup.caiaVersion, 10);
  }

  get linkOk(): boolean {
    return this.link === 'ok';
  }

  /** What irqs_max may be raised to. */
  get userInterrupts(): number {
    return this.setup.interrupts;
  }

  get freeInterrupts(): number {
    return this.#freeInterrupts;
  }

  /**
   * Takes AFU interrupts for a context: how many in all, to be given back, or -1. A guest's
   * context has a PSL interrupt of its own as well; on bare metal a slice shares one.
   */
  takeInterrupts(count: number): number {
    const needed = this.kernel.guest ? count + 1 : count;
    if (needed > this.#freeInterrupts) return -1;
    this.#freeInterrupts -= needed;
    return needed;
  }

  releaseInterrupts(taken: number): void {
    this.#freeInterrupts += taken;
  }

  contextGet(): boolean {
    if (this.#contexts < 0) return false;
    this.#contexts += 1;
    return true;
  }

  contextPut(): void {
    if (this.#contexts > 0) this.#contexts -= 1;
  }

  contextLock(): boolean {
    if (this.#contexts !== 0) return false;
    this.#contexts = -1;
    return true;
  }

  contextUnlock(): void {
    this.#contexts = 0;
  }

  /** The link is in error as the hardware has it; the driver has not noticed. */
  freeze(): void {
    if (this.link === 'ok') this.link = 'frozen';
  }

  /**
   * The driver notices the error. On bare metal it detaches all and takes its nodes away,
   * unless it expects another image after the reset: then it opts out, and the card is
   * probed from nothing. A guest only detaches.
   */
  notice(): void {
    if (this.link === 'ok' || this.#noticed || !this.bound) return;
    this.#noticed = true;
    if (this.#optsOut) {
      this.kernel.log(`${this.name}: reflashing, so opting out of EEH!`);
      this.unbind();
      return;
    }
    for (const afu of this.afus) {
      afu.detachAll();
      if (!this.kernel.guest) afu.mode = 'none';
    }
    if (!this.kernel.guest) this.contextLock();
  }

  get #optsOut(): boolean {
    if (this.kernel.guest) return false;
    return this.loadImageOnPerst !== 'none' && !this.perstReloadsSameImage;
  }

  /** The link comes back. An error nobody noticed until now is noticed first. */
  recover(): void {
    if (this.link !== 'frozen') return;
    this.notice();
    this.link = 'ok';
    this.#noticed = false;
    this.#stopTimers();
    if (!this.bound) {
      this.onReprobe?.();
      return;
    }
    for (const afu of this.afus) afu.reset();
    if (this.kernel.guest) return;
    this.contextUnlock();
    for (const afu of this.afus) afu.selectBestMode();
  }

  /** Down now, noticed when the driver gets to it, back after so many milliseconds. */
  enterErrorState(milliseconds: number): void {
    this.linkDown();
    this.#after(milliseconds, () => this.recover());
  }

  /** Down until recover(). A guest's driver looks at the state only every so often. */
  linkDown(): void {
    this.freeze();
    this.#after(this.kernel.guest ? this.kernel.errorPollInterval : 0, () => this.notice());
  }

  /** A write to `reset`: 1 refuses while a context is attached and locks them out, -1 forces. */
  reset(force: boolean): number {
    if (!force && !this.contextLock()) return -errnos.EBUSY;
    if (this.kernel.guest) {
      // A guest's lock is never taken off again: only a new probe does that.
      for (const afu of this.afus) afu.detachAll();
      for (const afu of this.afus) afu.reset();
      return 0;
    }
    if (this.perstReloadsSameImage) {
      if (!force) this.contextUnlock();
      this.kernel.log(
        `${this.name}: cxl: refusing to reset/reflash when perst_reloads_same_image is set.`,
      );
      return -errnos.EINVAL;
    }
    this.enterErrorState(this.setup.resetTime);
    return 0;
  }

  /** The driver lets go of the card: nodes and sysfs vanish, contexts are detached. */
  unbind(): void {
    if (!this.bound) return;
    this.bound = false;
    for (const afu of this.afus) {
      afu.detachAll();
      afu.mode = 'none';
    }
    this.freeWhenUnused();
  }

  /** A new image has been validated: the old AFUs go. Their contexts hold the adapter on. */
  removeAfus(): void {
    for (const afu of this.afus) {
      afu.detachAll();
      afu.mode = 'none';
    }
    this.#removed.push(...this.afus);
    this.afus = [];
  }

  /** Pulled out of its slot: the link is gone before the driver knows. */
  unplug(): void {
    this.link = 'gone';
    this.#stopTimers();
    this.unbind();
  }

  /** The adapter's number is free again once it is unbound and its last context is closed. */
  freeWhenUnused(): void {
    const inUse = [...this.afus, ...this.#removed].some((afu) => afu.contexts.size > 0);
    if (this.bound || inUse) return;
    this.kernel.releaseAdapterNumber(this);
  }

  #after(milliseconds: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, milliseconds).unref();
    this.#timers.add(timer);
  }

  #stopTimers(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
