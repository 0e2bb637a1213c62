/** The AFU and the driver of one flash context, for the queue alone: they do what a test says. */
import type { QueueOwner } from '../../../lib/flash/command';
import {
  IOARCB,
  IOARCB_BYTES,
  IOASA,
  REGISTERS,
  RESPONSE_INTERRUPT,
  UNMAP_SUPPORTED,
} from '../../../lib/flash/sislite';
import { ERRNOS } from '../../../lib/shared/errno';

const ADDRESS = 0x10_0000n;
const SLOT_BYTES = 128;
const STATUS_AT = IOARCB_BYTES;
const ALL_ONES = 0xffff_ffff_ffff_ffffn;

/** A command that the AFU has. */
export interface Held {
  readonly lba: number;
  readonly slot: number;
}

/** The codes of a status that the AFU writes; none: success. */
export interface Codes {
  readonly flags?: number;
  readonly afu?: number;
  readonly scsi?: number;
  readonly fc?: number;
  readonly sense?: Uint8Array;
}

interface Subscriber {
  readonly events: (events: readonly object[]) => void;
  readonly failed: (error: unknown) => void;
}

export class AfuScript {
  /** Registers read as all ones until the driver has recovered the adapter. */
  inError = false;
  /** A reset of the context does not end. */
  resetFails = false;
  /** How often the queue has looked whether a reset has ended. */
  looks = 0;
  /** How often it has read how many commands the AFU takes. */
  roomReads = 0;
  /** The AFU can unmap. */
  canUnmap = false;
  /** The next access of a register faults: `lost`, a store has no effect; `done`, it has. */
  fault: 'lost' | 'done' | undefined;
  freed = 0;
  holds = 0;
  readonly held: Held[] = [];
  /** Called when the AFU gets a command, before anything else. */
  onCommand: (held: Held) => void = () => undefined;
  /** How often the doorbell of the submission ring was rung. */
  doorbells = 0;
  readonly #room: number;
  /** The queue passes commands by a submission ring. */
  readonly #squeue: boolean;
  #view = new DataView(new ArrayBuffer(0));
  #memory = { address: ADDRESS, buffer: new ArrayBuffer(0) };
  /** Of the submission ring: `head` is the entry that the AFU takes next. */
  #sq = { start: 0n, end: 0n, head: 0n };
  #rrq = { start: 0n, end: 0n, next: 0n, toggle: 1n };
  #subscriber: Subscriber | undefined;
  #interrupts = 0;
  #resetting = false;

  constructor(room: number, squeue = false) {
    this.#room = room;
    this.#squeue = squeue;
  }

