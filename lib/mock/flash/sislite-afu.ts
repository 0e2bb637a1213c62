/**
 * The SISLite AFU as one context sees it: the registers of its host-transport page, and the
 * execution of commands (IOARCBs) in the memory of the process that the context is bound to.
 */
import {
  AFU_CODES,
  CHUNK_BLOCKS,
  DMA_EXTRA,
  FC_CODES,
  INTERRUPT_BITS,
  INTERRUPT_STATUS,
  IOARCB,
  IOARCB_BYTES,
  IOASA,
  IOASA_BYTES,
  OPCODES,
  REGISTERS,
  REQUEST_FLAGS,
  SCSI_CODES,
  STATUS_FLAGS,
  UNMAP_SUPPORTED,
  WRITE_SAME_UNMAP,
} from '../../flash/sislite';
import { ALL_ONES_64 } from '../../shared/all-ones';
import type { FlashContextRecord, ResourceEntry } from './context-record';
import type { LocalLun, Medium } from './lun';
import type { ContextDevice, ContextPort } from './platform';
import { makeSense, SENSE_CODES, SENSE_KEYS } from './sense';
import type { Storage } from './storage';

/** Injected faults of commands, for all contexts of the adapter. */
export interface CommandFaults {
  /** The statuses that the next commands end with, in order. */
  readonly statuses: Uint8Array[];
  /** While true, commands are accepted but not carried out. */
  held: boolean;
  /** How many commands were carried out, failed ones included. */
  executed: number;
}

/** What the AFU needs of its adapter. */
export interface SisliteAdapter {
  /** Commands are issued by a submission queue rather than the IOARRIN register. */
  readonly squeue: boolean;
  /** How many commands a context can have outstanding. */
  readonly commandRoom: number;
  /** Whether WRITE SAME can unmap. */
  readonly unmap: boolean;
  /** Mask of the ports with a link. */
  readonly portsUp: number;
  readonly faults: CommandFaults;
}

/** How a command ended: what its status (IOASA) says. */
interface Outcome {
  flags?: number;
  afu?: number;
  scsi?: number;
  fc?: number;
  residual?: number;
  afuExtra?: number;
  sense?: Uint8Array;
}

/** Bytes that a command can transfer. */
const MAX_TRANSFER = 16777216n;

/** Blocks that a WRITE SAME with data can write. */
const MAX_WRITE_SAME = 65536n;

/** Commands that a step carries out at most. */
const COMMANDS_PER_STEP = 16;

export class SisliteAfu implements ContextDevice {
  /** Undefined after the last detach: commands then fail for lack of capabilities. */
  record: FlashContextRecord | undefined;
  /** The adapter went into error: registers of this context read as all ones from then on. */
  dead = false;

  readonly #adapter: SisliteAdapter;
  readonly #port: ContextPort;
  #bigEndian = false;
  #status = 0n;
  #mask = INTERRUPT_BITS;
  #control = 0n;
  #rrqStart = 0n;
  #rrqEnd = 0n;
  #rrqNext = 0n;
  #toggle = 1n;
  #sqStart = 0n;
  #sqEnd = 0n;
  #sqHead = 0n;
  #sqTail = 0n;
  #queue: bigint[] = [];

  constructor(adapter: SisliteAdapter, port: ContextPort) {
    this.#adapter = adapter;
    this.#port = port;
  }

