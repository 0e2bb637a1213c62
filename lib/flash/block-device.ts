import { Memory } from '../device/memory';
import { checkInteger } from '../shared/checks';
import { rangeError, systemError, typeError, valueError } from '../shared/errors';
import type { Command, QueueStatistics } from './command';
import type { Resource } from './resource';
import { CHUNK_BLOCKS, OPCODES, WRITE_SAME_UNMAP } from './sislite';

/** A part of a Memory, transferred without a copy. Offset and length in bytes. */
export interface MemorySlice {
  readonly memory: Memory;
  /** A multiple of 16. Default 0. */
  readonly offset?: number;
  /** Default: to the end. */
  readonly length?: number;
}

/** Source or destination of data: whole blocks. */
export type BlockBuffer = Uint8Array | Memory | MemorySlice;

export interface TransferOptions {
  /**
   * Aborting rejects the promise at once with an AbortError. Commands that were issued still run:
   * the AFU uses their Memory until they have completed (drained() waits for that) or the context
   * is closed.
   */
  signal?: AbortSignal;
}

/** Counts the calls of this block device, each of which may take several commands. */
export interface BlockStatistics {
  /** Calls that succeeded. */
  reads: number;
  writes: number;
  unmaps: number;
  bytesRead: number;
  bytesWritten: number;
  /** Calls that failed or were aborted. */
  errors: number;
}

/** One buffer: bytes that are copied through a bounce buffer, or an address that the AFU uses. */
interface Part {
  readonly bytes: Uint8Array | undefined;
  readonly address: bigint;
  readonly length: number;
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

  /** Whether the AFU can unmap blocks. */
  get unmapSupported(): boolean {
    return this.resource.context.queue.unmapSupported;
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
   *   `status`, `sense` and `attempts` (CommandError); ECANCELED the adapter was reset and `onReset`
   *   is 'fail', or the context was closed; AbortError
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
    const buffer = typeof target === 'number' ? this.#allocateBuffer(target) : target;
    await this.readv(lba, [buffer], options);
    return buffer;
  }

  /** Writes whole blocks from `lba` on. @throws as read(); EACCES in a context with access 'read' */
  async write(
    lba: number | bigint,
    from: BlockBuffer,
    options: TransferOptions = {},
  ): Promise<void> {
    await this.writev(lba, [from], options);
  }

  /** Reads consecutive blocks into several buffers, each of whole blocks. @throws as read() */
  async readv(
    lba: number | bigint,
    into: readonly BlockBuffer[],
    options: TransferOptions = {},
  ): Promise<void> {
    const bytes = await this.#transfer('read', lba, into, options);
    this.statistics.reads += 1;
    this.statistics.bytesRead += bytes;
  }

