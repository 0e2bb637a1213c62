/** A mapped problem state area: each access is an exchange with the daemon. */
import { types } from 'node:util';
import type { BlockArray, ProblemStateMapping } from '../binding';
import { type Operands, operandsOf } from '../binding/operands';
import { ALL_ONES_32, ALL_ONES_64 } from '../shared/all-ones';
import type { PslseContext } from './context';
import { encode } from './protocol';
import type { Shared } from './shared-state';

export class PslseMapping implements ProblemStateMapping {
  readonly length: number;
  readonly #shared: Shared;
  readonly #context: PslseContext;
  readonly #start: number;
  /** The daemon gives the AFU's numbers, which are big-endian bytes. */
  readonly #swap: boolean;
  readonly #operands: Operands;
  #mapped = true;

  constructor(
    shared: Shared,
    context: PslseContext,
    start: number,
    length: number,
    endian: 'big' | 'little',
  ) {
    this.#shared = shared;
    this.#context = context;
    this.#start = start;
    this.length = length;
    this.#swap = endian === 'little';
    this.#operands = operandsOf(shared.operands);
  }

  readonly read32 = (): boolean => {
    const value = this.#load32(this.#operands.offset[0]!);
    if (value !== undefined) this.#operands.value32[0] = value;
    return value !== undefined;
  };

  readonly read64 = (): boolean => {
    const value = this.#load64(this.#operands.offset[0]!);
    if (value !== undefined) this.#operands.value64[0] = value;
    return value !== undefined;
  };

  readonly write32 = (): boolean =>
    this.#store32(this.#operands.offset[0]!, this.#operands.value32[0]!);

  readonly write64 = (): boolean =>
    this.#store64(this.#operands.offset[0]!, this.#operands.value64[0]!);

  readBlock(offset: number, target: BlockArray): number {
    for (let index = 0; index < target.length; index++) {
      const at = offset + index * target.BYTES_PER_ELEMENT;
      // Signed arrays convert the value on assignment.
      const value = isWide(target) ? this.#load64(at) : this.#load32(at);
      if (value === undefined) return index;
      target[index] = value;
    }
    return target.length;
  }

  writeBlock(offset: number, source: BlockArray): number {
    for (let index = 0; index < source.length; index++) {
      const at = offset + index * source.BYTES_PER_ELEMENT;
      const value = source[index]!;
      const stored =
        typeof value === 'bigint'
          ? this.#store64(at, BigInt.asUintN(64, value))
          : this.#store32(at, value >>> 0);
      if (!stored) return index;
    }
    return source.length;
  }

  unmap(): void {
    this.#mapped = false;
  }

  #load32(offset: number): number | undefined {
    const data = this.#access(encode.read32(this.#start + offset), 4);
    if (data === undefined) return this.#readsOnes ? ALL_ONES_32 : undefined;
    return viewOf(data).getUint32(0, this.#swap);
  }

  #load64(offset: number): bigint | undefined {
    const data = this.#access(encode.read64(this.#start + offset), 8);
    if (data === undefined) return this.#readsOnes ? ALL_ONES_64 : undefined;
    return viewOf(data).getBigUint64(0, this.#swap);
  }

  #store32(offset: number, value: number): boolean {
    const number = this.#swap ? swapped32(value) : value;
    return (
      this.#access(encode.write32(this.#start + offset, number), 0) !== undefined || this.#readsOnes
    );
  }

  #store64(offset: number, value: bigint): boolean {
    const number = this.#swap ? swapped64(value) : value;
    return (
      this.#access(encode.write64(this.#start + offset, number), 0) !== undefined || this.#readsOnes
    );
  }

  #access(bytes: Uint8Array, ackLength: number): Uint8Array | undefined {
    if (!this.#mapped) return undefined;
    return this.#shared.pump.callSync(this.#context.access(bytes, ackLength));
  }

  /** After a detach with ERR_FF. */
  get #readsOnes(): boolean {
    return this.#mapped && this.#context.errFf && this.#context.status === 'CLOSED';
  }
}

function isWide(array: BlockArray): array is BigUint64Array | BigInt64Array {
  return types.isBigUint64Array(array) || types.isBigInt64Array(array);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function swapped32(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value);
  return view.getUint32(0, true);
}

function swapped64(value: bigint): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, value);
  return view.getBigUint64(0, true);
}
