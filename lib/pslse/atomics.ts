/**
 * The atomic memory operations of a PSL9's DMA, on a program's memory. As in PSLSE's libcxl, the word in
 * memory has the host's byte order, and the operands and the answer the one that the AFU names.
 */
import { HOST_IS_LITTLE_ENDIAN } from '../shared/endian';

type Bits = 32 | 64;
/** What an operation stores, of the word in memory and the two operands. */
type Operation = (old: bigint, one: bigint, two: bigint, bits: Bits) => bigint;

const ADD: Operation = (old, one) => old + one;
const XOR: Operation = (old, one) => old ^ one;
const OR: Operation = (old, one) => old | one;
const AND: Operation = (old, one) => old & one;
const MAX: Operation = (old, one) => (old > one ? old : one);
const MIN: Operation = (old, one) => (old < one ? old : one);
const MAX_SIGNED: Operation = (old, one, _two, bits) =>
  BigInt.asIntN(bits, old) > BigInt.asIntN(bits, one) ? old : one;
const MIN_SIGNED: Operation = (old, one, _two, bits) =>
  BigInt.asIntN(bits, old) < BigInt.asIntN(bits, one) ? old : one;

/** By code. Those from 0x20 on have no answer. */
const OPERATIONS: ReadonlyMap<number, Operation> = new Map([
  ...[ADD, XOR, OR, AND, MAX, MAX_SIGNED, MIN, MIN_SIGNED].flatMap(
    (operation, index): [number, Operation][] => [
      [index, operation],
      [0x20 + index, operation],
    ],
  ),
  [0x08, (_old, one) => one],
  [0x10, (old, one, two) => (old !== one ? two : old)],
  [0x11, (old, one, two) => (old === one ? two : old)],
]);
const FIRST_WITHOUT_ANSWER = 0x20;

/** By code: those that compare the word with its neighbor, and where that is, in words. */
const BOUNDED: ReadonlyMap<number, { neighbor: -1 | 1; whenEqual: boolean; add: bigint }> = new Map(
  [
    [0x18, { neighbor: 1, whenEqual: false, add: 1n }],
    [0x19, { neighbor: 1, whenEqual: true, add: 1n }],
    [0x1c, { neighbor: -1, whenEqual: false, add: -1n }],
  ] as const,
);
const STORE_TWIN = 0x38;

const OPERATION_BITS = 0x3f;
const LITTLE_ENDIAN_BIT = 0x80;

/** One operation of an AFU. */
export interface AtomicAccess {
  readonly address: bigint;
  /** Bytes. */
  readonly size: 4 | 8;
  /** Its code, with bit 7: the operands are little-endian. */
  readonly operation: number;
  /** 16 bytes. The address says which are the first operand and which the second. */
  readonly operands: Uint8Array;
}

/** Bytes before and after the address that the operation reaches. */
export function reachOf({ size, operation }: AtomicAccess): { before: number; length: number } {
  const code = operation & OPERATION_BITS;
  const neighbor = code === STORE_TWIN ? 1 : (BOUNDED.get(code)?.neighbor ?? 0);
  return { before: neighbor < 0 ? size : 0, length: neighbor === 0 ? size : 2 * size };
}

/**
 * Carries out an operation on `memory`, the bytes of reachOf(). The bytes of the answer, which are none
 * for some; undefined when there is no such operation: the memory is unchanged then.
 */
export function operate(memory: Uint8Array, access: AtomicAccess): Uint8Array | undefined {
  const { size, operands, operation } = access;
  const code = operation & OPERATION_BITS;
  const little = (operation & LITTLE_ENDIAN_BIT) !== 0;
  const bits = size === 8 ? 64 : 32;
  const place = Number(access.address & 0xcn);
  // The operands are 8 bytes apart, in the order that the address says.
  if (place % size !== 0) return undefined;
  const { before } = reachOf(access);
  const old = load(memory, before, size, HOST_IS_LITTLE_ENDIAN);
  const one = load(operands, place, size, little);
  const put = (at: number, value: bigint) => store(memory, at, size, value, HOST_IS_LITTLE_ENDIAN);
  const answer = new Uint8Array(code < FIRST_WITHOUT_ANSWER ? size : 0);
  let answered = old;
  const bounded = BOUNDED.get(code);
  const what = OPERATIONS.get(code);
  if (bounded !== undefined) {
    const neighbor = load(memory, before + bounded.neighbor * size, size, HOST_IS_LITTLE_ENDIAN);
    if ((old === neighbor) === bounded.whenEqual) put(before, old + bounded.add);
    else answered = 1n << BigInt(bits - 1);
  } else if (code === STORE_TWIN) {
    if (load(memory, size, size, HOST_IS_LITTLE_ENDIAN) === old) {
      put(0, one);
      put(size, one);
    }
  } else if (what !== undefined) {
    put(before, what(old, one, load(operands, place ^ 8, size, little), bits));
  } else {
    return undefined;
  }
  if (answer.length > 0) store(answer, 0, size, answered, little);
  return answer;
}

function load(bytes: Uint8Array, at: number, size: 4 | 8, little: boolean): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return size === 8 ? view.getBigUint64(at, little) : BigInt(view.getUint32(at, little));
}

function store(bytes: Uint8Array, at: number, size: 4 | 8, value: bigint, little: boolean): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (size === 8) view.setBigUint64(at, BigInt.asUintN(64, value), little);
  else view.setUint32(at, Number(BigInt.asUintN(32, value)), little);
}
