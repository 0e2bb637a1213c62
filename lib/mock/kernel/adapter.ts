/**
 * An adapter (card): its link, the interrupts that its AFUs share, and error recovery. The model
 * of struct cxl and of the error handlers in drivers/misc/cxl/pci.c and guest.c.
 */
import { ERRNOS } from '../../shared/errno';
import { type AfuSetup, CxlAfu } from './afu';
import type { Kernel } from './kernel';

/** Which image a reset (PERST) loads into the card; 'none': it keeps the one it has. */
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
  /** AFU interrupts that all contexts share. */
  readonly interrupts: number;
  /** Such as '0000:01:00.0'. */
  readonly pciAddress: string;
  /** PCI ids. In a guest the header of an image download carries them. */
  readonly vendor: number;
  readonly device: number;
  /** How long a reset takes the link down, in milliseconds. */
  readonly resetTime: number;
}

/** frozen: in error, loads read as all ones; gone: the card is out of its slot. */
export type Link = 'ok' | 'frozen' | 'gone';

export class CxlAdapter {
  readonly kernel: Kernel;
  readonly number: number;
  readonly setup: AdapterSetup;
  /** The AFUs that the driver could set up. A slice whose AFU it could not has none here. */
  afus: CxlAfu[];
  link: Link = 'ok';
  /** Whether the driver is bound: the adapter is in sysfs and has device nodes. */
  bound = true;
  loadImageOnPerst: PerstImage;
  perstReloadsSameImage: boolean;
  /** Called when the driver has to probe the card as a new adapter. */
  onReprobe: (() => void) | undefined;
  /** AFUs of an image that was replaced. */
  readonly #removed: CxlAfu[] = [];
  #freeInterrupts: number;
  /** Attached contexts; -1 while locked for a reset. */
  #contexts = 0;
  /** The driver has noticed the error of the link. */
  #noticed = false;
  readonly #timers = new Set<() => void>();

  constructor(kernel: Kernel, number: number, setup: AdapterSetup) {
    this.kernel = kernel;
    this.number = number;
    this.setup = setup;
    this.#freeInterrupts = setup.interrupts;
    this.loadImageOnPerst = setup.loadImageOnPerst;
    this.perstReloadsSameImage = setup.perstReloadsSameImage;
    this.afus = setup.afus
      .map((afu, slice) => new CxlAfu(this, slice, afu))
      .filter((afu) => afu.probe() === 0);
  }

  /** The AFU of a slice, from 0. */
  afu(slice: number): CxlAfu | undefined {
    return this.afus.find((afu) => afu.slice === slice);
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

  /** Whether tunneled operations work. The driver sets them up on bare metal of POWER9 alone. */
  get tunneledOps(): boolean {
    return this.setup.tunneledOps && this.caiaMajor === 2 && !this.kernel.guest;
  }

  /** AFU interrupts of the card. On bare metal that is the highest irqs_max of each AFU. */
  get userInterrupts(): number {
    return this.setup.interrupts;
  }

  get freeInterrupts(): number {
    return this.#freeInterrupts;
  }

  /**
   * Takes AFU interrupts for a context. How many were taken, for releaseInterrupts(), or -1: too
   * few are free. In a guest that is one more than asked for, since each context has a PSL
   * interrupt of its own there.
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

  /** Counts an attached context. False while contexts are locked out for a reset. */
  contextGet(): boolean {
    if (this.#contexts < 0) return false;
    this.#contexts += 1;
    return true;
  }

  contextPut(): void {
    if (this.#contexts > 0) this.#contexts -= 1;
  }

  /** Locks contexts out for a reset. False while one is attached. */
  contextLock(): boolean {
    if (this.#contexts !== 0) return false;
    this.#contexts = -1;
    return true;
  }

  contextUnlock(): void {
    this.#contexts = 0;
  }

  /** The link goes into error. The driver does not know until notice(). */
  freeze(): void {
    if (this.link === 'ok') this.link = 'frozen';
  }

  /**
   * The driver notices the error and detaches all contexts. On bare metal it removes the device
   * nodes too; and if it expects another image after the reset, it unbinds the card, which is
   * then probed as a new one.
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
      if (!this.kernel.guest) afu.deactivate();
    }
    if (!this.kernel.guest) this.contextLock();
  }

  get #optsOut(): boolean {
    if (this.kernel.guest) return false;
    return this.loadImageOnPerst !== 'none' && !this.perstReloadsSameImage;
  }

  /** The link works again. If the driver has not noticed the error, it does so first. */
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

  /** linkDown(), then recover() after so many milliseconds. */
  enterErrorState(milliseconds: number): void {
    this.linkDown();
    this.#after(milliseconds, () => this.recover());
  }

  /** The link is down until recover(). A guest's driver notices by polling. */
  linkDown(): void {
    this.freeze();
    this.#after(this.kernel.guest ? this.kernel.errorPollInterval : 0, () => this.notice());
  }

  /** A write to `reset`. Without `force` it fails with EBUSY while a context is attached. */
  reset(force: boolean): number {
    if (!force && !this.contextLock()) return -ERRNOS.EBUSY;
    if (this.kernel.guest) {
      // In a guest the driver does not unlock the contexts: only a new probe does.
      for (const afu of this.afus) afu.detachAll();
      for (const afu of this.afus) afu.reset();
      return 0;
    }
    if (this.perstReloadsSameImage) {
      if (!force) this.contextUnlock();
      this.kernel.log(
        `${this.name}: cxl: refusing to reset/reflash when perst_reloads_same_image is set.`,
      );
      return -ERRNOS.EINVAL;
    }
    this.enterErrorState(this.setup.resetTime);
    return 0;
  }

  /** Unbinds the driver: contexts are detached; the adapter leaves sysfs, with its device nodes. */
  unbind(): void {
    if (!this.bound) return;
    this.bound = false;
    this.#detachAfus();
    this.freeWhenUnused();
  }

  /** Removes the AFUs of the old image. The adapter keeps its number while they have contexts. */
  removeAfus(): void {
    this.#detachAfus();
    this.#removed.push(...this.afus);
    this.afus = [];
  }

  #detachAfus(): void {
    for (const afu of this.afus) {
      afu.detachAll();
      afu.deactivate();
    }
  }

  /** Takes the card out of its slot: the link is gone, then the driver unbinds it. */
  unplug(): void {
    this.link = 'gone';
    this.#stopTimers();
    this.unbind();
  }

  /** Frees the adapter's number if it is unbound and has no context. */
  freeWhenUnused(): void {
    const inUse = [...this.afus, ...this.#removed].some((afu) => afu.contexts.size > 0);
    if (this.bound || inUse) return;
    this.kernel.releaseAdapterNumber(this);
  }

  #after(milliseconds: number, action: () => void): void {
    const cancel = this.kernel.timers.after(milliseconds, () => {
      this.#timers.delete(cancel);
      action();
    });
    this.#timers.add(cancel);
  }

  #stopTimers(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
  }
}
