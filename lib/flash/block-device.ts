import { Memory } from '../device/memory';
import { AbortError, checkWaitOptions } from '../shared/abort';
import { checkInteger, type OptionNames } from '../shared/checks';
import { rangeError, stateError, systemError, typeError, valueError } from '../shared/errors';
import { Command, type CommandData, type Operation, type Priority } from './command';
import type { Resource } from './resource';
import { CHUNK_BLOCKS } from './sislite';
import type { QueueStatistics } from './statistics';
import { Limit, Transfer } from './transfer';

/** A part of a Memory, transferred without a copy. Offset and length in bytes. */
export interface MemorySlice {
  readonly memory: Memory;
  /** A multiple of 16. Default 0. */
  readonly offset?: number | undefined;
  /** Default: to the end. */
  readonly length?: number | undefined;
}

/** Source or destination of data: whole blocks. */
export type BlockBuffer = Uint8Array | Memory | MemorySlice;

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

/** One of the transfers of BlockDevice.submit(). */
export type TransferRequest = (
  | { readonly operation: 'read'; readonly into: BlockBuffer | readonly BlockBuffer[] }
  | { readonly operation: 'write'; readonly from: BlockBuffer | readonly BlockBuffer[] }
  | { readonly operation: 'unmap'; readonly count: number | bigint }
) & {
  /** The first block. */
  readonly lba: number | bigint;
  /** Default: that of the call. */
  readonly priority?: Priority | undefined;
};

/** Counts the calls of this block device, each of which may take several commands. */
export interface BlockStatistics {
  /** Calls that succeeded. */
  reads: number;
  writes: number;
  unmaps: number;
  bytesRead: number;
  bytesWritten: number;
  blocksRead: number;
  blocksWritten: number;
  /** Calls that have not settled yet, and the highest number of them at one time. */
  activeReads: number;
  activeWrites: number;
  activeUnmaps: number;
  maxActiveReads: number;
  maxActiveWrites: number;
  maxActiveUnmaps: number;
  /** Calls that failed or were aborted. */
  errors: number;
}

const TRANSFER_OPTIONS: OptionNames<TransferOptions> = {
  signal: true,
  timeout: true,
  priority: true,
};

/** Names of the counters of each operation. */
const COUNTERS = {
  read: { calls: 'reads', active: 'activeReads', highest: 'maxActiveReads' },
  write: { calls: 'writes', active: 'activeWrites', highest: 'maxActiveWrites' },
  unmap: { calls: 'unmaps', active: 'activeUnmaps', highest: 'maxActiveUnmaps' },
} as const;

/** One buffer of a transfer. */
interface Part {
  readonly data: CommandData;
  readonly blocks: bigint;
}

/** Bytes; required of data addresses. */
const DATA_ALIGNMENT = 16;
const MAX_UNMAP_BLOCKS = 0xffff_ffffn;
/** Bytes of the longest buffer that read() makes. */
const MAX_READ_BYTES = 2 ** 31;

/**
 * Block I/O on a resource, by SISLite commands.
 *
 * Any number of calls may be in progress; the context's queue issues as many commands as its depth
 * and the AFU's room allow. Commands in flight have no order, also because of retries: start a
 * write that must follow another one when that one has settled. A settled write is on the LUN. A
 * single block is written completely or not at all; a transfer of several blocks is not atomic.
 *
 * Data in ordinary buffers is copied through bounce buffers, when a command is issued and when it
 * has completed: do not change the data of a write until its promise has settled. A Memory is used
 * by the AFU directly: do not access it until the promise has settled.
 *
 * A reset of the adapter is noticed while commands are in flight, and the context is recovered
 * automatically (FlashContext.recover()). The commands that the reset ended are issued again or
 * fail, as the context's `onReset` says.
 */
export class BlockDevice {
  readonly resource: Resource;
  readonly statistics: BlockStatistics = {
    reads: 0,
    writes: 0,
    unmaps: 0,
    bytesRead: 0,
    bytesWritten: 0,
    blocksRead: 0,
    blocksWritten: 0,
    activeReads: 0,
    activeWrites: 0,
    activeUnmaps: 0,
    maxActiveReads: 0,
    maxActiveWrites: 0,
    maxActiveUnmaps: 0,
    errors: 0,
  };

  /** @internal Use Resource.blockDevice(). */
  constructor(resource: Resource) {
    this.resource = resource;
  }

  /** Size in blocks of blockSize bytes; changes with Resource.resize(). */
  get blocks(): bigint {
    return this.resource.blocks;
  }

