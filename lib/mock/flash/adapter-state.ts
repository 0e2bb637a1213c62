/** What the parts of a flash adapter share: its state, its ports, and what a test makes fail. */
import { errnos } from '../../shared/errno';
import { GlobalLun, LocalLun, type Medium } from './lun';
import { ProvokeBlock } from './provoke';
import type { AfuCard, CommandFaults } from './sislite-afu';

export interface AdapterTraits {
  readonly ports: number;
  readonly squeue: boolean;
  readonly commandRoom: number;
  readonly unmap: boolean;
  /** Entries of a resource handle table: a kernel page of 16-byte ones. */
  readonly tableSize: number;
}

/** Whether a reset is over, and how it ended. */
export type Look = () => 'normal' | 'reset' | 'failed';

/** How often the end of a reset is looked for, in milliseconds. */
const linkPoll = 2;

/** The driver's global list, shared by all adapters of a system. */
export class GlobalLuns {
  private readonly byWwid = new Map<string, GlobalLun>();

  get(wwid: string): GlobalLun {
    let lun = this.byWwid.get(wwid);
    if (lun === undefined) {
      lun = new GlobalLun(wwid);
      this.byWwid.set(wwid, lun);
    }
    return lun;
  }
}

export class FlashAdapterState {
  readonly squeue: boolean;
  readonly tableSize: number;
  readonly commandsAStep = 16;
  readonly card: AfuCard;
  readonly faults: CommandFaults = { statuses: [], held: false, executed: 0 };
  readonly provoke: ProvokeBlock;
  readonly media: Medium[] = [];
  /** Mask of the ports with a link. */
  portsUp: number;
  /** AFU syncs that are still to time out. */
  slowSyncs = 0;
  /** Contexts that are still to find themselves closed when they are made known to the AFU. */
  closedContexts = 0;
  /** The reset under way, or the next one, does not succeed. */
  resetFails = false;

  private readonly global: GlobalLuns;
  private readonly local = new Map<string, LocalLun>();
  private readonly onReset: (milliseconds: number) => Look;
  private status: 'normal' | 'reset' | 'failed' = 'normal';
  private waiting: (() => void)[] = [];

  constructor(traits: AdapterTraits, global: GlobalLuns, onReset: (milliseconds: number) => Look) {
    this.squeue = traits.squeue;
    this.tableSize = traits.tableSize;
    this.global = global;
    this.onReset = onReset;
    this.portsUp = (1 << traits.ports) - 1;
    this.provoke = new ProvokeBlock(this);
    this.card = {
      squeue: traits.squeue,
      commandRoom: traits.commandRoom,
      unmap: traits.unmap,
      portsUp: () => this.portsUp,
      faults: this.faults,
    };
  }

  get condition(): 'normal' | 'reset' | 'failed' {
    return this.status;
  }

  localLun(wwid: string, medium: Medium): LocalLun {
    let lun = this.local.get(wwid);
    if (lun === undefined) {
      lun = new LocalLun(this.global.get(wwid), medium);
      this.local.set(wwid, lun);
    }
    return lun;
  }

  /** Tells the AFU of a changed table; false when it is too slow to answer. */
  sync(): boolean {
    if (this.status !== 'normal' || this.slowSyncs === 0) return true;
    this.slowSyncs -= 1;
    return false;
  }

  /** Gives a context its capabilities; false when it was closed meanwhile. */
  admit(): boolean {
    if (this.closedContexts === 0) return true;
    this.closedContexts -= 1;
    return false;
  }

  /** Waits while a reset runs. 0, or -ENODEV when the adapter has failed. */
  async settled(): Promise<number> {
    while (this.status === 'reset') {
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
    return this.status === 'failed' ? -errnos.ENODEV : 0;
  }

  /** The adapter goes into error; after `milliseconds` it is back, or has failed for good. */
  reset(milliseconds: number): void {
    if (this.status === 'normal') this.resetUntil(this.onReset(milliseconds));
  }

  /** In reset until `look`, asked every so many milliseconds, says otherwise. */
  resetUntil(look: Look, interval = linkPoll): void {
    this.status = 'reset';
    this.faults.held = false;
    const timer = setInterval(() => {
      const now = look();
      if (now === 'reset') return;
      clearInterval(timer);
      this.status = this.resetFails ? 'failed' : now;
      for (const resume of this.waiting.splice(0)) resume();
    }, interval);
  }
}
