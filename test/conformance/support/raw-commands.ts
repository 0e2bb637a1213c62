/**
 * Commands (IOARCBs) as a program in C writes them, without this library's queue: one at a time,
 * by the registers of a flash context, in either command mode.
 */
import type { Cxl, Memory } from 'node-cxl';
import type { CommandStatus, FlashContext } from 'node-cxl/flash';
import { readStatus } from '../../../lib/flash/command-status';
import {
  ENDIAN_CONTROL,
  IOARCB,
  IOARCB_BYTES,
  OPCODES,
  REGISTERS,
  REQUEST_FLAGS,
} from '../../../lib/flash/sislite';
import type { CommandMode } from '../flash-target';

export interface RawCommand {
  /** Default: the resource's handle, which the constructor was given. */
  readonly handle?: number;
  /** Default `read16`. */
  readonly opcode?: number;
  /** Byte 1 of the CDB. Default 0. */
  readonly cdbFlags?: number;
  /** Default: HOST_WRITE for a write. */
  readonly hostWrite?: boolean;
  readonly lba?: bigint;
  /** Default 1. */
  readonly blocks?: number;
  /** Default: the address of `data`. */
  readonly dataAddress?: bigint;
  /** Default: `blocks` of 4096 bytes. */
  readonly dataLength?: number;
}

/** Offsets in the page of commands and responses. */
const COMMAND = 0;
const STATUS = 1024;
const RESPONSES = 2048;
const RESPONSE_ENTRIES = 8;
/** The ring of commands has two slots; in IOARRIN mode a command is followed by its status. */
const RING_BYTES = 2 * IOARCB_BYTES;
const ENDIAN = { endian: 'big' } as const;

export class RawCommands {
  /** Where data come from and go to. */
  readonly data: Memory;
  readonly #structures: Memory;
  readonly #context: FlashContext;
  readonly #handle: number;
  readonly #mode: CommandMode;
  #slot = 0;
  #response = 0;
  #toggle = 1n;

  constructor(system: Cxl, context: FlashContext, handle: number, mode: CommandMode) {
    this.data = system.allocate(65536);
    this.#structures = system.allocate(4096);
    this.#context = context;
    this.#handle = handle;
    this.#mode = mode;
    const page = context.registers;
    const base = this.#structures.address;
    page.write64(REGISTERS.endianControl, ENDIAN_CONTROL.big);
    page.write64(REGISTERS.rrqStart, base + BigInt(RESPONSES));
    page.write64(REGISTERS.rrqEnd, base + BigInt(RESPONSES + 8 * (RESPONSE_ENTRIES - 1)));
    if (mode === 'sq') {
      page.write64(REGISTERS.sqStart, base + BigInt(COMMAND));
      page.write64(REGISTERS.sqEnd, base + BigInt(COMMAND + RING_BYTES - IOARCB_BYTES));
    }
  }

  /** Issues a command and waits for its status. */
  async run(command: RawCommand = {}): Promise<CommandStatus> {
    const at = this.#write(command);
    const page = this.#context.registers;
    const base = this.#structures.address;
    if (this.#mode === 'sq') {
      this.#slot ^= 1;
      page.write64(REGISTERS.sqTail, base + BigInt(COMMAND + this.#slot * IOARCB_BYTES));
    } else {
      page.write64(REGISTERS.ioarrin, base + BigInt(at));
    }
    await this.#responded();
    const bytes = this.#structures.buffer;
    const status = this.#mode === 'sq' ? STATUS : at + IOARCB_BYTES;
    return readStatus(new DataView(bytes), status, false);
  }

  free(): void {
    this.data.free();
    this.#structures.free();
  }

  /** Where the command is. */
  #write(command: RawCommand): number {
    const opcode = command.opcode ?? OPCODES.read16;
    const blocks = command.blocks ?? 1;
    const hostWrite = command.hostWrite ?? opcode !== OPCODES.read16;
    const at = COMMAND + (this.#mode === 'sq' ? this.#slot * IOARCB_BYTES : 0);
    const view = new DataView(this.#structures.buffer, at, IOARCB_BYTES);
    for (let byte = 0; byte < IOARCB_BYTES; byte += 8) view.setBigUint64(byte, 0n);
    view.setUint16(IOARCB.contextId, Number(this.#context.id & 0xffffn));
    const flags = REQUEST_FLAGS.byResourceHandle | (hostWrite ? REQUEST_FLAGS.hostWrite : 0);
    view.setUint16(IOARCB.requestFlags, flags);
    view.setUint32(IOARCB.resourceHandle, command.handle ?? this.#handle);
    view.setUint32(IOARCB.dataLength, command.dataLength ?? blocks * 4096);
    view.setBigUint64(IOARCB.dataAddress, command.dataAddress ?? this.data.address);
    view.setUint8(IOARCB.cdb, opcode);
    view.setUint8(IOARCB.cdb + 1, command.cdbFlags ?? 0);
    view.setBigUint64(IOARCB.cdb + 2, command.lba ?? 0n);
    view.setUint32(IOARCB.cdb + 10, blocks);
    if (this.#mode === 'sq') {
      view.setBigUint64(IOARCB.statusAddress, this.#structures.address + BigInt(STATUS));
    }
    return at;
  }

  async #responded(): Promise<void> {
    const offset = RESPONSES + 8 * this.#response;
    const end = performance.now() + 5000;
    while ((this.#structures.load64(offset, ENDIAN) & 1n) !== this.#toggle) {
      if (performance.now() > end) throw new Error('the AFU did not respond to the command');
      await new Promise(setImmediate);
    }
    this.#response += 1;
    if (this.#response < RESPONSE_ENTRIES) return;
    this.#response = 0;
    this.#toggle ^= 1n;
  }
}