  /** Bytes. */
  get blockSize(): number {
    return this.resource.blockSize;
  }

  /** Whether the AFU can unmap blocks. False while the adapter is in error. */
  get unmapSupported(): boolean {
    return this.resource.context.queue.unmapSupported === true;
  }

  /** Statistics of the context's queue, which all its block devices share. */
  get queueStatistics(): Readonly<QueueStatistics> {
    return this.resource.context.queue.statistics;
  }

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
  submit(requests: readonly TransferRequest[], options: TransferOptions = {}): Promise<void>[] {
    if (!Array.isArray(requests)) throw typeError('requests', 'an array', requests);
    return this.#submit(requests, options).map(({ promise }) => promise);
  }

  /**
   * Resolves when the AFU has completed every command of the context, of all its block devices,
   * including commands whose promises were aborted.
   */
  drained(): Promise<void> {
    return this.resource.context.queue.drained();
  }

  async #one(request: TransferRequest, options: TransferOptions): Promise<void> {
    const [transfer] = this.#submit([request], options);
    await (transfer as Transfer).promise;
  }

  #submit(requests: readonly TransferRequest[], options: TransferOptions): Transfer[] {
    this.resource.assertOpen();
    const { signal, timeout } = checkWaitOptions(options, TRANSFER_OPTIONS);
    const priority = checkPriority('options.priority', options.priority ?? 'normal');
    let limit: Limit | undefined;
    const transfers = requests.map((request) =>
      this.#transfer(request, priority, (transfer) => limit?.settled(transfer)),
    );
    const { queue } = this.resource.context;
    for (const { name } of transfers) this.#started(name);
    if (signal?.aborted) {
      const error = new AbortError(signal);
      for (const transfer of transfers) transfer.cancel(queue, error);
      return transfers;
    }
    if (signal !== undefined || timeout !== undefined) {
      limit = new Limit(queue, transfers, signal, timeout, this.resource.lun.path);
    }
    queue.submit(transfers.flatMap(({ commands }) => commands));
    return transfers;
  }

  /** Checks a request and makes its commands. */
  #transfer(
    request: TransferRequest,
    standard: Priority,
    onSettled: (transfer: Transfer) => void,
  ): Transfer {
    const { operation, lba } = request;
    const priority = checkPriority('priority', request.priority ?? standard);
    const start = checkLba('lba', lba);
    const parts =
      operation === 'unmap'
        ? this.#unmapParts(checkLba('count', request.count))
        : this.#parts(operation === 'read' ? request.into : request.from);
    const total = parts.reduce((sum, { blocks }) => sum + blocks, 0n);
    this.#checkRange(start, total);
    const transfer = new Transfer(operation, (succeeded) => {
      this.#settled(operation, Number(total), succeeded);
      onSettled(transfer);
    });
    let first = start;
    for (const { data, blocks } of parts) {
      const most = operation === 'unmap' ? MAX_UNMAP_BLOCKS : this.#maxBlocks(data);
      for (const [at, count] of this.#split(first, blocks, most)) {
        const piece = operation === 'unmap' ? data : this.#piece(data, at - first, count);
        transfer.add(
          new Command(transfer, this.resource, operation, priority, at, Number(count), piece),
        );
      }
      first += blocks;
    }
    return transfer;
  }

  #parts(buffers: BlockBuffer | readonly BlockBuffer[]): Part[] {
    const list = Array.isArray(buffers) ? buffers : [buffers];
    return list.map((buffer, index) => {
      const data = this.#data(buffer, index);
      return { data, blocks: BigInt(data.length / this.blockSize) };
    });
  }

  /** One block of zeros goes to all blocks. */
  #unmapParts(blocks: bigint): Part[] {
    if (this.resource.context.queue.unmapSupported === false) {
      throw systemError('EOPNOTSUPP', 'unmap', this.resource.lun.path, 'the AFU does not offer it');
    }
    const bytes = new Uint8Array(this.blockSize);
    return [{ data: { bytes, memory: undefined, address: 0n, length: bytes.length }, blocks }];
  }

  #piece(data: CommandData, firstBlock: bigint, blocks: bigint): CommandData {
    const offset = Number(firstBlock) * this.blockSize;
    const length = Number(blocks) * this.blockSize;
    if (length === data.length) return data;
    const { bytes, memory } = data;
    return {
      bytes: bytes && new Uint8Array(bytes.buffer, bytes.byteOffset + offset, length),
      memory,
      address: data.address + BigInt(offset),
      length,
    };
  }

  #started(operation: Operation): void {
    const { active, highest } = COUNTERS[operation];
    this.statistics[active] += 1;
    this.statistics[highest] = Math.max(this.statistics[highest], this.statistics[active]);
  }

  #settled(operation: Operation, blocks: number, succeeded: boolean): void {
    const { statistics } = this;
    statistics[COUNTERS[operation].active] -= 1;
    if (!succeeded) {
      statistics.errors += 1;
      return;
    }
    statistics[COUNTERS[operation].calls] += 1;
    if (operation === 'read') {
      statistics.blocksRead += blocks;
      statistics.bytesRead += blocks * this.blockSize;
    } else if (operation === 'write') {
      statistics.blocksWritten += blocks;
      statistics.bytesWritten += blocks * this.blockSize;
    }
  }

  /** Most blocks of one command: the driver's limit, or that of the bounce buffer. */
  #maxBlocks(data: CommandData): bigint {
    const { maxTransfer } = this.resource;
    if (data.bytes === undefined) return BigInt(maxTransfer);
    const bounced = Math.floor(this.resource.context.queue.ring.bounceBytes / this.blockSize);
    return BigInt(Math.min(maxTransfer, bounced));
  }

  /** Splits into commands of at most `max` blocks; in a virtual LUN none crosses a chunk boundary. */
  *#split(start: bigint, blocks: bigint, max: bigint): Generator<[bigint, bigint]> {
    const end = start + blocks;
    const virtual = this.resource.mode === 'virtual';
    for (let at = start; at < end; ) {
      let to = at + max;
      const chunkEnd = (at / CHUNK_BLOCKS + 1n) * CHUNK_BLOCKS;
      if (virtual && to > chunkEnd) to = chunkEnd;
      if (to > end) to = end;
      yield [at, to - at];
      at = to;
    }
  }

  #allocateBuffer(count: number): Uint8Array {
    checkInteger('count', count, 0, Math.floor(MAX_READ_BYTES / this.blockSize));
    return new Uint8Array(count * this.blockSize);
  }

  #data(buffer: BlockBuffer, index: number): CommandData {
    const name = `buffers[${index}]`;
    if (buffer instanceof Uint8Array) {
      this.#checkLength(name, buffer.length);
      return { bytes: buffer, memory: undefined, address: 0n, length: buffer.length };
    }
    const slice = buffer instanceof Memory ? { memory: buffer } : buffer;
    if (!(slice?.memory instanceof Memory)) {
      throw typeError(name, 'a Uint8Array, Memory or { memory, offset, length }', buffer);
    }
    const { memory } = slice;
    if (memory.disposed) throw stateError(`${name}: this Memory has been freed`);
    const offset = checkInteger(`${name}.offset`, slice.offset ?? 0, 0, memory.size);
    if (offset % DATA_ALIGNMENT !== 0) {
      throw valueError(`${name}.offset`, `a multiple of ${DATA_ALIGNMENT}`, offset);
    }
    const rest = memory.size - offset;
    const length = checkInteger(`${name}.length`, slice.length ?? rest, 0, rest);
    this.#checkLength(name, length);
    return { bytes: undefined, memory, address: memory.address + BigInt(offset), length };
  }

  #checkLength(name: string, length: number): void {
    if (length === 0 || length % this.blockSize !== 0) {
      throw valueError(name, `whole blocks of ${this.blockSize} bytes`, length);
    }
  }

  #checkRange(start: bigint, count: bigint): void {
    const { blocks } = this.resource;
    if (count < 1n) throw rangeError('count', 'at least 1', count);
    if (start + count > blocks) {
      throw rangeError('lba', `so that ${count} blocks from it end below ${blocks}`, start);
    }
  }
}

function checkLba(name: string, value: unknown): bigint {
  if (typeof value === 'bigint') {
    if (value < 0n) throw rangeError(name, 'at least 0', value);
    return value;
  }
  return BigInt(checkInteger(name, value, 0, Number.MAX_SAFE_INTEGER));
}

function checkPriority(name: string, value: unknown): Priority {
  if (value !== 'high' && value !== 'normal' && value !== 'low') {
    throw valueError(name, "'high', 'normal' or 'low'", value);
  }
  return value;
}

function checkBuffers(buffers: readonly BlockBuffer[]): readonly BlockBuffer[] {
  if (!Array.isArray(buffers)) throw typeError('buffers', 'an array', buffers);
  return buffers;
}
