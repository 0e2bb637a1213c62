/** A context: OPENED, then STARTED, then CLOSED, as in the driver. */
import {
  AFU_ID_FLAGS,
  type AfuIoctls,
  START_WORK_FLAGS,
  type StartWork,
} from '../binding/cxl-ioctls';
import { DSISR } from '../emulation/dsisr';
import type { EventSource } from '../emulation/event-wait';
import { HardwareEvents } from '../emulation/hardware-events';
import { ALL_ONES_32 } from '../shared/all-ones';
import { debug } from '../shared/debug';
import { ERRNOS } from '../shared/errno';
import type { Call } from './answer';
import { Connection, type ConnectionEvents } from './connection';
import type { AfuDescription, ContextLetter } from './protocol';
import type { Shared } from './shared-state';

/** Bytes that a master or dedicated context maps: all that the daemon's offsets reach. */
export const WHOLE_AREA = 64 * 1024 * 1024;

export class PslseContext implements EventSource {
  readonly afu: AfuDescription;
  readonly letter: ContextLetter;
  status: 'OPENED' | 'STARTED' | 'CLOSED' = 'OPENED';
  /** START_WORK had the flag ERR_FF: mappings read as all ones after a detach. */
  errFf = false;
  readonly #shared: Shared;
  readonly #events = new HardwareEvents();
  readonly #wakeups = new Set<() => void>();
  #connection: Connection | undefined;
  /** The daemon's number of the context. It has none before the attach. */
  #processElement = ALL_ONES_32;

  constructor(shared: Shared, afu: AfuDescription, letter: ContextLetter) {
    this.#shared = shared;
    this.afu = afu;
    this.letter = letter;
    shared.contexts.add(this);
  }

  ioctlProcessElement(): AfuIoctls['GET_PROCESS_ELEMENT']['answer'] | number {
    this.#shared.pump.poll();
    return this.status === 'CLOSED' ? -ERRNOS.EIO : { processElement: this.#processElement };
  }

  ioctlAfuId(): AfuIoctls['GET_AFU_ID']['answer'] | number {
    if (this.status === 'CLOSED') return -ERRNOS.EIO;
    return {
      flags: this.letter === 's' ? AFU_ID_FLAGS.SLAVE : 0n,
      cardId: this.afu.card,
      afuOffset: this.afu.slice,
      afuMode: this.letter === 'd' ? 1 : 2,
    };
  }

  /**
   * START_WORK. The daemon hears of a context only now: one that is opened there and closed without an
   * attach would make it unusable.
   */
  *start(work: StartWork): Call<AfuIoctls['START_WORK']['answer'] | number> {
    if (this.status !== 'OPENED' || this.#connection !== undefined) return -ERRNOS.EIO;
    const { pump, setup, memory, daemon } = this.#shared;
    // As on a POWER9 that cannot give the thread an id. A POWER8 answers 0.
    if ((work.flags & START_WORK_FLAGS.TID) !== 0n && daemon.psl === 9) return -ERRNOS.ENODEV;
    const { irqsMin, irqsMax, card, slice } = this.afu;
    const given = (work.flags & START_WORK_FLAGS.NUM_IRQS) !== 0n ? work.numInterrupts : undefined;
    const interrupts = given ?? irqsMin;
    if (interrupts < irqsMin || interrupts > irqsMax) return -ERRNOS.EINVAL;
    const plan = {
      type: 'attach',
      psl: daemon.psl,
      afu: (card << 4) | slice,
      letter: this.letter,
      wed: work.workElementDescriptor,
    } as const;
    this.errFf = (work.flags & START_WORK_FLAGS.ERR_FF) !== 0n;
    this.#events.setInterruptCount(interrupts);
    const connection = new Connection(pump, plan, setup, memory.addressSpace, this.#sink());
    this.#connection = connection;
    this.#shared.connectionBegan(connection);
    const opened = yield* connection.attach(this.afu.hasArea);
    if (typeof opened === 'number') {
      this.#connection = undefined;
      void connection.ended.then(() => this.#shared.connectionEnded(connection));
      daemon.forget();
      return opened;
    }
    this.#processElement = opened.context;
    // It may have been lost while it was attached.
    if (this.status === 'OPENED') this.status = 'STARTED';
    return { tid: 0 };
  }

  #sink(): ConnectionEvents {
    return {
      interrupt: (irq) => {
        // The AFU cannot be told, as the driver would.
        if (irq > this.#events.interruptCount) debug('pslse: interrupt %d dropped', irq);
        else this.#wakeAfter(() => this.#events.addInterrupt(irq));
      },
      fault: (address, access) => {
        const bits = DSISR[this.#shared.daemon.psl === 9 ? 2 : 1];
        const dsisr = access === 'store' ? bits.notFound | bits.store : bits.notFound;
        this.#wakeAfter(() => this.#events.addFault(address, dsisr));
      },
      afuError: (error) => this.#wakeAfter(() => this.#events.addAfuError(error)),
      lost: () => {
        // Whoever comes next asks the daemon anew.
        this.#shared.daemon.forget();
        if (this.status === 'STARTED') this.#wakeAfter(() => this.#close());
      },
    };
  }

  #wakeAfter(change: () => void): void {
    change();
    for (const callback of [...this.#wakeups]) callback();
  }

  /** The context has no interrupts any more; those that are pending can be read. */
  #close(): void {
    this.status = 'CLOSED';
    this.#events.setInterruptCount(0);
  }

  /** The end of the context, as at the close of its file. */
  *stop(): Call<void> {
    this.#close();
    const connection = this.#connection;
    if (connection !== undefined) {
      yield* connection.detach();
      this.#shared.connectionEnded(connection);
    }
    this.#shared.contexts.delete(this);
  }

  /** Resolves once nothing is left of the connection. */
  get ended(): Promise<void> {
    return this.#connection?.ended ?? Promise.resolve();
  }

  /** Bytes of the area that this context may map. */
  get areaSize(): number {
    if (!this.afu.hasArea) return 0;
    return this.letter === 's' ? (this.afu.perProcess?.size ?? WHOLE_AREA) : WHOLE_AREA;
  }

  /** The checks of mmap(): 0, or why `length` bytes at `offset` cannot be mapped. */
  checkMap(offset: number, length: number): number {
    this.#shared.pump.poll();
    if (this.status !== 'STARTED') return -ERRNOS.EIO;
    const { pageSize } = this.#shared;
    const end = offset + Math.ceil(length / pageSize) * pageSize;
    return end > this.areaSize || offset % pageSize !== 0 ? -ERRNOS.EINVAL : 0;
  }

  /** A register access; undefined: it faults. */
  *access(bytes: Uint8Array, ackLength: number): Call<Uint8Array | undefined> {
    if (this.status !== 'STARTED') return undefined;
    return yield* this.#connection!.access(bytes, ackLength);
  }

  poll(): { readonly readable: boolean; readonly error: boolean } {
    const readable = this.#events.any;
    return { readable, error: !readable && this.status === 'CLOSED' };
  }

  onWake(callback: () => void): () => void {
    this.#wakeups.add(callback);
    return () => this.#wakeups.delete(callback);
  }

  read(target: Uint8Array): number {
    if (this.#events.any) return this.#events.takeNext(target, this.#processElement);
    return this.status === 'CLOSED' ? -ERRNOS.EIO : -ERRNOS.EAGAIN;
  }
}