  get #resetRegister(): number {
    return this.#squeue ? REGISTERS.sqContextReset : REGISTERS.ioarrin;
  }

  /** What CommandQueue takes as the system: it only allocates. */
  readonly system = {
    allocate: (size: number) => {
      this.#memory = { address: ADDRESS, buffer: new ArrayBuffer(size) };
      this.#view = new DataView(this.#memory.buffer);
      return {
        ...this.#memory,
        load64: (at: number) => this.#view.getBigUint64(at),
        free: () => {
          this.freed += 1;
        },
      };
    },
  };

  readonly page = {
    read64: (offset: number) => {
      if (offset === this.#resetRegister) this.looks += 1;
      this.#access();
      if (this.inError) return ALL_ONES;
      if (offset === REGISTERS.commandRoom) {
        this.roomReads += 1;
        return BigInt(this.#room - this.held.length);
      }
      if (offset === REGISTERS.contextControl) return this.canUnmap ? UNMAP_SUPPORTED : 0n;
      if (offset === this.#resetRegister) return this.#resetState();
      if (offset === REGISTERS.sqTail) return this.#sq.head;
      return 0n;
    },
    write64: (offset: number, value: bigint) => {
      if (this.fault === 'lost') this.#access();
      if (!this.inError) this.#store(offset, value);
      this.#access();
    },
  };

  #store(offset: number, value: bigint): void {
    if (offset === REGISTERS.rrqStart)
      this.#rrq = { start: value, end: 0n, next: value, toggle: 1n };
    if (offset === REGISTERS.rrqEnd) this.#rrq.end = value;
    if (offset === REGISTERS.sqStart) this.#sq = { start: value, end: 0n, head: value };
    if (offset === REGISTERS.sqEnd) this.#sq.end = value;
    if (offset === this.#resetRegister && value === 1n) this.#reset();
    else if (offset === REGISTERS.ioarrin) this.#take(Number(value - ADDRESS));
    else if (offset === REGISTERS.sqTail) this.#takeUntil(value);
  }

  /** What the doorbell of the submission ring tells of. */
  #takeUntil(tail: bigint): void {
    this.doorbells += 1;
    const sq = this.#sq;
    while (sq.head !== tail) {
      const status = this.#view.getBigUint64(Number(sq.head - ADDRESS) + IOARCB.statusAddress);
      sq.head = sq.head === sq.end ? sq.start : sq.head + BigInt(IOARCB_BYTES);
      this.#take(Number(status - ADDRESS) - STATUS_AT);
    }
  }

  readonly context = {
    path: '/dev/cxl/afu0.0s',
    hold: () => {
      this.holds += 1;
    },
    subscribeToHardwareEvents: (subscriber: Subscriber) => {
      this.#subscriber = subscriber;
      return () => {
        this.#subscriber = undefined;
      };
    },
  };

  owner(recover: () => Promise<unknown>): QueueOwner {
    const { page, context } = this;
    return { page, context, contextNumber: 1, recover } as unknown as QueueOwner;
  }

  #access(): void {
    if (this.fault === undefined) return;
    this.fault = undefined;
    throw Object.assign(new Error('EIO'), { code: 'EIO', errno: -ERRNOS.EIO });
  }

  /** The adapter is reset: its commands are gone. */
  lose(): void {
    this.inError = true;
    this.#resetting = false;
    this.held.length = 0;
  }

  recover(): void {
    this.inError = false;
  }

  #reset(): void {
    this.#resetting = true;
    this.#resetState();
  }

  /** A reset that has begun ends the commands when it can. */
  #resetState(): bigint {
    if (this.#resetting && this.resetFails) return 1n;
    if (this.#resetting) this.held.length = 0;
    this.#resetting = false;
    return 0n;
  }

  #take(at: number): void {
    const lba = Number(this.#view.getBigUint64(at + IOARCB.cdb + 2));
    const held = { lba, slot: at / SLOT_BYTES };
    this.onCommand(held);
    this.held.push(held);
  }

  /** Completes one of the commands, if there is any. */
  complete(index: number, codes: Codes = {}): void {
    if (this.inError || this.held.length === 0) return;
    const [held] = this.held.splice(index % this.held.length, 1);
    const at = held!.slot * SLOT_BYTES + STATUS_AT;
    this.#view.setUint8(at + IOASA.flags, codes.flags ?? 0);
    this.#view.setUint8(at + IOASA.afuCode, codes.afu ?? 0);
    this.#view.setUint8(at + IOASA.scsiCode, codes.scsi ?? 0);
    this.#view.setUint8(at + IOASA.fcCode, codes.fc ?? 0);
    new Uint8Array(this.#memory.buffer).set(codes.sense ?? [], at + IOASA.sense);
    this.respond(held!.slot);
  }

  /** Says that the command of a slot is complete, whether or not there is one. */
  respond(slot: number): void {
    const rrq = this.#rrq;
    this.#view.setBigUint64(
      Number(rrq.next - ADDRESS),
      (ADDRESS + BigInt(slot * SLOT_BYTES)) | rrq.toggle,
    );
    rrq.next += 8n;
    if (rrq.next > rrq.end) {
      rrq.next = rrq.start;
      rrq.toggle ^= 1n;
    }
    this.#interrupts += 1;
  }

  /** Events reach the program, if it waits for them. */
  emit(...events: readonly object[]): void {
    this.#subscriber?.events(events);
  }

  /** The subscription to events fails. */
  failEvents(error: unknown): void {
    this.#subscriber?.failed(error);
  }

  /** The event of the completions so far reaches the program; false: there is none, or nobody waits. */
  interrupt(): boolean {
    if (this.#interrupts === 0 || this.#subscriber === undefined) return false;
    this.#interrupts = 0;
    this.emit({ type: 'afu-interrupt', irq: RESPONSE_INTERRUPT });
    return true;
  }
}

/** How often the memory of a command's data is held. */
export class HeldMemory {
  holders = 0;
  hold(): void {
    this.holders += 1;
  }
  release(): void {
    this.holders -= 1;
  }
}
