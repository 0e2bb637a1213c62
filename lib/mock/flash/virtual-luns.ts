/**
 * Virtual LUNs: resource handles that are made of chunks of a LUN; resizing and cloning them.
 * The model of drivers/scsi/cxlflash/vlun.c.
 */
import type {
  CallAnswer,
  CloneInput,
  OpenAnswer,
  ResizeInput,
  SizeAnswer,
  VirtualInput,
} from '../../binding/flash';
import { flashFlags } from '../../binding/flash';
import { CHUNK_BLOCKS } from '../../flash/sislite';
import { ERRNOS } from '../../shared/errno';
import type { FlashAdapterState } from './adapter-state';
import { ChunkAllocator, chunksFor, lastLbaOf } from './chunks';
import type { FlashContextRecord, LunAccess, ResourceEntry } from './context-record';
import type { FlashContexts } from './contexts';
import type { LocalLun, LunPath } from './lun';
import type { Caller } from './platform';

export class VirtualLuns {
  readonly #state: FlashAdapterState;
  readonly #contexts: FlashContexts;

  constructor(state: FlashAdapterState, contexts: FlashContexts) {
    this.#state = state;
    this.#contexts = contexts;
  }

  open(path: LunPath, caller: Caller, input: VirtualInput): OpenAnswer | number {
    const lun = path.local as LocalLun;
    const { global } = lun;
    if (global.mode === 'none') {
      const chunks = new ChunkAllocator(global.lastLba + 1n);
      // The LUN is smaller than a chunk.
      if (chunks.total === 0) {
        this.#log(`init_vlun failed rc=${-ERRNOS.EINVAL}`);
        return -ERRNOS.ENOMEM;
      }
      global.chunks = chunks;
    }
    if (!global.attach('virtual')) {
      this.#log('Failed attach to LUN (VIRTUAL)');
      return -ERRNOS.EINVAL;
    }
    const refused = this.#state.lunTable.enter(lun);
    if (refused < 0) {
      this.#log(`init_luntable failed rc=${refused}`);
      global.detach();
      return refused;
    }
    const record = this.#contexts.find(input.contextId, caller, { lun });
    const handle = record?.checkOut(lun, 'virtual');
    if (record === undefined || handle === undefined) {
      const element = input.contextId & 0xffff_ffffn;
      this.#log(`${record === undefined ? 'Bad context' : 'too many opens'} ctxid=${element}`);
      global.detach();
      return record === undefined ? -ERRNOS.EINVAL : -ERRNOS.EMFILE;
    }
    const resized = this.#setSize(record, lun, BigInt(handle), input.lunSize);
    if (typeof resized === 'number') {
      this.#log(`resize failed rc=${resized}`);
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

  #log(message: string): void {
    this.#state.log.error('cxlflash_disk_virtual_open', message);
  }

  resize(path: LunPath, caller: Caller, input: ResizeInput): SizeAnswer | number {
    const lun = path.local as LocalLun;
    if (lun.global.mode !== 'virtual') return -ERRNOS.EINVAL;
    const record = this.#contexts.find(input.contextId, caller, { lun, inError: true });
    if (record === undefined) return -ERRNOS.EINVAL;
    const lastLba = this.#setSize(record, lun, input.rsrcHandle, input.reqSize);
    return typeof lastLba === 'number' ? lastLba : { returnFlags: 0n, lastLba };
  }

  /** Frees the chunks of a handle, then the handle. 0 or -errno. */
  release(record: FlashContextRecord, lun: LocalLun, handle: bigint): number {
    const resized = this.#setSize(record, lun, handle, 0n);
    if (typeof resized === 'number') return resized;
    record.checkIn(Number(BigInt.asUintN(32, handle)));
    lun.global.detach();
    return 0;
  }

  /**
   * The last LBA of the new size, or -errno. When the AFU sync times out, the call fails with
   * EAGAIN although the size has changed, as in the driver.
   */
  #setSize(
    record: FlashContextRecord,
    lun: LocalLun,
    handle: bigint,
    size: bigint,
  ): bigint | number {
    const { global } = lun;
    if (global.mode !== 'virtual') return -ERRNOS.EINVAL;
    const entry = record.entry(handle, lun);
    if (entry === undefined) return -ERRNOS.EINVAL;
    const wanted = chunksFor(size, global.blockSize);
    const have = BigInt(entry.chunks.length);
    let synced: boolean;
    if (wanted > have) {
      if ((global.chunks?.free ?? 0) <= 0) return -ERRNOS.ENOSPC;
      this.#grow(global.chunks as ChunkAllocator, entry, wanted - have);
      synced = this.#state.sync();
    } else if (wanted < have) {
      synced = record.inError || this.#state.sync();
      this.#shrink(global.chunks, lun, entry, Number(wanted));
    } else {
      synced = this.#state.sync();
    }
    if (!synced) return -ERRNOS.EAGAIN;
    return lastLbaOf(BigInt(entry.chunks.length), global.blockSize);
  }

