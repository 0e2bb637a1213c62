/**
 * The driver's record of a context (struct ctx_info): its owner, the LUNs it is attached to,
 * and its resource handle table.
 */
import type { LocalLun, LunPath } from './lun';
import type { StartedContext } from './platform';

/** An entry of the resource handle table. */
export interface ResourceEntry {
  kind: 'free' | 'virtual' | 'physical';
  /** Bit 0 read, bit 1 write. */
  permissions: number;
  lun: LocalLun | undefined;
  /**
   * Virtual: its chunks in the order of its blocks. When an open fails, the entry is freed but
   * keeps them, and the next open of this entry finds them, as in the driver.
   */
  chunks: number[];
  needsWriteSame: boolean;
  /** Physical: a mask with the port it was opened through. */
  ports: number;
}

/** A LUN that a context is attached to, and the path the ATTACH came by. */
export interface LunAccess {
  readonly lun: LocalLun;
  readonly path: LunPath;
}

/** The driver makes a context's id from the record's address: the model counts up from this one. */
const FIRST_ADDRESS = 0xc000000012340n;
const ADDRESS_STEP = 0x40n;
let lastAddress = FIRST_ADDRESS;

export class FlashContextRecord {
  /** What the program knows the context by; the low half is the process element. */
  id: bigint;
  readonly processId: number;
  readonly permissions: number;
  readonly interrupts: number;
  started: StartedContext;
  /** ATTACH calls less DETACH calls. A clone adds LUNs but does not add to it. */
  references = 1;
  readonly luns: LunAccess[] = [];
  readonly table: ResourceEntry[] = [];
  /** The adapter was reset, and RECOVER_AFU has not been called since. */
  inError = false;

  /** Entries that the table can have. */
  readonly tableSize: number;
  readonly #address: bigint;

  constructor(
    started: StartedContext,
    processId: number,
    permissions: number,
    interrupts: number,
    tableSize: number,
  ) {
    lastAddress += ADDRESS_STEP;
    this.#address = lastAddress;
    this.started = started;
    this.id = this.#encode(started.processElement);
    this.processId = processId;
    this.permissions = permissions;
    this.interrupts = interrupts;
    this.tableSize = tableSize;
  }

  #encode(processElement: number): bigint {
    return BigInt.asUintN(64, (this.#address & 0xffffffff0n) << 28n) | BigInt(processElement);
  }

  /** Recovery gives the context a new process element and descriptor, and so a new id. */
  rebind(started: StartedContext): void {
    this.started = started;
    this.id = this.#encode(started.processElement);
    this.inError = false;
  }

  get hasOpenHandles(): boolean {
    return this.table.some((entry) => entry.kind !== 'free');
  }

  /** Whether the context is attached to the LUN. */
  reaches(lun: LocalLun): boolean {
    return this.luns.some((access) => access.lun === lun);
  }

  /** Takes the lowest free handle; undefined when the table is full. */
  checkOut(lun: LocalLun, kind: 'virtual' | 'physical'): number | undefined {
    let handle = this.table.findIndex((entry) => entry.kind === 'free');
    if (handle < 0) {
      if (this.table.length >= this.tableSize) return undefined;
      handle = this.table.length;
      this.table.push(freeEntry());
    }
    const entry = this.table[handle] as ResourceEntry;
    entry.kind = kind;
    entry.lun = lun;
    entry.permissions = this.permissions;
    return handle;
  }

  checkIn(handle: number): void {
    const entry = this.table[handle];
    if (entry === undefined) return;
    entry.kind = 'free';
    entry.permissions = 0;
    entry.lun = undefined;
    entry.needsWriteSame = false;
    entry.ports = 0;
  }

  /** The entry of a handle, if it is open and belongs to this LUN. */
  entry(handle: bigint, lun: LocalLun): ResourceEntry | undefined {
    // The driver ignores the upper half of the handle.
    const entry = this.table[Number(BigInt.asUintN(32, handle))];
    return entry !== undefined && entry.kind !== 'free' && entry.lun === lun ? entry : undefined;
  }

  /** The entry at `handle`, made if there is none: a clone has the same handles as its source. */
  place(handle: number): ResourceEntry {
    while (this.table.length <= handle) this.table.push(freeEntry());
    return this.table[handle] as ResourceEntry;
  }
}

function freeEntry(): ResourceEntry {
  return {
    kind: 'free',
    permissions: 0,
    lun: undefined,
    chunks: [],
    needsWriteSame: false,
    ports: 0,
  };
}
