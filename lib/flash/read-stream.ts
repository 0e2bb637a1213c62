import { Readable } from 'node:stream';
import { checkOptions, type OptionNames } from '../shared/checks';
import { rangeError } from '../shared/errors';
import type { BlockAccess } from './block-access';
import { checkBlockNumber } from './block-number';
import { type BlockStreamOptions, StreamTransfers } from './stream-transfers';

/** Options of createReadStream() of a block device. */
export interface BlockReadStreamOptions extends BlockStreamOptions {
  /** Bytes to read; need not end with a block. Default: to the end of the device. */
  length?: number | bigint | undefined;
}

const OPTIONS: OptionNames<BlockReadStreamOptions> = {
  start: true,
  transferBytes: true,
  depth: true,
  signal: true,
  length: true,
};

/**
 * The bytes of consecutive blocks. Up to `depth` transfers are read ahead; what was read is passed
 * on in order. While the reader is slow, no more is read.
 *
 * @example
 * import { openBlockDevice } from 'node-cxl/flash';
 *
 * await using device = await openBlockDevice('/dev/sg1');
 * let bytes = 0;
 * const stream = device.createReadStream({ start: 0, length: 1_000_000, depth: 8 });
 * for await (const chunk of stream) bytes += chunk.length;
 * console.log(bytes); // 1000000
 */
export class BlockReadStream extends Readable {
  readonly #transfers: StreamTransfers;
  /** What was begun and not passed on yet, in order. */
  readonly #ahead: Promise<Uint8Array>[] = [];
  #next: bigint;
  /** Bytes that were not begun yet, and bytes that were not passed on yet. */
  #toBegin: bigint;
  #left: bigint;
  #passing = false;

  /** @internal Use createReadStream() of a block device. */
  constructor(device: BlockAccess, options: BlockReadStreamOptions) {
    checkOptions(options, OPTIONS);
    const transfers = new StreamTransfers(device, options);
    const rest = (device.blocks - transfers.start) * BigInt(device.blockSize);
    const length = checkBlockNumber('options.length', options.length ?? rest);
    if (length > rest) throw rangeError('options.length', `at most ${rest}, the end`, length);
    super({ highWaterMark: transfers.bytes });
    this.#transfers = transfers;
    transfers.onAbort((error) => this.destroy(error));
    this.#next = transfers.start;
    this.#toBegin = length;
    this.#left = length;
  }

  /** @internal Called by Node when the reader wants more. */
  override _read(): void {
    if (!this.#passing) void this.#pass();
  }

  async #pass(): Promise<void> {
    this.#passing = true;
    try {
      for (;;) {
        this.#readAhead();
        const first = this.#ahead.shift();
        if (first === undefined) {
          this.push(null);
          return;
        }
        const bytes = await first;
        const wanted = this.#left < BigInt(bytes.length) ? Number(this.#left) : bytes.length;
        this.#left -= BigInt(wanted);
        if (this.destroyed || !this.push(bytes.subarray(0, wanted))) return;
      }
    } catch (error) {
      this.destroy(error as Error);
    } finally {
      this.#passing = false;
    }
  }

  #readAhead(): void {
    const { device, bytes, depth } = this.#transfers;
    while (this.#ahead.length < depth && this.#toBegin > 0n) {
      const blocks = (this.#toBegin + BigInt(device.blockSize) - 1n) / BigInt(device.blockSize);
      const most = bytes / device.blockSize;
      const count = blocks < BigInt(most) ? Number(blocks) : most;
      const lba = this.#next;
      const read = this.#transfers.begin((options) => device.read(lba, count, options));
      // Handled when its turn comes, which may be after another has failed.
      read.catch(() => undefined);
      this.#ahead.push(read);
      this.#next += BigInt(count);
      const begun = BigInt(count * device.blockSize);
      this.#toBegin = this.#toBegin > begun ? this.#toBegin - begun : 0n;
    }
  }

  /** @internal */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    void this.#transfers.end().then(() => callback(error));
  }
}