  /** Writes several buffers, each of whole blocks, to consecutive blocks. @throws as write() */
  async writev(
    lba: number | bigint,
    from: readonly BlockBuffer[],
    options: TransferOptions = {},
  ): Promise<void> {
    const bytes = await this.#transfer('write', lba, from, options);
    this.statistics.writes += 1;
    this.statistics.bytesWritten += bytes;
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
    this.resource.assertOpen();
    checkOptions(options);
    if (!this.unmapSupported) {
      throw systemError('EOPNOTSUPP', 'unmap', this.resource.lun.path, 'the AFU does not offer it');
    }
    const start = checkLba('lba', lba);
    const blocks = checkLba('count', count);
    this.#checkRange(start, blocks);
    const zeros = new Uint8Array(this.blockSize);
    const commands: Promise<void>[] = [];
    for (const [at, length] of this.#split(start, blocks, MAX_UNMAP_BLOCKS)) {
      commands.push(
        this.#submit(
          'unmap',
          at,
          length,
          { bytes: zeros, address: 0n, length: zeros.length },
          options,
        ),
      );
    }
    await this.#all(commands);
    this.statistics.unmaps += 1;
  }

  /**
   * Resolves when the AFU has completed every command of the context, of all its block devices,
   * including commands whose promises were aborted.
   */
  drained(): Promise<void> {
    return this.resource.context.queue.drained();
  }

  async #transfer(
    name: 'read' | 'write',
    lba: number | bigint,
    buffers: readonly BlockBuffer[],
    options: TransferOptions,
  ): Promise<number> {
    this.resource.assertOpen();
    checkOptions(options);
    let start = checkLba('lba', lba);
    if (!Array.isArray(buffers)) throw typeError('buffers', 'an array', buffers);
    const parts = buffers.map((buffer, index) => this.#part(buffer, index));
    const size = BigInt(this.blockSize);
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    this.#checkRange(start, BigInt(bytes) / size);
    const commands: Promise<void>[] = [];
    for (const part of parts) {
      const blocks = BigInt(part.length) / size;
      for (const [at, count] of this.#split(start, blocks, this.#maxBlocks(part))) {
        const offset = Number((at - start) * size);
        const length = Number(count * size);
        const piece = {
          bytes: part.bytes?.subarray(offset, offset + length),
          address: part.address + BigInt(offset),
          length,
        };
        commands.push(this.#submit(name, at, count, piece, options));
      }
      start += blocks;
    }
    await this.#all(commands);
    return bytes;
  }

  /** Waits for all commands, so that none is in flight afterwards; throws the first error. */
  async #all(commands: readonly Promise<void>[]): Promise<void> {
    const outcomes = await Promise.allSettled(commands);
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed === undefined) return;
    this.statistics.errors += 1;
    throw (failed as PromiseRejectedResult).reason;
  }

  #submit(
    name: 'read' | 'write' | 'unmap',
    lba: bigint,
    blocks: bigint,
    data: Part,
    options: TransferOptions,
  ): Promise<void> {
    const operation =
      name === 'read' ? OPCODES.read16 : name === 'write' ? OPCODES.write16 : OPCODES.writeSame16;
    const command: Command = {
      name,
      path: this.resource.lun.path,
      handle: this.resource.handle,
      operation,
      modifier: name === 'unmap' ? WRITE_SAME_UNMAP : 0,
      lba,
      blocks: Number(blocks),
      hostWrite: name !== 'read',
      dataLength: data.length,
      dataAddress: data.bytes === undefined ? data.address : undefined,
      data: data.bytes,
    };
    return this.resource.context.queue.submit(command, options.signal);
  }

  /** Most blocks of one command: the driver's limit, or that of the bounce buffer. */
  #maxBlocks(part: Part): bigint {
    const { maxTransfer } = this.resource;
    if (part.bytes === undefined) return BigInt(maxTransfer);
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

  #part(buffer: BlockBuffer, index: number): Part {
    const name = `buffers[${index}]`;
    if (buffer instanceof Uint8Array) {
      this.#checkLength(name, buffer.length);
      return { bytes: buffer, address: 0n, length: buffer.length };
    }
    const slice = buffer instanceof Memory ? { memory: buffer } : buffer;
    if (!(slice?.memory instanceof Memory)) {
      throw typeError(name, 'a Uint8Array, Memory or { memory, offset, length }', buffer);
    }
    const { memory } = slice;
    const offset = checkInteger(`${name}.offset`, slice.offset ?? 0, 0, memory.size);
    if (offset % DATA_ALIGNMENT !== 0) {
      throw valueError(`${name}.offset`, `a multiple of ${DATA_ALIGNMENT}`, offset);
    }
    const rest = memory.size - offset;
    const length = checkInteger(`${name}.length`, slice.length ?? rest, 0, rest);
    this.#checkLength(name, length);
    return { bytes: undefined, address: memory.address + BigInt(offset), length };
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

function checkOptions(options: TransferOptions): void {
  if (options.signal !== undefined && !(options.signal instanceof AbortSignal)) {
    throw typeError('options.signal', 'an AbortSignal', options.signal);
  }
}
