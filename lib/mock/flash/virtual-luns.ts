/** Virtual LUNs (vlun.c): chunks of a LUN given to a resource handle, and cloned. */

import type {
  CallAnswer,
  CloneInput,
  OpenAnswer,
  ResizeInput,
  SizeAnswer,
  VirtualInput,
} from '../../binding/flash';
import { flashFlags } from '../../binding/flash';
import { chunkBlocks } from '../../flash/sislite';
import { errnos } from '../../shared/errno';
import { ChunkAllocator } from './chunks';
import type { LocalLun, LunPath } from './lun';
import type { Caller } from './platform';
import type { FlashContextRecord, LunAccess, ResourceEntry } from './resources';
import { chunksFor, type Superpipe } from './superpipe';

/** In 4 KiB blocks; all ones for an empty one. */
export function lastLbaOf(chunks: bigint, blockSize: number): bigint {
  return BigInt.asUintN(64, (chunks * chunkBlocks * BigInt(blockSize)) / 4096n - 1n);
}

export class VirtualLuns {
  private readonly superpipe: Superpipe;

  constructor(superpipe: Superpipe) {
    this.superpipe = superpipe;
  }

  open(path: LunPath, caller: Caller, input: VirtualInput): OpenAnswer | number {
    const lun = path.local as LocalLun;
    const { global } = lun;
    if (global.mode === 'none') {
      const chunks = new ChunkAllocator(global.lastLba + 1n);
      // A LUN smaller than a chunk: the driver reports it so.
      if (chunks.total === 0) return -errnos.ENOMEM;
      global.chunks = chunks;
    }
    if (!global.attach('virtual')) return -errnos.EINVAL;
    const record = this.superpipe.find(input.contextId, caller, lun);
    const handle = record?.checkOut(lun, 'virtual');
    if (record === undefined || handle === undefined) {
      global.detach();
      return record === undefined ? -errnos.EINVAL : -errnos.EMFILE;
    }
    const resized = this.resize(record, lun, BigInt(handle), input.lunSize);
    if (typeof resized === 'number') {
      record.checkIn(handle);
      global.detach();
      return resized;
    }
    const flags = input.flags ?? 0n;
    if ((flags & flashFlags.needWriteSame) !== 0n) record.place(handle).needsWriteSame = true;
    const severalPorts = (lun.ports & (lun.ports - 1)) !== 0;
    return {
      returnFlags: severalPorts ? flashFlags.allPortsActive : 0n,
      rsrcHandle: BigInt(handle),
      lastLba: resized,
    };
  }

  resizeCall(path: LunPath, caller: Caller, input: ResizeInput): SizeAnswer | number {
    const lun = path.local as LocalLun;
    if (lun.global.mode !== 'virtual') return -errnos.EINVAL;
    const record = this.superpipe.find(input.contextId, caller, lun, true);
    if (record === undefined) return -errnos.EINVAL;
    const lastLba = this.resize(record, lun, input.rsrcHandle, input.reqSize);
    return typeof lastLba === 'number' ? lastLba : { returnFlags: 0n, lastLba };
  }

  /** The last LBA now, or -errno. A slow sync fails the call though the size has changed. */
  resize(record: FlashContextRecord, lun: LocalLun, handle: bigint, size: bigint): bigint | number {
    const { global } = lun;
    if (global.mode !== 'virtual') return -errnos.EINVAL;
    const entry = record.entry(handle, lun);
    if (entry === undefined) return -errnos.EINVAL;
    const wanted = chunksFor(size, global.blockSize);
    const have = BigInt(entry.chunks.length);
    let synced: boolean;
    if (wanted > have) {
      if ((global.chunks?.free ?? 0) <= 0) return -errnos.ENOSPC;
      this.grow(global.chunks as ChunkAllocator, entry, wanted - have);
      synced = this.superpipe.state.sync();
    } else if (wanted < have) {
      synced = record.inError || this.superpipe.state.sync();
      this.shrink(global.chunks, lun, entry, Number(wanted));
    } else {
      synced = this.superpipe.state.sync();
    }
    if (!synced) return -errnos.EAGAIN;
    return lastLbaOf(BigInt(entry.chunks.length), global.blockSize);
  }

  /** As many as there are: a grow that does not fit is truncated. */
  private grow(chunks: ChunkAllocator, entry: ResourceEntry, more: bigint): void {
    const granted = more < BigInt(chunks.free) ? Number(more) : chunks.free;
    for (let i = 0; i < granted; i += 1) entry.chunks.push(chunks.allocate());
  }

  private shrink(
    chunks: ChunkAllocator | undefined,
    lun: LocalLun,
    entry: ResourceEntry,
    keep: number,
  ): void {
    const size = BigInt(lun.medium.blockSize);
    for (const chunk of entry.chunks.splice(keep).reverse()) {
      if (entry.needsWriteSame && chunks?.references(chunk) === 1) {
        const start = BigInt(chunk) * chunkBlocks * size;
        lun.medium.storage.discard(start, chunkBlocks * size);
      }
      chunks?.release(chunk);
    }
  }

  clone(path: LunPath, caller: Caller, input: CloneInput): CallAnswer | number {
    const lun = path.local as LocalLun;
    const { global } = lun;
    if (input.contextIdSrc === input.contextIdDst || global.mode !== 'virtual') {
      return -errnos.EINVAL;
    }
    const source = this.superpipe.find(input.contextIdSrc, caller, lun, false, true);
    const target = this.superpipe.find(input.contextIdDst, caller, lun);
    if (source === undefined || target === undefined || target.openHandles > 0) {
      return -errnos.EINVAL;
    }
    for (const [handle, entry] of source.table.entries()) {
      if (entry.kind === 'free') continue;
      const errno = this.cloneEntry(lun, target.place(handle), entry, target.permissions);
      if (errno < 0) {
        for (let j = 0; j < handle; j += 1) {
          this.superpipe.releaseHandle(target, lun, BigInt(j));
        }
        target.checkIn(handle);
        return errno;
      }
      global.attach('virtual');
    }
    target.luns.push(...missing(source.luns, target.luns));
    return { returnFlags: 0n };
  }

  private cloneEntry(
    lun: LocalLun,
    copy: ResourceEntry,
    entry: ResourceEntry,
    permissions: number,
  ): number {
    const { chunks } = lun.global;
    copy.kind = entry.kind;
    copy.permissions = entry.permissions & permissions;
    copy.lun = entry.lun;
    const done: number[] = [];
    const undo = (errno: number) => {
      for (const chunk of done) chunks?.release(chunk);
      copy.chunks = [];
      return errno;
    };
    for (const chunk of entry.chunks) {
      if (!chunks?.clone(chunk)) return undo(-errnos.EIO);
      done.push(chunk);
    }
    copy.chunks = [...entry.chunks];
    return this.superpipe.state.sync() ? 0 : undo(-errnos.EAGAIN);
  }
}

function missing(from: readonly LunAccess[], into: readonly LunAccess[]): LunAccess[] {
  return from.filter((access) => !into.some((one) => one.path === access.path));
}
