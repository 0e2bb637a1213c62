/**
 * Which parts of a pool are free, by the buddy system: blocks are powers of two, at multiples of
 * their size. A block that is too large is split in halves. Free halves are joined again when
 * nothing else is left: programs take and give the same sizes again and again.
 */

/** log2 of the smallest block: 128 bytes, a cache line of POWER. */
const MIN_ORDER = 7;

export class BuddyBlocks {
  /** Offsets of the free blocks, by order (log2 of their size). */
  readonly #free: number[][] = [];

  /** `size` bytes; what does not fill a smallest block at the end is not used. */
  constructor(size: number) {
    const maxOrder = Math.max(MIN_ORDER, Math.floor(Math.log2(size)));
    for (let order = 0; order <= maxOrder; order += 1) this.#free.push([]);
    // The largest blocks that fit, so that every size can be used.
    let at = 0;
    for (let order = maxOrder; order >= MIN_ORDER; order -= 1) {
      if (at + 2 ** order > size) continue;
      this.#free[order]?.push(at);
      at += 2 ** order;
    }
  }

  /** The order of the block for this many bytes with this alignment (a power of two). */
  static orderFor(size: number, alignment: number): number {
    return Math.max(MIN_ORDER, Math.ceil(Math.log2(Math.max(size, alignment))));
  }

  /** The offset of a block that is taken; undefined when there is no room for one. */
  take(order: number): number | undefined {
    const at = this.#free[order]?.pop() ?? this.#split(order);
    if (at !== undefined) return at;
    this.#join();
    return this.#free[order]?.pop() ?? this.#split(order);
  }

  /** Gives a block back. */
  give(at: number, order: number): void {
    this.#free[order]?.push(at);
  }

  /** The first part of a larger block; the rest of it stays free. */
  #split(order: number): number | undefined {
    let from = order + 1;
    while (this.#free[from]?.length === 0) from += 1;
    const at = this.#free[from]?.pop();
    if (at === undefined) return undefined;
    for (let half = from - 1; half >= order; half -= 1) this.#free[half]?.push(at + 2 ** half);
    return at;
  }

  #join(): void {
    for (let order = MIN_ORDER; order + 1 < this.#free.length; order += 1) {
      const blocks = (this.#free[order] as number[]).sort((a, b) => a - b);
      const alone: number[] = [];
      for (let index = 0; index < blocks.length; index += 1) {
        const at = blocks[index] as number;
        const isLower = (at / 2 ** order) % 2 === 0;
        if (isLower && blocks[index + 1] === at + 2 ** order) {
          this.#free[order + 1]?.push(at);
          index += 1;
        } else {
          alone.push(at);
        }
      }
      this.#free[order] = alone;
    }
  }
}
