/**
 * The memory a context's AFU works in, and its rings: command slots (IOARCB and IOASA), the
 * response ring (RRQ), the submission ring (SQ mode) and a bounce buffer a slot. JavaScript
 * writes a slot only while it owns it; the MMIO store that hands it over is the barrier.
 */
import type { Cxl } from '../device/cxl';
import type { Memory } from '../device/memory';
import type { ProblemState } from '../device/problem-state';
import { readStatus } from './command-status';
import {
  type CommandStatus,
  endianControl,
  interruptBits,
  ioarcb,
  ioarcbBytes,
  registers,
  requestFlags,
  responseInterrupt,
  syncErrorInterrupt,
  unmapSupported,
} from './sislite';

const slotBytes = 128;
const alignment = 65536;
/** Milliseconds. The driver gives it about as long. */
const longestReset = 100;

export interface RingOptions {
  readonly depth: number;
  /** Bytes of each slot's bounce buffer. */
  readonly bounceBytes: number;
  readonly endian: 'big' | 'little';
  readonly squeue: boolean;
}

/** What is put into an IOARCB. */
export interface SlotCommand {
  readonly contextId: number;
  readonly handle: number;
  readonly operation: number;
  /** CDB byte 1. */
  readonly modifier: number;
  readonly lba: bigint;
  readonly blocks: number;
  readonly dataAddress: bigint;
  readonly dataLength: number;
  readonly hostWrite: boolean;
  /** Seconds. */
  readonly timeout: number;
}

export class Ring {
  readonly depth: number;
  readonly bounceBytes: number;
  private readonly memory: Memory;
  private readonly view: DataView;
  private readonly bytes: Uint8Array;
  private readonly little: boolean;
  private readonly order: { readonly endian: 'big' | 'little' };
  private readonly squeue: boolean;
  private readonly responses: number;
  private readonly submissions: number;
  private readonly bounces: number;
  private next = 0;
  private toggle = 1n;
  private submission = 0;

  constructor(system: Cxl, options: RingOptions) {
    this.depth = options.depth;
    this.bounceBytes = options.bounceBytes;
    this.squeue = options.squeue;
    this.little = options.endian === 'little';
    this.order = { endian: options.endian };
    this.responses = this.depth * slotBytes;
    this.submissions = align(this.responses + this.depth * 8, 64);
    // One submission slot stays empty: a full ring would look like an empty one.
    this.bounces = align(this.submissions + (this.depth + 1) * ioarcbBytes, 4096);
    const size = this.bounces + this.depth * this.bounceBytes;
    this.memory = system.allocate(size, { alignment });
    this.view = new DataView(this.memory.buffer);
    this.bytes = new Uint8Array(this.memory.buffer);
  }

  /** Programs a fresh or recovered context for this memory. Whether unmap works on it. */
  program(page: ProblemState): boolean {
    this.next = 0;
    this.toggle = 1n;
    this.submission = 0;
    this.bytes.fill(0, this.responses, this.submissions);
    const { address } = this.memory;
    page.write64(registers.endianControl, endianControl[this.order.endian]);
    page.write64(registers.rrqStart, address + BigInt(this.responses));
    page.write64(registers.rrqEnd, address + BigInt(this.responses + (this.depth - 1) * 8));
    if (this.squeue) {
      const start = address + BigInt(this.submissions);
      page.write64(registers.sqStart, start);
      page.write64(registers.sqEnd, start + BigInt(this.depth * ioarcbBytes));
    }
    const control = page.read64(registers.contextControl);
    page.write64(registers.contextControl, BigInt(syncErrorInterrupt));
    page.write64(registers.interruptMask, BigInt.asUintN(64, ~interruptBits));
    return (control & unmapSupported) !== 0n;
  }

  bounceAddress(slot: number): bigint {
    return this.memory.address + BigInt(this.bounces + slot * this.bounceBytes);
  }

  /** The bounce buffer of a slot that JavaScript owns. */
  bounce(slot: number, length: number): Uint8Array {
    const start = this.bounces + slot * this.bounceBytes;
    return this.bytes.subarray(start, start + length);
  }

  /** Fills a slot and hands it to the AFU. */
  issue(page: ProblemState, slot: number, command: SlotCommand): void {
    const at = slot * slotBytes;
    this.fill(at, command);
    const address = this.memory.address + BigInt(at);
    if (!this.squeue) {
      page.write64(registers.ioarrin, address);
      return;
    }
    this.view.setBigUint64(at + ioarcb.statusAddress, address + BigInt(ioarcbBytes), this.little);
    const ring = this.submissions;
    this.bytes.copyWithin(ring + this.submission * ioarcbBytes, at, at + ioarcbBytes);
    this.submission = (this.submission + 1) % (this.depth + 1);
    const tail = this.memory.address + BigInt(ring + this.submission * ioarcbBytes);
    page.write64(registers.sqTail, tail);
  }

  private fill(at: number, command: SlotCommand): void {
    const { view, little } = this;
    this.bytes.fill(0, at, at + slotBytes);
    const write = command.hostWrite ? requestFlags.hostWrite : 0;
    view.setUint16(at + ioarcb.contextId, command.contextId, little);
    view.setUint16(at + ioarcb.requestFlags, requestFlags.byResourceHandle | write, little);
    view.setUint32(at + ioarcb.resourceHandle, command.handle, little);
    view.setUint32(at + ioarcb.dataLength, command.dataLength, little);
    view.setBigUint64(at + ioarcb.dataAddress, command.dataAddress, little);
    view.setUint8(at + ioarcb.interrupt, responseInterrupt);
    view.setUint16(at + ioarcb.timeout, command.timeout, little);
    // The CDB is big-endian whatever the context's order.
    view.setUint8(at + ioarcb.cdb, command.operation);
    view.setUint8(at + ioarcb.cdb + 1, command.modifier);
    view.setBigUint64(at + ioarcb.cdb + 2, command.lba, false);
    view.setUint32(at + ioarcb.cdb + 10, command.blocks, false);
  }

  /** The slot of the next response, or -1 when there is none yet. */
  response(): number {
    const at = this.responses + this.next * 8;
    const entry = this.memory.load64(at, this.order);
    if ((entry & 1n) !== this.toggle) return -1;
    this.next += 1;
    if (this.next === this.depth) {
      this.next = 0;
      this.toggle ^= 1n;
    }
    return Number((entry & ~1n) - this.memory.address) >> 7;
  }

  status(slot: number): CommandStatus {
    return readStatus(this.view, slot * slotBytes + ioarcbBytes, this.little);
  }

  /** Ends every command of the context; true once the AFU says that it has. */
  reset(page: ProblemState): boolean {
    const register = this.squeue ? registers.sqContextReset : registers.ioarrin;
    page.write64(register, 1n);
    const end = performance.now() + longestReset;
    do {
      if ((page.read64(register) & 1n) === 0n) return true;
    } while (performance.now() < end);
    return false;
  }

  /** The context is closed: no AFU reaches the memory any more. */
  free(): void {
    this.memory.free({ force: true });
  }
}

function align(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
