import { Writable } from 'node:stream';
import { checkOneOf, checkOptions, type OptionNames } from '../shared/checks';
import { systemError } from '../shared/errors';
import type { BlockAccess } from './block-access';
import { type BlockStreamOptions, StreamTransfers } from './stream-transfers';

/** Options of createWriteStream() of a block device. */
export interface BlockWriteStreamOptions extends BlockStreamOptions {
  /**
   * What becomes of the rest of the last block when the data does not end with a block: `keep`
   * reads the block and changes only its beginning, `zero` fills it with zeros. Default `keep`.
   */
  lastBlock?: 'keep' | 'zero' | undefined;
}

const OPTIONS: OptionNames<BlockWriteStreamOptions> = {
  start: true,
  transferBytes: true,
  depth: true,
  signal: true,
  lastBlock: true,
};

type Callback = (error?: Error | null) => void;

/**
 * Writes bytes to consecutive blocks. They are copied, so that the program may use its buffers again
 * at once. Up to `depth` transfers are in flight; with that many, write() returns false. `finish`
 * means that all data is on the LUN. After an error, or destroy(), any part of what was written
 * may be on the LUN; data past the end of the device is ENOSPC, after what fits has been written.
 *
 * @example
 * import { Readable } from 'node:stream';
 * import { pipeline } from 'node:stream/promises';
 * import { openBlockDevice } from 'node-cxl/flash';
 *
 * await using device = await openBlockDevice('/dev/sg1');
 * const lines = Readable.from(['first line\n', 'second line\n']);
 * await pipeline(lines, device.createWriteStream({ start: 16, lastBlock: 'zero' }));
 * console.log(device.statistics.blocksWritten); // 1
 */
export class BlockWriteStream extends Writable {
  readonly #transfers: StreamTransfers;
  readonly #lastBlock: 'keep' | 'zero';
  #next: bigint;
  #buffer: Uint8Array;
  #filled = 0;
  #failure: Error | undefined;

  /** @internal Use createWriteStream() of a block device. */
  constructor(device: BlockAccess, options: BlockWriteStreamOptions) {
    checkOptions(options, OPTIONS);
    const transfers = new StreamTransfers(device, options);
    const lastBlock = options.lastBlock ?? 'keep';
    checkOneOf('options.lastBlock', lastBlock, ['keep', 'zero'] as const);
    super({ highWaterMark: transfers.bytes });
    this.#transfers = transfers;
    transfers.onAbort((error) => this.destroy(error));
    this.#lastBlock = lastBlock;
    this.#next = transfers.start;
    this.#buffer = new Uint8Array(transfers.bytes);
  }

  /** @internal */
  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    this.#take(chunk).then(() => callback(this.#failure), callback);
  }

  async #take(chunk: Uint8Array): Promise<void> {
    for (let from = 0; from < chunk.length; ) {
      const part = chunk.subarray(from, from + this.#buffer.length - this.#filled);
      this.#buffer.set(part, this.#filled);
      this.#filled += part.length;
      from += part.length;
      if (this.#filled < this.#buffer.length) return;
      while (this.#transfers.full) await this.#transfers.oneSettled();
      // By an error, an abort or the program: what is begun now would be in flight after the end.
      if (this.destroyed) return;
      if (!this.#begin(this.#buffer)) throw await this.#noSpace();
      this.#buffer = new Uint8Array(this.#buffer.length);
      this.#filled = 0;
    }
  }

  /** Begins to write whole blocks. False when the device ends before them. */
  #begin(bytes: Uint8Array): boolean {
    const { device } = this.#transfers;
    const rest = device.blocks - this.#next;
    const count = BigInt(bytes.length / device.blockSize);
    const fits = count < rest ? count : rest;
    const lba = this.#next;
    this.#next += fits;
    if (fits > 0n) {
      const part = bytes.subarray(0, Number(fits) * device.blockSize);
      this.#transfers
        .begin((options) => device.write(lba, part, options))
        .catch((error) => {
          this.#failure ??= error as Error;
          this.destroy(this.#failure);
        });
    }
    return fits === count;
  }

  /** The error, once everything that fits has been written. */
  async #noSpace(): Promise<Error> {
    await this.#transfers.allSucceeded();
    const hint = `the device ends at block ${this.#transfers.device.blocks}`;
    return systemError('ENOSPC', 'write', undefined, hint);
  }

  /** @internal */
  override _final(callback: Callback): void {
    this.#finish().then(() => callback(), callback);
  }

  async #finish(): Promise<void> {
    const { device } = this.#transfers;
    const whole = this.#filled - (this.#filled % device.blockSize);
    if (!this.#begin(this.#buffer.subarray(0, whole))) throw await this.#noSpace();
    if (this.#filled > whole) await this.#writeLast(this.#buffer.subarray(whole, this.#filled));
    await this.#transfers.allSucceeded();
  }

  async #writeLast(bytes: Uint8Array): Promise<void> {
    const { device } = this.#transfers;
    const lba = this.#next;
    if (lba >= device.blocks) throw await this.#noSpace();
    const block =
      this.#lastBlock === 'zero'
        ? new Uint8Array(device.blockSize)
        : await this.#transfers.begin((options) => device.read(lba, 1, options));
    block.set(bytes);
    this.#begin(block);
  }

  /** @internal */
  override _destroy(error: Error | null, callback: Callback): void {
    void this.#transfers.end().then(() => callback(error));
  }
}