  read64(offset: number): bigint {
    if (this.dead) return ALL_ONES_64;
    switch (offset) {
      case REGISTERS.endianControl:
        return this.#bigEndian ? 0x8000_0000_0000_0080n : 0n;
      case REGISTERS.interruptStatus:
        return this.#status;
      case REGISTERS.interruptMask:
        return this.#mask;
      case REGISTERS.rrqStart:
        return this.#rrqStart;
      case REGISTERS.rrqEnd:
        return this.#rrqEnd;
      case REGISTERS.commandRoom:
        return BigInt(this.#adapter.commandRoom - this.#queue.length);
      case REGISTERS.contextControl:
        return this.#control | (this.#adapter.unmap ? UNMAP_SUPPORTED : 0n);
      case REGISTERS.sqStart:
        return this.#sqStart;
      case REGISTERS.sqEnd:
        return this.#sqEnd;
      case REGISTERS.sqHead:
        return this.#sqHead;
      case REGISTERS.sqTail:
        return this.#sqTail;
      default:
        // Among them ioarrin and sq_ctx_reset: 0 says that a reset is complete.
        return 0n;
    }
  }

  write64(offset: number, value: bigint): void {
    if (this.dead) return;
    switch (offset) {
      case REGISTERS.endianControl:
        this.#bigEndian = (value & 0x80n) !== 0n;
        break;
      case REGISTERS.interruptClear:
        this.#status &= ~value;
        break;
      case REGISTERS.interruptMask:
        this.#mask = value;
        break;
      case REGISTERS.ioarrin:
        if (value === 1n) this.#reset();
        else if (!this.#adapter.squeue) this.#accept(value);
        break;
      case REGISTERS.rrqStart:
        this.#rrqStart = value;
        break;
      case REGISTERS.rrqEnd:
        this.#rrqEnd = value;
        this.#rrqNext = this.#rrqStart;
        this.#toggle = 1n;
        break;
      case REGISTERS.contextControl:
        this.#control = value & 0xffn;
        break;
      case REGISTERS.sqStart:
        this.#sqStart = value;
        break;
      case REGISTERS.sqEnd:
        this.#sqEnd = value;
        this.#sqHead = this.#sqStart;
        this.#sqTail = this.#sqStart;
        break;
      case REGISTERS.sqTail:
        if (this.#adapter.squeue) this.#sqTail = value;
        break;
      case REGISTERS.sqContextReset:
        if ((value & 1n) !== 0n) this.#reset();
        break;
      default:
        break;
    }
  }

  step(): boolean {
    if (this.dead || this.#adapter.faults.held) return false;
    let done = 0;
    while (done < COMMANDS_PER_STEP) {
      const address = this.#next();
      if (address === undefined) break;
      this.#execute(address);
      done += 1;
    }
    return done > 0;
  }

  get busy(): boolean {
    return !this.dead && (this.#queue.length > 0 || this.#sqHead !== this.#sqTail);
  }

  /** A context reset drops every command; none gets a response. */
  #reset(): void {
    this.#queue = [];
    this.#sqHead = this.#sqTail;
  }

  #accept(address: bigint): void {
    if (this.#queue.length >= this.#adapter.commandRoom) this.#fail(INTERRUPT_STATUS.commandRoom);
    else this.#queue.push(address);
  }

  #next(): bigint | undefined {
    if (!this.#adapter.squeue) return this.#queue.shift();
    if (this.#sqHead === this.#sqTail || this.#sqEnd === 0n) return undefined;
    const address = this.#sqHead;
    this.#sqHead = address >= this.#sqEnd ? this.#sqStart : address + BigInt(IOARCB_BYTES);
    return address;
  }

  /** An error that no command's status can report: intr_status, and an interrupt if unmasked. */
  #fail(bit: bigint): void {
    this.#status |= bit;
    const interrupt = Number(this.#control & 0xffn);
    if ((this.#mask & bit) === 0n && interrupt !== 0) this.#port.interrupt(interrupt);
  }

  #execute(address: bigint): void {
    const bytes = this.#port.readMemory(address, IOARCB_BYTES);
    if (bytes === undefined || (address & 0xfn) !== 0n) {
      this.#fail(INTERRUPT_STATUS.commandRead);
      return;
    }
    // A copy: what the program writes to the command from now on has no effect.
    const command = new DataView(bytes.slice().buffer);
    this.#adapter.faults.executed += 1;
    const injected = this.#adapter.faults.statuses.shift();
    const status = new Uint8Array(IOASA_BYTES);
    if (injected !== undefined) status.set(this.#ordered(injected));
    else this.#encode(this.#carryOut(command), status);

    const little = !this.#bigEndian;
    const statusAddress = this.#adapter.squeue
      ? command.getBigUint64(IOARCB.statusAddress, little)
      : address + BigInt(IOARCB_BYTES);
    if (!this.#port.writeMemory(statusAddress, status)) {
      this.#fail(INTERRUPT_STATUS.statusWrite);
      return;
    }
    this.#respond(
      this.#adapter.squeue ? statusAddress : address,
      command.getUint8(IOARCB.interrupt),
    );
  }

  /** An injected status in the byte order of this context; it was given big-endian. */
  #ordered(status: Uint8Array): Uint8Array {
    const ordered = status.slice(0, IOASA_BYTES);
    if (!this.#bigEndian && ordered.length >= 8) ordered.subarray(4, 8).reverse();
    return ordered;
  }

  #encode(outcome: Outcome, status: Uint8Array): void {
    const view = new DataView(status.buffer);
    status[IOASA.flags] = outcome.flags ?? 0;
    status[IOASA.afuCode] = outcome.afu ?? 0;
    status[IOASA.scsiCode] = outcome.scsi ?? 0;
    status[IOASA.fcCode] = outcome.fc ?? 0;
    view.setUint32(IOASA.residual, outcome.residual ?? 0, !this.#bigEndian);
    status[IOASA.afuExtra] = outcome.afuExtra ?? 0;
    if (outcome.sense !== undefined) status.set(outcome.sense, IOASA.sense);
  }

  #respond(address: bigint, interrupt: number): void {
    const entry = new Uint8Array(8);
    new DataView(entry.buffer).setBigUint64(0, address | this.#toggle, !this.#bigEndian);
    if (this.#rrqEnd === 0n || !this.#port.writeMemory(this.#rrqNext, entry)) {
      this.#fail(INTERRUPT_STATUS.responseWrite);
      return;
    }
    if (this.#rrqNext >= this.#rrqEnd) {
      this.#rrqNext = this.#rrqStart;
      this.#toggle ^= 1n;
    } else {
      this.#rrqNext += 8n;
    }
    if (interrupt !== 0) this.#port.interrupt(interrupt);
  }

  #carryOut(command: DataView): Outcome {
    const little = !this.#bigEndian;
    const flags = command.getUint16(IOARCB.requestFlags, little);
    const record = this.record;
    // A user context may only read and write, under its own id and by resource handle.
    if (
      record === undefined ||
      record.inError ||
      command.getUint16(IOARCB.contextId, little) !== record.started.processElement ||
      (flags & REQUEST_FLAGS.byResourceHandle) === 0 ||
      (flags & (REQUEST_FLAGS.afuCommand | REQUEST_FLAGS.taskManagement)) !== 0
    ) {
      return { afu: AFU_CODES.capability };
    }
    const handle = command.getUint32(IOARCB.resourceHandle, little);
    if (handle >= record.tableSize) return { afu: AFU_CODES.handleOutOfBounds };
    const operation = command.getUint8(IOARCB.cdb);
    const writes = operation === OPCODES.write16 || operation === OPCODES.writeSame16;
    if (operation !== OPCODES.read16 && !writes) return { afu: AFU_CODES.capability };
    if (operation === OPCODES.writeSame16 && !this.#adapter.unmap)
      return { afu: AFU_CODES.capability };
    // An entry that is not open has no permission.
    const entry = record.table[handle];
    if (entry?.lun === undefined || (entry.permissions & (writes ? 2 : 1)) === 0) {
      return { afu: AFU_CODES.handlePermission };
    }
    // The link aborts a command whose data go the other way than its flag says.
    if (writes !== ((flags & REQUEST_FLAGS.hostWrite) !== 0)) return { fc: FC_CODES.abortOk };

    const lba = command.getBigUint64(IOARCB.cdb + 2, false);
    const blocks = BigInt(command.getUint32(IOARCB.cdb + 10, false));
    return this.#onMedium(entry, entry.lun, command, lba, blocks, operation, flags);
  }

  #onMedium(
    entry: ResourceEntry,
    lun: LocalLun,
    command: DataView,
    lba: bigint,
    blocks: bigint,
    operation: number,
    flags: number,
  ): Outcome {
    const { medium } = lun;
    let place = lba;
    if (entry.kind === 'virtual') {
      const chunk = entry.chunks[Number(lba / CHUNK_BLOCKS)];
      const last = blocks === 0n ? lba : lba + blocks - 1n;
      // A command is translated once, so it must not cross into the next chunk.
      const crosses = last / CHUNK_BLOCKS !== lba / CHUNK_BLOCKS;
      if (chunk === undefined || crosses || this.#exceedsData(command, medium, blocks)) {
        return { afu: AFU_CODES.chunkOutOfBounds };
      }
      place = BigInt(chunk) * CHUNK_BLOCKS + (lba % CHUNK_BLOCKS);
    }
    const ports = entry.kind === 'virtual' ? lun.ports : entry.ports;
    const up = this.#adapter.portsUp;
    if ((ports & up) === 0) {
      return { afu: AFU_CODES.noChannels, afuExtra: ((up & 3) << 2) | (ports & 3) };
    }
    if (place + blocks > medium.blocks) return check(SENSE_CODES.lbaOutOfRange);
    if (blocks === 0n) return {};

    const size = BigInt(medium.blockSize);
    if (operation === OPCODES.writeSame16) return this.#writeSame(command, medium, place, blocks);
    return this.#transfer(
      command,
      medium.storage,
      place * size,
      Number(blocks * size),
      operation === OPCODES.write16,
      flags,
    );
  }

  /**
   * Whether a command to a virtual LUN moves more than a command may, or writes more blocks than
   * its data begin. The AFU reports both as out of the chunks' bounds.
   */
  #exceedsData(command: DataView, { blockSize }: Medium, blocks: bigint): boolean {
    const operation = command.getUint8(IOARCB.cdb);
    if (operation === OPCODES.writeSame16) return false;
    if (blocks * BigInt(blockSize) > MAX_TRANSFER) return true;
    const length = command.getUint32(IOARCB.dataLength, !this.#bigEndian);
    const begun = Math.ceil(length / blockSize);
    return operation === OPCODES.write16 && length > 0 && Number(blocks) > begun;
  }

  /** WRITE SAME: unmaps blocks, or writes one block of data to each of them. */
  #writeSame(command: DataView, medium: Medium, first: bigint, blocks: bigint): Outcome {
    const { storage, blockSize } = medium;
    const size = BigInt(blockSize);
    if ((command.getUint8(IOARCB.cdb + 1) & WRITE_SAME_UNMAP) !== 0) {
      storage.discard(first * size, blocks * size);
      return {};
    }
    const little = !this.#bigEndian;
    const short = command.getUint32(IOARCB.dataLength, little) < blockSize;
    if (short || blocks > MAX_WRITE_SAME) return check(SENSE_CODES.invalidFieldInCdb);
    const data = this.#port.readMemory(command.getBigUint64(IOARCB.dataAddress, little), blockSize);
    if (data === undefined) return badAddress();
    for (let block = first; block < first + blocks; block += 1n) storage.write(block * size, data);
    return {};
  }

  #transfer(
    command: DataView,
    storage: Storage,
    at: bigint,
    bytes: number,
    writing: boolean,
    flags: number,
  ): Outcome {
    const little = !this.#bigEndian;
    const address = command.getBigUint64(IOARCB.dataAddress, little);
    const offered = command.getUint32(IOARCB.dataLength, little);
    const moved = Math.min(offered, bytes);
    if (writing) {
      // The target refuses a write whose data are fewer than its CDB says.
      if (offered < bytes) return check(SENSE_CODES.invalidFieldInCdb);
      const data = this.#port.readMemory(address, moved);
      if (data === undefined) return badAddress();
      storage.write(at, data);
    } else {
      const data = new Uint8Array(moved);
      storage.read(at, data);
      if (moved > 0 && !this.#port.writeMemory(address, data)) return badAddress();
    }
    if (offered < bytes) {
      return { flags: STATUS_FLAGS.overrun, fc: FC_CODES.residual, residual: bytes - offered };
    }
    if (offered > bytes && (flags & REQUEST_FLAGS.suppressUnderrun) === 0) {
      return { flags: STATUS_FLAGS.underrun, fc: FC_CODES.residual, residual: offered - bytes };
    }
    return {};
  }
}

function badAddress(): Outcome {
  return { afu: AFU_CODES.dataDma, afuExtra: DMA_EXTRA.invalidAddress };
}

/** CHECK CONDITION, illegal request. */
function check(code: number): Outcome {
  const sense = makeSense(SENSE_KEYS.illegalRequest, code);
  return { flags: STATUS_FLAGS.senseValid, scsi: SCSI_CODES.check, sense };
}
