import type { Memory } from '../device/memory';
import { checkInteger } from '../shared/checks';
import { typeError } from '../shared/errors';
import { Uncloneable } from '../shared/uncloneable';
import type { BlockStatistics } from './block-statistics';
import type { Priority } from './command';
import { BlockReadStream, type BlockReadStreamOptions } from './read-stream';
import { BlockWriteStream, type BlockWriteStreamOptions } from './write-stream';

/** A part of a Memory, transferred without a copy. Offset and length in bytes. */
export interface MemorySlice {
  /** The memory that the part is of. */
  readonly memory: Memory;
  /** A multiple of 16. Default 0. */
  readonly offset?: number | undefined;
  /** Default: to the end. */
  readonly length?: number | undefined;
}

/** Source or destination of data: whole blocks. */
export type BlockBuffer = Uint8Array | Memory | MemorySlice;

/** Options of a transfer. */
export interface TransferOptions {
  /**
   * Aborting rejects the promise at once with an AbortError. Commands that were issued still run:
   * the AFU uses their Memory until they have completed (drained() waits for that) or the context
   * is closed.
   */
  signal?: AbortSignal | undefined;
  /**
   * Milliseconds, 0 to 2^31 - 1, after which the promise rejects with ETIMEDOUT; then as after an
   * abort. Default: no limit but those of the context, `commandTimeout` and `responseTimeout`.
   */
  timeout?: number | undefined;
  /**
   * Which commands are issued first when not all can be at once: all `high` ones before the others,
   * all `low` ones after them. Commands in flight have no order. Default `normal`.
   */
  priority?: Priority | undefined;
}

/** One of the transfers of submit(). */
export type TransferRequest = (
  | {
      /** Reads blocks. */
      readonly operation: 'read';
      /** Where the data goes: to several buffers, one after the other. */
      readonly into: BlockBuffer | readonly BlockBuffer[];
    }
  | {
      /** Writes blocks. */
      readonly operation: 'write';
      /** Where the data comes from: from several buffers, one after the other. */
      readonly from: BlockBuffer | readonly BlockBuffer[];
    }
  | {
      /** Unmaps blocks. */
      readonly operation: 'unmap';
      /** How many blocks. */
      readonly count: number | bigint;
    }
) & {
  /** The first block. */
  readonly lba: number | bigint;
  /** Default: that of the call. */
  readonly priority?: Priority | undefined;
};

/** Bytes of the longest buffer that read() makes. */
const MAX_READ_BYTES = 2 ** 31;

/**
 * Block I/O, the same on every kind of block device: BlockDevice (one resource of one context),
 * MultipathBlockDevice (one LUN over several paths) and StripedBlockDevice (several LUNs).
 *
 * Any number of calls may be in progress, and they have no order: start a write that must follow
 * another one when that one has settled. A settled write is on the LUN. A single block is written
 * completely or not at all; a transfer of several blocks is not atomic.
 *
 * @example
 * import { type BlockAccess, openBlockDevice } from 'node-cxl/flash';
 *
 * // For any kind of block device.
 * async function lastBlock(device: BlockAccess): Promise<Uint8Array> {
 *   return device.read(device.blocks - 1n, 1);
 * }
 *
 * await using device = await openBlockDevice('/dev/sg1');
 * console.log((await lastBlock(device)).length); // 4096
 */
export abstract class BlockAccess extends Uncloneable {
  /** Size in blocks of blockSize bytes. */
  abstract readonly blocks: bigint;
  /** Bytes. */
  abstract readonly blockSize: number;
  /** Whether blocks can be unmapped. False while the adapter is in error. */
  abstract readonly unmapSupported: boolean;
  /** Counts the calls of this object. */
  abstract readonly statistics: Readonly<BlockStatistics>;

  /**
   * Starts many transfers in one call. All of them are checked before the first is issued; `signal`
   * and `timeout` apply to all that have not settled.
   *
   * ```ts
   * const writes = records.map(({ lba, bytes }) => ({ operation: 'write', lba, from: bytes }) as const);
   * const outcomes = await Promise.allSettled(device.submit(writes, { timeout: 10_000 }));
   * ```
   *
   * @returns a promise for each transfer, in the order of `requests`, that settles by itself: as
   *   those of read(), write() and unmap()
   */
  abstract submit(requests: readonly TransferRequest[], options?: TransferOptions): Promise<void>[];

