/** A mapped problem state area of a recording. */
import { types } from 'node:util';
import type { BlockArray, ProblemStateMapping } from '../binding';
import type { Operands } from '../binding/operands';
import { blockName, type Lane } from './plan';
import { littleEndianBytes } from './recorded-mapping';
import type { AccessRecord, BlockRecord } from './records';
import type { Replayer } from './replayer';

export class ReplayedMapping implements ProblemStateMapping {
  readonly length: number;
  readonly #start: number;
  readonly #lane: Lane;
  readonly #operands: Operands;
  readonly #replayer: Replayer;
  #mapped = true;

  constructor(start: number, length: number, lane: Lane, operands: Operands, replayer: Replayer) {
    this.#start = start;
    this.length = length;
    this.#lane = lane;
    this.#operands = operands;
    this.#replayer = replayer;
  }

  readonly read32 = (): boolean => {
    const value = this.#load('read32');
    if (value !== undefined) this.#operands.value32[0] = Number(value);
    return value !== undefined;
  };

  readonly read64 = (): boolean => {
    const value = this.#load('read64');
    if (value !== undefined) this.#operands.value64[0] = BigInt(value);
    return value !== undefined;
  };

  readonly write32 = (): boolean => this.#store('write32', this.#operands.value32[0]!);

  readonly write64 = (): boolean => this.#store('write64', this.#operands.value64[0]!);

  readBlock(offset: number, target: BlockArray): number {
    const width = bitsOf(target);
    const at = this.#start + offset;
    const name = blockName(width, target.length);
    const input = { offset: at, width, count: target.length };
    const { values, moved } = this.#replayer.required(this.#lane, name, at, input)
      .record as BlockRecord;
    const view = new DataView(values.buffer, values.byteOffset, values.length);
    for (let n = 0; n < moved; n += 1) {
      if (types.isBigUint64Array(target)) target[n] = view.getBigUint64(n * 8, true);
      else if (types.isBigInt64Array(target)) target[n] = view.getBigInt64(n * 8, true);
      else if (types.isInt32Array(target)) target[n] = view.getInt32(n * 4, true);
      else target[n] = view.getUint32(n * 4, true);
    }
    return moved;
  }

  writeBlock(offset: number, source: BlockArray): number {
    const width = bitsOf(source);
    const input = {
      offset: this.#start + offset,
      width,
      count: source.length,
      values: littleEndianBytes(source),
    };
    const step = this.#replayer.call(this.#lane, 'writeBlock', input);
    return step === undefined ? source.length : (step.answer?.answer as number);
  }

  unmap(): void {
    if (!this.#mapped) return;
    this.#mapped = false;
    this.#replayer.call(this.#lane, 'munmap', {});
  }

  /** Undefined: it faulted. */
  #load(name: string): bigint | number | undefined {
    const offset = this.#start + this.#operands.offset[0]!;
    const { record } = this.#replayer.required(this.#lane, name, offset, { offset });
    return (record as AccessRecord).value;
  }

  #store(name: string, value: bigint | number): boolean {
    const offset = this.#start + this.#operands.offset[0]!;
    const step = this.#replayer.call(this.#lane, name, { offset, value });
    return step?.answer?.errno === undefined;
  }
}

function bitsOf(block: BlockArray): 32 | 64 {
  return block.BYTES_PER_ELEMENT === 8 ? 64 : 32;
}
