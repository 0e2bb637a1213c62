/**
 * The memory that a context's AFU uses: command slots (IOARCB and IOASA), the response ring (RRQ),
 * the submission ring (SQ mode) and a bounce buffer for each slot.
 *
 * JavaScript writes a slot only while the AFU does not use it. The MMIO store that passes a slot to
 * the AFU includes the memory barrier.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../device/context';
import type { Cxl } from '../device/cxl';
import type { Memory } from '../device/memory';
import type { ProblemState } from '../device/problem-state';
import { ALL_ONES_64 } from '../shared/all-ones';
import { stateError, systemError } from '../shared/errors';
import type { Command } from './command';
import { readStatus } from './command-status';
import {
  type CommandStatus,
  ENDIAN_CONTROL,
  INTERRUPT_BITS,
  IOARCB,
  IOARCB_BYTES,
  REGISTERS,
  REQUEST_FLAGS,
  RESPONSE_INTERRUPT,
  SYNC_ERROR_INTERRUPT,
  UNMAP_SUPPORTED,
} from './sislite';

const SLOT_BYTES = 128;
const SLOT_SHIFT = 7;
const ALIGNMENT = 65536;
/** Milliseconds to wait for a context reset; the driver waits about as long. */
const RESET_TIMEOUT = 100;

export interface RingOptions {
  readonly depth: number;
  /** Bytes of each slot's bounce buffer. */
  readonly bounceBytes: number;
  readonly endian: 'big' | 'little';
  readonly squeue: boolean;
}

/** response(): no further command has completed. */
export const NO_RESPONSE = -1;
/** response(): the entry is not that of a slot. */
const NO_SLOT = -2;

// The program's own class of bytes may have other methods of that name.
const { set: setBytes } = Uint8Array.prototype;

/** The command slots and rings of one context. */
export class Ring {
  readonly depth: number;
  readonly bounceBytes: number;
  readonly #memory: Memory;
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #little: boolean;
  readonly #order: { readonly endian: 'big' | 'little' };
  readonly #squeue: boolean;
  readonly #responses: number;
  readonly #submissions: number;
  readonly #bounces: number;
  #next = 0;
  #toggle = 1n;
  #submission = 0;
  /** How many commands in the submission ring have not been announced. */
  #unannounced = 0;

  constructor(system: Cxl, options: RingOptions) {
    this.depth = options.depth;
    this.bounceBytes = options.bounceBytes;
    this.#squeue = options.squeue;
    this.#little = options.endian === 'little';
    this.#order = { endian: options.endian };
    this.#responses = this.depth * SLOT_BYTES;
    this.#submissions = align(this.#responses + this.depth * 8, 64);
    // One entry more than commands: a full ring would look like an empty one.
    this.#bounces = align(this.#submissions + (this.depth + 1) * IOARCB_BYTES, 4096);
    const size = this.#bounces + this.depth * this.bounceBytes;
    this.#memory = system.allocate(size, { alignment: ALIGNMENT });
    this.#view = new DataView(this.#memory.buffer);
    this.#bytes = new Uint8Array(this.#memory.buffer);
  }

