/** A block of 64-bit registers for AFU models, with accesses of 32 or 64 bits. */
import type { MmioWidth } from './afu-model';

/** One 64-bit register. Without `read` it reads as zero; without `write` stores are ignored. */
export interface Register {
  /** What a load reads: 64 bits. */
  read?(): bigint;
  /** A store of 64 bits. */
  write?(value: bigint): void;
}

const LOW_32_BITS = (1n << 32n) - 1n;

/**
 * The 64-bit registers of an AFU model, for ProcessLogic.mmioRead() and mmioWrite().
 *
 * @example
 * import { Registers } from 'node-cxl/mock';
 *
 * let value = 0n;
 * const registers = new Registers({
 *   0x08: { read: () => value, write: (stored) => { value = stored; } },
 * });
 * registers.write(0x08, 8, 0x1122_3344_5566_7788n);
 * console.log(registers.read(0x0c, 4).toString(16)); // 55667788
 */
export class Registers {
  readonly #registers = new Map<number, Register>();
  readonly #bigEndian: boolean;

  /** `registers` are by byte offset, a multiple of 8. */
  constructor(registers: Record<number, Register>, endian: 'big' | 'little' = 'big') {
    this.#bigEndian = endian === 'big';
    for (const [offset, register] of Object.entries(registers)) {
      this.#registers.set(Number(offset), register);
    }
  }

  /** Whether there is a register at this byte offset. */
  has(offset: number): boolean {
    return this.#registers.has(offset - (offset % 8));
  }

  /** A load at a byte offset: the value, of 8 * `width` bits. */
  read(offset: number, width: MmioWidth): bigint {
    const value = this.#registers.get(offset - (offset % 8))?.read?.() ?? 0n;
    if (width === 8) return value;
    return this.#upperHalf(offset) ? value >> 32n : value & LOW_32_BITS;
  }

  /** A 32-bit store writes the other half with what it reads as. */
  write(offset: number, width: MmioWidth, value: bigint): void {
    const register = this.#registers.get(offset - (offset % 8));
    if (width === 8) {
      register?.write?.(value);
      return;
    }
    const old = register?.read?.() ?? 0n;
    const merged = this.#upperHalf(offset)
      ? (value << 32n) | (old & LOW_32_BITS)
      : (old & (LOW_32_BITS << 32n)) | value;
    register?.write?.(merged);
  }

  #upperHalf(offset: number): boolean {
    return (offset % 8 === 0) === this.#bigEndian;
  }
}
