/**
 * LUNs as the driver knows them: one global record for every path to a LUN (struct glun_info),
 * and a local one for each adapter that reaches it (struct llun_info).
 */
import type { ChunkAllocator } from './chunks';
import type { Storage } from './storage';

export type LunMode = 'none' | 'virtual' | 'physical';

/** The target behind a LUN: its blocks and its capacity. */
export class Medium {
  readonly storage: Storage;
  readonly blockSize: number;
  /** Capacity in blocks. Fault injection can change it. */
  blocks: bigint;
  /** False: reading the capacity fails, which the driver reports as ENODEV. */
  readable = true;

  constructor(storage: Storage, blockSize: number, blocks: bigint) {
    this.storage = storage;
    this.blockSize = blockSize;
    this.blocks = blocks;
  }
}

/** What all adapters share of a LUN: its mode, its users and its chunks. */
export class GlobalLun {
  readonly wwid: string;
  mode: LunMode = 'none';
  users = 0;
  /** From the last capacity read; 0 before the first. */
  lastLba = 0n;
  blockSize = 0;
  chunks: ChunkAllocator | undefined;

  constructor(wwid: string) {
    this.wwid = wwid;
  }

  /** Adds a user. False when the LUN is in use in the other mode. */
  attach(mode: 'virtual' | 'physical'): boolean {
    if (this.mode === 'none') this.mode = mode;
    else if (this.mode !== mode) return false;
    this.users += 1;
    return true;
  }

  /** Removes a user. After the last one the LUN has no mode and no chunks. */
  detach(): void {
    this.users -= 1;
    if (this.users === 0) {
      this.mode = 'none';
      this.chunks = undefined;
    }
  }
}

/** The driver's list of LUNs, shared by all its adapters. */
export class GlobalLuns {
  readonly #byWwid = new Map<string, GlobalLun>();

  /** The LUN with that WWID, made at its first use. */
  get(wwid: string): GlobalLun {
    let lun = this.#byWwid.get(wwid);
    if (lun === undefined) {
      lun = new GlobalLun(wwid);
      this.#byWwid.set(wwid, lun);
    }
    return lun;
  }
}

/** A LUN on one adapter. */
export class LocalLun {
  readonly global: GlobalLun;
  readonly medium: Medium;
  /** The ports it is reached by, as a mask. */
  ports = 0;
  /** Whether it has a place in the adapter's LUN table. */
  inTable = false;

  constructor(global: GlobalLun, medium: Medium) {
    this.global = global;
    this.medium = medium;
  }
}

/** A path to a LUN (struct scsi_device): it has a /dev/sdX and a /dev/sgN. */
export interface LunPath {
  readonly port: number;
  readonly target: number;
  readonly lun: number;
  readonly wwid: string;
  readonly medium: Medium;
  /** Set while superpipe is enabled on this path. */
  local: LocalLun | undefined;
}
