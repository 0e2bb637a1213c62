/**
 * A context's record in the driver (ctx_info): who owns it, which LUNs it reaches, and its
 * resource handle table.
 */
import type { LocalLun, LunPath } from './lun';

/** An entry of the resource handle table. */
export interface ResourceEntry {
  kind: 'free' | 'virtual' | 'physical';
  /** Bit 0 read, bit 1 write. */
  permissions: number;
  lun: LocalLun | undefined;
  /**
   * Chunks in the order of their virtual addresses. Stays when a failed open gives the entry
   * back, as the driver's table does: the next open of it finds them.
   */
  chunks: number[];
  needsWriteSame: boolean;
  /** Physical: the port it was opened through, as a mask. */
  ports: number;
}

/** One LUN a context was attached through. */
export interface LunAccess {
  readonly lun: LocalLun;
  readonly path: LunPath;
}

/** What the context's descriptor leads to. */
export interface KernelContext {
  readonly processElement: number;
  readonly fd: number;
}

let cookies = 0xc000000012340n;

export class FlashContextRecord {
  /** The cookie; its low half is the process element. */
  id: bigint;
  readonly processId: number;
  readonly permissions: number;
  readonly interrupts: number;
  kernel: KernelContext;
  /** Attaches that have not been detached. Clone adds LUNs without adding to it. */
  references = 1;
  readonly luns: LunAccess[] = [];
  readonly table: ResourceEntry[] = [];
  /** The adapter was reset under it, and it was not recovered yet. */
  inError = false;
  /** A verify or a scrub has let go of the lock: others are refused meanwhile. */
  unavailable = false;

  private readonly address: bigint;
  private readonly tableSize: number;

  constructor(
    kernel: KernelContext,
    processId: number,
    permissions: number,
    interrupts: number,
    tableSize: number,
  ) {
    cookies += 0x40n;
    this.address = cookies;
    this.kernel = kernel;
    this.id = this.encode(kernel.processElement);
    this.processId = processId;
    this.permissions = permissions;
    this.interrupts = interrupts;
    this.tableSize = tableSize;
  }

  private encode(processElement: number): bigint {
    return BigInt.asUintN(64, (this.address & 0xffffffff0n) << 28n) | BigInt(processElement);
  }

  /** A recovered context keeps its record and gets a new process element. */
  rebind(kernel: KernelContext): void {
    this.kernel = kernel;
    this.id = this.encode(kernel.processElement);
    this.inError = false;
  }

  get openHandles(): number {
    return this.table.reduce((count, entry) => count + (entry.kind === 'free' ? 0 : 1), 0);
  }

  /** The lowest free handle, taken; undefined when the table is full. */
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

  /** The entry, if it is open and belongs to this LUN. */
  entry(handle: bigint, lun: LocalLun): ResourceEntry | undefined {
    // The driver keeps 32 bits of the handle.
    const entry = this.table[Number(BigInt.asUintN(32, handle))];
    return entry !== undefined && entry.kind !== 'free' && entry.lun === lun ? entry : undefined;
  }

  /** The entry at `handle`, made if there is none yet: clone fills the same places. */
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
