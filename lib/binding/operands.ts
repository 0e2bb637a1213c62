/**
 * The operands of a register or memory access. They pass through a buffer that both sides of the
 * seam share, and the access itself is a call without arguments: that is three times as fast as a
 * call with arguments and a result. One buffer serves all mappings and memories of a backend,
 * since JavaScript makes one access at a time. native/mmio/operands.h has the same layout.
 */
export class Operands {
  /** Bytes from the start of the mapping or memory. */
  readonly offset: Float64Array;
  /** The value, in the host's byte order: the first for 32 bits and less. */
  readonly value32: Uint32Array;
  readonly value64: BigUint64Array;
  /** Of memory alone: 1 when its byte order is not the host's, else 0. */
  readonly swap: Uint32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.offset = new Float64Array(buffer, 0, 1);
    this.value32 = new Uint32Array(buffer, 8, 1);
    this.value64 = new BigUint64Array(buffer, 8, 1);
    this.swap = new Uint32Array(buffer, 16, 1);
  }
}

/** Bytes of the buffer. */
export const OPERANDS_SIZE = 24;

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