  /** Adds chunks; fewer than asked for when the LUN has fewer free ones. */
  #grow(chunks: ChunkAllocator, entry: ResourceEntry, more: bigint): void {
    const granted = more < BigInt(chunks.free) ? Number(more) : chunks.free;
    for (let i = 0; i < granted; i += 1) entry.chunks.push(chunks.allocate());
  }

  /**
   * With NEED_WRITE_SAME, 6.1 hands write_same16() the number of each freed chunk as a block
   * address: the 65536 blocks from that block on are zeroed, whoever has them, and the freed chunk
   * keeps its data (shrink_lxt()).
   */
  #shrink(
    chunks: ChunkAllocator | undefined,
    lun: LocalLun,
    entry: ResourceEntry,
    keep: number,
  ): void {
    const { storage, blockSize } = lun.medium;
    const size = BigInt(blockSize);
    // The driver sends no SCSI command to an adapter that has failed.
    const zeroes = entry.needsWriteSame && this.#state.condition === 'normal';
    for (const chunk of entry.chunks.splice(keep).reverse()) {
      if (zeroes) storage.discard(BigInt(chunk) * size, CHUNK_BLOCKS * size);
      chunks?.release(chunk);
    }
  }

  clone(path: LunPath, caller: Caller, input: CloneInput): CallAnswer | number {
    const lun = path.local as LocalLun;
    const { global } = lun;
    if (input.contextIdSrc === input.contextIdDst || global.mode !== 'virtual') {
      return -ERRNOS.EINVAL;
    }
    const source = this.#contexts.find(input.contextIdSrc, caller, { lun, ofParent: true });
    const target = this.#contexts.find(input.contextIdDst, caller, { lun });
    if (source === undefined || target === undefined || target.hasOpenHandles) {
      return -ERRNOS.EINVAL;
    }
    for (const [handle, entry] of source.table.entries()) {
      if (entry.kind === 'free') continue;
      const errno = this.#cloneEntry(lun, target.place(handle), entry, target.permissions);
      if (errno < 0) {
        for (let done = 0; done < handle; done += 1) this.release(target, lun, BigInt(done));
        target.checkIn(handle);
        return errno;
      }
      global.attach('virtual');
    }
    target.luns.push(...pathsMissing(source.luns, target.luns));
    return { returnFlags: 0n };
  }

  #cloneEntry(
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
      if (!chunks?.clone(chunk)) return undo(-ERRNOS.EIO);
      done.push(chunk);
    }
    copy.chunks = [...entry.chunks];
    return this.#state.sync() ? 0 : undo(-ERRNOS.EAGAIN);
  }
}

/** LUNs of `from` that `into` does not reach by the same path. */
function pathsMissing(from: readonly LunAccess[], into: readonly LunAccess[]): LunAccess[] {
  return from.filter((access) => !into.some((one) => one.path === access.path));
}
