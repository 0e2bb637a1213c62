/** Memory of a backend for one that passes its accesses on and does more at each. */
import type { MemoryRegion } from './memory';

/** Bits of an access. */
export type MemoryWidth = 8 | 16 | 32 | 64;

/** An access of one width, without arguments, as MemoryRegion has them. */
export type MakeAccess = (width: MemoryWidth) => () => void;

export class WrappedMemory implements MemoryRegion {
  readonly address: bigint;
  readonly size: number;
  readonly load8: () => void;
  readonly load16: () => void;
  readonly load32: () => void;
  readonly load64: () => void;
  readonly store8: () => void;
  readonly store16: () => void;
  readonly store32: () => void;
  readonly store64: () => void;
  readonly #region: MemoryRegion;

  constructor(region: MemoryRegion, load: MakeAccess, store: MakeAccess, address = region.address) {
    this.#region = region;
    this.address = address;
    this.size = region.size;
    this.load8 = load(8);
    this.load16 = load(16);
    this.load32 = load(32);
    this.load64 = load(64);
    this.store8 = store(8);
    this.store16 = store(16);
    this.store32 = store(32);
    this.store64 = store(64);
  }

  get buffer(): ArrayBuffer {
    return this.#region.buffer;
  }

  detach(): void {
    this.#region.detach();
  }

  free(): void {
    this.#region.free();
  }
}
