/** Memory of a program that is replayed: what the device wrote appears, what the program wrote is compared. */
import type { MemoryRegion } from '../binding';
import type { Operands } from '../binding/operands';
import { type MakeAccess, WrappedMemory } from '../binding/wrapped-memory';
import { putValue } from './followed-memory';
import type { MemoryRecord } from './records';

/** A difference between what the program wrote and what was recorded. */
export interface MemoryDifference {
  readonly offset: number;
  readonly expected: Uint8Array;
  readonly actual: Uint8Array;
}

/** One memory, bound to the one of the recording that it stands for. */
export class BoundMemory {
  readonly id: number;
  /** The contents as they were recorded, up to where the replay is. */
  readonly image: Buffer;
  readonly #bytes: () => Uint8Array | undefined;

  constructor(id: number, size: number, bytes: () => Uint8Array | undefined) {
    this.id = id;
    this.image = Buffer.alloc(size);
    this.#bytes = bytes;
  }

  /**
   * Takes over a change of memory. What the device wrote is written where the program has not: it
   * may be ahead of the recording. What the program wrote must be there.
   */
  change({ by, certain, ranges }: MemoryRecord): MemoryDifference | undefined {
    const bytes = this.#bytes();
    let difference: MemoryDifference | undefined;
    for (const { offset, bytes: after } of ranges) {
      const before = Buffer.from(this.image.subarray(offset, offset + after.length));
      this.image.set(after, offset);
      if (bytes === undefined) continue;
      const now = bytes.subarray(offset, offset + after.length);
      if (Buffer.compare(now, after) === 0) continue;
      const untouched = Buffer.compare(now, before) === 0;
      if (untouched && (by === 'device' || !certain)) now.set(after);
      else if (by === 'program') {
        difference ??= differenceFrom(offset, after, now);
      }
    }
    return difference;
  }

  /** A store of the program that was recorded itself. */
  put(offset: number, width: 1 | 2 | 4 | 8, value: number | bigint, little: boolean): void {
    const view = new DataView(this.image.buffer, this.image.byteOffset + offset, width);
    putValue(view, width, value, little);
  }

  /** What the program has written that was never recorded so. `later`: changes that are to come. */
  unexpected(later: readonly MemoryRecord[]): MemoryDifference | undefined {
    const bytes = this.#bytes();
    if (bytes === undefined || Buffer.compare(bytes, this.image) === 0) return undefined;
    for (let at = 0; at < bytes.length; at += 8) {
      const actual = bytes.subarray(at, at + 8);
      const expected = this.image.subarray(at, at + 8);
      if (Buffer.compare(actual, expected) === 0) continue;
      const ahead = later.some(({ object, ranges }) => {
        if (object !== this.id) return false;
        return ranges.some(({ offset, bytes: after }) => {
          const start = at - offset;
          if (start < 0 || start >= after.length) return false;
          return Buffer.compare(after.subarray(start, start + actual.length), actual) === 0;
        });
      });
      if (!ahead) return differenceFrom(at, expected, actual);
    }
    return undefined;
  }
}

/** Where they differ first, and the bytes from there. */
function differenceFrom(
  offset: number,
  expected: Uint8Array,
  actual: Uint8Array,
): MemoryDifference {
  let at = 0;
  while (expected[at] === actual[at]) at += 1;
  return {
    offset: offset + at,
    expected: expected.slice(at),
    actual: actual.slice(at),
  };
}

/** What a replayed memory asks at its accesses. */
export interface MemoryAccesses {
  load(name: string, offset: number): void;
  store(name: string, offset: number, value: number | bigint, swapped: boolean): void;
}

/** A region at the address that was recorded. */
export class ReplayedRegion extends WrappedMemory {
  constructor(
    region: MemoryRegion,
    address: bigint,
    { offset, value32, value64, swap }: Operands,
    accesses: MemoryAccesses,
  ) {
    const load: MakeAccess = (width) => {
      const access = region[`load${width}`];
      return () => {
        accesses.load(`load${width}`, offset[0]!);
        access();
      };
    };
    const store: MakeAccess = (width) => {
      const access = region[`store${width}`];
      return () => {
        const value = width === 64 ? value64[0]! : value32[0]!;
        accesses.store(`store${width}`, offset[0]!, value, swap[0] !== 0);
        access();
      };
    };
    super(region, load, store, address);
  }
}
