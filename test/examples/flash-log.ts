/**
 * An append-only log on a virtual LUN: records of any length, each with a number.
 *
 * Each record takes whole blocks: a header (its number, its length, the log's id), then the bytes. A
 * record is on the LUN when its write has settled; after a restart the log ends at the first block
 * that is not the next record.
 */
import type { BlockDevice } from 'node-cxl/flash';

const HEADER_BYTES = 16;

export class FlashLog {
  readonly #device: BlockDevice;
  readonly #id: number;
  readonly #starts: bigint[] = [];
  #next = 0n;

  private constructor(device: BlockDevice, id: number) {
    this.#device = device;
    this.#id = id;
  }

  /** Opens the log on the device, or an empty one. */
  static async open(device: BlockDevice, id: number): Promise<FlashLog> {
    const log = new FlashLog(device, id);
    while (log.#next < device.blocks) {
      const blocks = log.#span(await device.read(log.#next, 1));
      if (blocks === 0n) break;
      log.#starts.push(log.#next);
      log.#next += blocks;
    }
    return log;
  }

  get length(): number {
    return this.#starts.length;
  }

  /** Blocks of the record whose first block this is; 0 when it is not the next one. */
  #span(block: Uint8Array): bigint {
    const header = new DataView(block.buffer, block.byteOffset);
    if (header.getUint32(0) !== this.#id || header.getUint32(4) !== this.#starts.length) return 0n;
    return this.#blocksFor(header.getUint32(8));
  }

  #blocksFor(length: number): bigint {
    return BigInt(Math.ceil((HEADER_BYTES + length) / this.#device.blockSize));
  }

  /** Resolves with the record's number when it is on the LUN. @throws ENOSPC resize the LUN */
  async append(record: Uint8Array): Promise<number> {
    const blocks = this.#blocksFor(record.length);
    const number = this.#starts.length;
    const start = this.#next;
    const bytes = new Uint8Array(Number(blocks) * this.#device.blockSize);
    const header = new DataView(bytes.buffer);
    header.setUint32(0, this.#id);
    header.setUint32(4, number);
    header.setUint32(8, record.length);
    bytes.set(record, HEADER_BYTES);
    this.#starts.push(start);
    this.#next += blocks;
    await this.#device.write(start, bytes);
    return number;
  }

  async read(number: number): Promise<Uint8Array | undefined> {
    const start = this.#starts[number];
    if (start === undefined) return undefined;
    const first = await this.#device.read(start, 1);
    const length = new DataView(first.buffer).getUint32(8);
    const whole = await this.#device.read(start, Number(this.#blocksFor(length)));
    return whole.subarray(HEADER_BYTES, HEADER_BYTES + length);
  }
}
