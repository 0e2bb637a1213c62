/**
 * A LUN as the driver sees it: one global record shared by every path to it (the driver's
 * glun_info), and the local ones that tie it to an adapter's ports (llun_info).
 */
import type { ChunkAllocator } from './chunks';
import type { Storage } from './storage';

export type LunMode = 'none' | 'virtual' | 'physical';

/** The medium: what answers SCSI commands. */
export class Medium {
  readonly storage: Storage;
  readonly blockSize: number;
  /** Blocks; changes when the array behind it grows the LUN. */
  blocks: bigint;
  /** A capacity read that does not answer: the driver's ENODEV. */
  readable = true;

  constructor(storage: Storage, blockSize: number, blocks: bigint) {
    this.storage = storage;
    this.blockSize = blockSize;
    this.blocks = blocks;
  }
}

/** Across adapters: mode, users and chunks. */
export class GlobalLun {
  readonly wwid: string;
  mode: LunMode = 'none';
  users = 0;
  /** What the last capacity read said; 0 when none was made. */
  lastLba = 0n;
  blockSize = 0;
  chunks: ChunkAllocator | undefined;

  constructor(wwid: string) {
    this.wwid = wwid;
  }

  /** One mode at a time: false when it is in use in the other one. */
  attach(mode: 'virtual' | 'physical'): boolean {
    if (this.mode === 'none') this.mode = mode;
    else if (this.mode !== mode) return false;
    this.users += 1;
    return true;
  }

  /** The last user takes the mode and the chunks with it. */
  detach(): void {
    this.users -= 1;
    if (this.users === 0) {
      this.mode = 'none';
      this.chunks = undefined;
    }
  }
}

/** On one adapter: the ports it is reached by. */
export class LocalLun {
  readonly global: GlobalLun;
  readonly medium: Medium;
  /** Bit n: port n. */
  ports = 0;

  constructor(global: GlobalLun, medium: Medium) {
    this.global = global;
    this.medium = medium;
  }
}

/** A path to a LUN: what /dev/sdX and /dev/sgX stand for (the driver's scsi_device). */
export interface LunPath {
  readonly port: number;
  readonly target: number;
  readonly lun: number;
  readonly wwid: string;
  readonly medium: Medium;
  /** Set while superpipe is enabled on this path. */
  local: LocalLun | undefined;
}
