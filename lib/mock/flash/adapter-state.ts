/** The state of a flash adapter that its parts share, and the faults that are set for it. */
import { ERRNOS } from '../../shared/errno';
import { type GlobalLuns, LocalLun, type Medium } from './lun';
import type { CommandFaults, SisliteAdapter } from './sislite-afu';

export interface AdapterTraits {
  readonly ports: number;
  readonly squeue: boolean;
  readonly commandRoom: number;
  readonly unmap: boolean;
  /** Entries of a resource handle table: a page of 16-byte entries. */
  readonly tableSize: number;
}

/** normal: works; reset: a reset is under way; failed: a reset did not succeed. */
export type AdapterCondition = 'normal' | 'reset' | 'failed';

/** How often the driver checks whether a reset is over, in milliseconds. */
const RESET_POLL_INTERVAL = 2;

export class FlashAdapterState implements SisliteAdapter {
  readonly squeue: boolean;
  readonly commandRoom: number;
  readonly unmap: boolean;
  readonly tableSize: number;
  readonly faults: CommandFaults = { statuses: [], held: false, executed: 0 };
  readonly media: Medium[] = [];
  portsUp: number;
  /** How many of the next AFU syncs time out. */
  slowSyncs = 0;
  /** How many of the next contexts are closed before the AFU is told their capabilities. */
  closedContexts = 0;
  /** The reset under way, or the next one, does not succeed. */
  resetFails = false;

  readonly #global: GlobalLuns;
  readonly #local = new Map<string, LocalLun>();
  readonly #onReset: (milliseconds: number) => () => AdapterCondition;
  #condition: AdapterCondition = 'normal';
  #waiting: (() => void)[] = [];

  /** `onReset` starts a reset of the card, and returns what tells its condition from then on. */
  constructor(
    traits: AdapterTraits,
    global: GlobalLuns,
    onReset: (milliseconds: number) => () => AdapterCondition,
  ) {
    this.squeue = traits.squeue;
    this.commandRoom = traits.commandRoom;
    this.unmap = traits.unmap;
    this.tableSize = traits.tableSize;
    this.#global = global;
    this.#onReset = onReset;
    this.portsUp = (1 << traits.ports) - 1;
  }

  get condition(): AdapterCondition {
    return this.#condition;
  }

  /** This adapter's record of a LUN, made at its first use. */
  localLun(wwid: string, medium: Medium): LocalLun {
    let lun = this.#local.get(wwid);
    if (lun === undefined) {
      lun = new LocalLun(this.#global.get(wwid), medium);
      this.#local.set(wwid, lun);
    }
    return lun;
  }

  /** Tells the AFU of a changed resource handle table. False when that times out. */
  sync(): boolean {
    if (this.#condition !== 'normal' || this.slowSyncs === 0) return true;
    this.slowSyncs -= 1;
    return false;
  }

  /** Tells the AFU a context's capabilities. False when the context was closed meanwhile. */
  admit(): boolean {
    if (this.closedContexts === 0) return true;
    this.closedContexts -= 1;
    return false;
  }

  /** Waits until no reset is under way. 0, or -ENODEV when the adapter has failed. */
  async resetDone(): Promise<number> {
    while (this.#condition === 'reset') {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    return this.#condition === 'failed' ? -ERRNOS.ENODEV : 0;
  }

  /** The adapter goes into error. After `milliseconds` it works again or has failed. */
  reset(milliseconds: number): void {
    if (this.#condition === 'normal') this.resetUntil(this.#onReset(milliseconds));
  }

  /** A reset is under way until `cardCondition` says otherwise. */
  resetUntil(cardCondition: () => AdapterCondition): void {
    this.#condition = 'reset';
    this.faults.held = false;
    const timer = setInterval(() => {
      const condition = cardCondition();
      if (condition === 'reset') return;
      clearInterval(timer);
      this.#condition = this.resetFails ? 'failed' : condition;
      for (const resume of this.#waiting.splice(0)) resume();
    }, RESET_POLL_INTERVAL);
  }
}
