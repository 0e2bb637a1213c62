/**
 * The operands of a register or memory access. They pass through a buffer that both sides of the
 * seam share, and the access itself is a call without arguments: that is three times as fast as a
 * call with arguments and a result. One buffer serves all mappings and memories of a backend,
 * since JavaScript makes one access at a time. native/mmio/operands.h has the same layout.
 */
export class Operands {
  /** Bytes from the start of the mapping or memory. */
  readonly offset: Float64Array;
  /** The value, in the host's byte order. */
  readonly value32: Uint32Array;
  readonly value64: BigUint64Array;
  /** The value as the bytes that are, or will be, in memory. */
  readonly bytes: DataView;

  constructor(buffer: SharedArrayBuffer) {
    this.offset = new Float64Array(buffer, 0, 1);
    this.value32 = new Uint32Array(buffer, 8, 1);
    this.value64 = new BigUint64Array(buffer, 8, 1);
    this.bytes = new DataView(buffer, 8, 8);
  }
}

/** Bytes of the buffer. */
export const OPERANDS_SIZE = 16;

const known = new WeakMap<SharedArrayBuffer, Operands>();

/** The operands of a backend (Binding.operands). */
export function operandsOf(buffer: SharedArrayBuffer): Operands {
  let operands = known.get(buffer);
  if (operands === undefined) {
    operands = new Operands(buffer);
    known.set(buffer, operands);
  }
  return operands;
}