  /**
   * Resolves when the AFU has completed every command of the contexts that this device uses,
   * including commands whose promises were aborted.
   */
  abstract drained(): Promise<void>;

  /**
   * Reads blocks from `lba` on: `count` blocks into a new buffer (up to 2 GiB), or as many as `into`
   * holds.
   *
   * @throws ERR_OUT_OF_RANGE past the end; ERR_INVALID_ARG_VALUE not whole blocks; EIO with
   *   `status`, `sense`, `attempts` and `address` (CommandError; other errnos where they fit);
   *   ETIMEDOUT the AFU did not complete it; ECANCELED the adapter was reset and `onReset` is
   *   'fail', or the context was closed, the resource released, or made smaller; ERR_INVALID_STATE
   *   the buffer was detached or resized, or the Memory freed; AbortError
   */
  async read(lba: number | bigint, count: number, options?: TransferOptions): Promise<Uint8Array>;
  async read<T extends BlockBuffer>(
    lba: number | bigint,
    into: T,
    options?: TransferOptions,
  ): Promise<T>;
  async read(
    lba: number | bigint,
    target: number | BlockBuffer,
    options: TransferOptions = {},
  ): Promise<BlockBuffer> {
    const into = typeof target === 'number' ? this.#allocateBuffer(target) : target;
    await this.#one({ operation: 'read', lba, into }, options);
    return into;
  }

  /** Writes whole blocks from `lba` on. @throws as read(); EACCES in a context with access 'read' */
  async write(
    lba: number | bigint,
    from: BlockBuffer,
    options: TransferOptions = {},
  ): Promise<void> {
    await this.#one({ operation: 'write', lba, from }, options);
  }

  /** Reads consecutive blocks into several buffers, each of whole blocks. @throws as read() */
  async readv(
    lba: number | bigint,
    into: readonly BlockBuffer[],
    options: TransferOptions = {},
  ): Promise<void> {
    await this.#one({ operation: 'read', lba, into: checkBuffers(into) }, options);
  }

  /** Writes several buffers, each of whole blocks, to consecutive blocks. @throws as write() */
  async writev(
    lba: number | bigint,
    from: readonly BlockBuffer[],
    options: TransferOptions = {},
  ): Promise<void> {
    await this.#one({ operation: 'write', lba, from: checkBuffers(from) }, options);
  }

  /**
   * Tells the LUN that blocks are not needed any more (WRITE SAME with the unmap bit). What they
   * read as afterwards depends on the LUN.
   *
   * @throws EOPNOTSUPP where unmapSupported is false; else as write()
   */
  async unmap(
    lba: number | bigint,
    count: number | bigint,
    options: TransferOptions = {},
  ): Promise<void> {
    await this.#one({ operation: 'unmap', lba, count }, options);
  }

  /**
   * A Node stream of the bytes of consecutive blocks.
   *
   * ```ts
   * await pipeline(device.createReadStream({ start: 8, length: 1_000_000 }), createWriteStream(path));
   * ```
   *
   * @throws ERR_OUT_OF_RANGE past the end. The stream fails as read() does
   */
  createReadStream(options: BlockReadStreamOptions = {}): BlockReadStream {
    return new BlockReadStream(this, options);
  }

  /**
   * A Node stream whose bytes go to consecutive blocks. See `lastBlock` for data that does not end
   * with a block.
   *
   * @throws ERR_OUT_OF_RANGE past the end. The stream fails as write() does, and with ENOSPC
   */
  createWriteStream(options: BlockWriteStreamOptions = {}): BlockWriteStream {
    return new BlockWriteStream(this, options);
  }

  #one(request: TransferRequest, options: TransferOptions): Promise<void> | undefined {
    return this.submit([request], options)[0];
  }

  #allocateBuffer(count: number): Uint8Array {
    checkInteger('count', count, 0, Math.floor(MAX_READ_BYTES / this.blockSize));
    return new Uint8Array(count * this.blockSize);
  }
}

function checkBuffers(buffers: readonly BlockBuffer[]): readonly BlockBuffer[] {
  if (!Array.isArray(buffers)) throw typeError('buffers', 'an array', buffers);
  return buffers;
}