  /** Keeps the memory until the context is closed. */
  holdBy(context: Context): void {
    context.hold(this.#memory);
  }

  /**
   * Programs a new or recovered context to use this memory. Returns whether it can unmap.
   *
   * @throws EIO the adapter is in error
   */
  program(page: ProblemState): boolean {
    this.#next = 0;
    this.#toggle = 1n;
    this.#submission = 0;
    this.#unannounced = 0;
    this.#bytes.fill(0, this.#responses, this.#submissions);
    const { address } = this.#memory;
    page.write64(REGISTERS.endianControl, ENDIAN_CONTROL[this.#order.endian]);
    page.write64(REGISTERS.rrqStart, address + BigInt(this.#responses));
    page.write64(REGISTERS.rrqEnd, address + BigInt(this.#responses + (this.depth - 1) * 8));
    if (this.#squeue) {
      const start = address + BigInt(this.#submissions);
      page.write64(REGISTERS.sqStart, start);
      page.write64(REGISTERS.sqEnd, start + BigInt(this.depth * IOARCB_BYTES));
    }
    const control = page.read64(REGISTERS.contextControl);
    if (control === ALL_ONES_64) throw systemError('EIO', 'mmio');
    page.write64(REGISTERS.contextControl, BigInt(SYNC_ERROR_INTERRUPT));
    page.write64(REGISTERS.interruptMask, BigInt.asUintN(64, ~INTERRUPT_BITS));
    return (control & UNMAP_SUPPORTED) !== 0n;
  }

  /**
   * Copies the data of a command to the bounce buffer of its slot.
   *
   * @throws ERR_INVALID_STATE the data's buffer was detached or resized
   */
  copyIn({ slot, data }: Command): void {
    if (data.bytes === undefined) return;
    checkBytes(data.bytes, data.length);
    this.#bytes.set(data.bytes, this.#bounces + slot * this.bounceBytes);
  }

  /** Copies from the bounce buffer, as copyIn() to it. */
  copyOut({ slot, data }: Command): void {
    if (data.bytes === undefined) return;
    checkBytes(data.bytes, data.length);
    const start = this.#bounces + slot * this.bounceBytes;
    setBytes.call(data.bytes, this.#bytes.subarray(start, start + data.length));
  }

  /**
   * Fills the slot of a command and passes it to the AFU, with a submission ring only when announce()
   * is called.
   */
  issue(page: ProblemState, command: Command, contextNumber: number, timeout: number): void {
    const at = command.slot * SLOT_BYTES;
    this.#fill(at, command, contextNumber, timeout);
    const address = this.#memory.address + BigInt(at);
    if (!this.#squeue) {
      page.write64(REGISTERS.ioarrin, address);
      return;
    }
    this.#view.setBigUint64(
      at + IOARCB.statusAddress,
      address + BigInt(IOARCB_BYTES),
      this.#little,
    );
    const ring = this.#submissions;
    this.#bytes.copyWithin(ring + this.#submission * IOARCB_BYTES, at, at + IOARCB_BYTES);
    this.#submission = (this.#submission + 1) % (this.depth + 1);
    this.#unannounced += 1;
  }

  get unannounced(): number {
    return this.#unannounced;
  }

  /** Tells the AFU how far the submission ring is filled: one store for all commands since the last. */
  announce(page: ProblemState): void {
    this.#unannounced = 0;
    const tail = this.#submissions + this.#submission * IOARCB_BYTES;
    page.write64(REGISTERS.sqTail, this.#memory.address + BigInt(tail));
  }

  #fill(at: number, command: Command, contextNumber: number, timeout: number): void {
    const view = this.#view;
    const little = this.#little;
    this.#bytes.fill(0, at, at + SLOT_BYTES);
    const { data, slot } = command;
    const bounce = this.#bounces + slot * this.bounceBytes;
    const address = data.bytes === undefined ? data.address : this.#memory.address + BigInt(bounce);
    const write = command.hostWrite ? REQUEST_FLAGS.hostWrite : 0;
    view.setUint16(at + IOARCB.contextId, contextNumber, little);
    view.setUint16(at + IOARCB.requestFlags, REQUEST_FLAGS.byResourceHandle | write, little);
    view.setUint32(at + IOARCB.resourceHandle, command.resource.handle, little);
    view.setUint32(at + IOARCB.dataLength, data.length, little);
    view.setBigUint64(at + IOARCB.dataAddress, address, little);
    view.setUint8(at + IOARCB.interrupt, RESPONSE_INTERRUPT);
    // In seconds: no unit is set in the request flags.
    view.setUint16(at + IOARCB.timeout, Math.ceil(timeout / 1000), little);
    // The CDB is big-endian whatever the context's order.
    view.setUint8(at + IOARCB.cdb, command.operation);
    view.setUint8(at + IOARCB.cdb + 1, command.modifier);
    view.setBigUint64(at + IOARCB.cdb + 2, command.lba, false);
    view.setUint32(at + IOARCB.cdb + 10, command.blocks, false);
  }

  /** The slot of the next completed command, or NO_RESPONSE. */
  response(): number {
    const at = this.#responses + this.#next * 8;
    const entry = this.#memory.load64(at, this.#order);
    if ((entry & 1n) !== this.#toggle) return NO_RESPONSE;
    this.#next += 1;
    if (this.#next === this.depth) {
      this.#next = 0;
      this.#toggle ^= 1n;
    }
    const offset = Number((entry & ~1n) - this.#memory.address);
    return offset >= 0 && offset < this.depth * SLOT_BYTES ? offset >> SLOT_SHIFT : NO_SLOT;
  }

  /** The status of a slot; undefined when it is all zeros, which means success. */
  status(slot: number): CommandStatus | undefined {
    const at = slot * SLOT_BYTES + IOARCB_BYTES;
    if (this.#view.getUint32(at) === 0) return undefined;
    return readStatus(this.#view, at, this.#little);
  }

  /**
   * Resets the context, which ends all its commands. Returns whether that completed in time. The
   * AFU goes on in its rings where it was.
   */
  async reset(page: ProblemState): Promise<boolean> {
    if (page.read64(REGISTERS.endianControl) === ALL_ONES_64) return false;
    const register = this.#squeue ? REGISTERS.sqContextReset : REGISTERS.ioarrin;
    this.#unannounced = 0;
    page.write64(register, 1n);
    const end = performance.now() + RESET_TIMEOUT;
    for (;;) {
      // Before the look: this process may have paused, and the reset ended meanwhile.
      const late = performance.now() > end;
      if ((page.read64(register) & 1n) === 0n) break;
      if (late) return false;
      await sleep(1);
    }
    if (this.#squeue) this.#findTail(page);
    return true;
  }

  /** A store to sq_tail that faulted may have reached the AFU, or not. */
  #findTail(page: ProblemState): void {
    const ring = this.#memory.address + BigInt(this.#submissions);
    const entry = Number(page.read64(REGISTERS.sqTail) - ring) / IOARCB_BYTES;
    // Before the first command it is no entry of the ring.
    const known = Number.isInteger(entry) && entry >= 0 && entry <= this.depth;
    this.#submission = known ? entry : 0;
  }

  /** To be called when the context is closed, so that no AFU uses the memory. */
  free(): void {
    this.#memory.free({ force: true });
  }
}

function align(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

function checkBytes(bytes: Uint8Array, length: number): void {
  if (bytes.length === length) return;
  throw stateError('the buffer of the data was detached or resized before the transfer was over');
}
