/** The state of a flash adapter that its parts share, and the faults that are set for it. */
import { ERRNOS } from '../../shared/errno';
import type { DriverLog } from './driver-log';
import { type GlobalLuns, LocalLun, type Medium } from './lun';
import { LunTable } from './lun-table';
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

/** What the card of an adapter does and shows in an error. */
export interface CardErrors {
  /** Starts a reset, and returns what tells the card's condition from then on. */
  reset(milliseconds: number): () => AdapterCondition;
  /** The link is in error, and the driver does not know. */
  freeze(): void;
  readsAllOnes(): boolean;
}

/** How often the driver checks whether a reset is over, in milliseconds. */
const RESET_POLL_INTERVAL = 2;

export class FlashAdapterState implements SisliteAdapter {
  readonly squeue: boolean;
  readonly commandRoom: number;
  readonly unmap: boolean;
  readonly tableSize: number;
  readonly faults: CommandFaults = { statuses: [], held: false, executed: 0 };
  readonly media: Medium[] = [];
  readonly lunTable: LunTable;
  readonly log: DriverLog;
  portsUp: number;
  /** How many of the next AFU syncs time out. */
  slowSyncs = 0;
  /** Milliseconds that the reset takes which the driver starts when the next AFU sync gets stuck. */
  stuckSync: number | undefined;
  /** How many of the next contexts are closed before the AFU is told their capabilities. */
  closedContexts = 0;
  /** cxlflash was unbound, and its SCSI devices are gone. */
  removed = false;
  /** The reset under way, or the next one, does not succeed. */
  resetFails = false;

  readonly #global: GlobalLuns;
  readonly #local = new Map<string, LocalLun>();
  readonly #card: CardErrors;
  #condition: AdapterCondition = 'normal';
  #waiting: (() => void)[] = [];

  constructor(traits: AdapterTraits, global: GlobalLuns, card: CardErrors, log: DriverLog) {
    this.log = log;
    this.squeue = traits.squeue;
    this.commandRoom = traits.commandRoom;
    this.unmap = traits.unmap;
    this.tableSize = traits.tableSize;
    this.#global = global;
    this.#card = card;
    this.lunTable = new LunTable(traits.ports);
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

  /** Whether registers of the AFU read as all ones: during a reset, and before it is noticed. */
  get readsAllOnes(): boolean {
    return this.#condition === 'reset' || this.#card.readsAllOnes();
  }

  /**
   * Tells the AFU of a changed resource handle table. False when that times out. When the driver's
   * own context cannot be reset then either, the driver resets the AFU (send_afu_cmd()).
   */
  sync(): boolean {
    if (this.#condition !== 'normal') return true;
    if (this.stuckSync !== undefined) {
      const milliseconds = this.stuckSync;
      this.stuckSync = undefined;
      this.reset(milliseconds);
      return false;
    }
    if (this.slowSyncs === 0) return true;
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
    if (this.#condition === 'normal') this.resetUntil(this.#card.reset(milliseconds));
  }

  /**
   * The link breaks, so that registers read as all ones. The driver notices after `delay`
   * milliseconds; the reset that follows takes `milliseconds`.
   */
  breakLink(delay: number, milliseconds: number): void {
    if (this.#condition !== 'normal') return;
    this.#card.freeze();
    setTimeout(() => this.reset(milliseconds), delay).unref();
  }

  /** The driver is about to leave the adapter: from now on it is as one that has failed. */
  terminate(): void {
    this.#condition = 'failed';
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
