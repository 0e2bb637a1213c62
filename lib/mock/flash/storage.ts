/** Where the blocks of a LUN are kept: in memory, or in a file that outlives the mock. */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';

export interface Storage {
  /** Fills `target` from byte `offset` on. What was never written reads as zeros. */
  read(offset: bigint, target: Uint8Array): void;
  write(offset: bigint, source: Uint8Array): void;
  /** Makes the range read as zeros. */
  discard(offset: bigint, length: bigint): void;
  close(): void;
}

const PAGE_SIZE = 4096;

/** In memory, sparse: pages that were never written take none. */
export class MemoryStorage implements Storage {
  readonly #pages = new Map<bigint, Uint8Array>();

  read(offset: bigint, target: Uint8Array): void {
    this.#each(offset, target.length, (page, at, from, length) => {
      const bytes = this.#pages.get(page);
      if (bytes === undefined) target.fill(0, from, from + length);
      else target.set(bytes.subarray(at, at + length), from);
    });
  }

  write(offset: bigint, source: Uint8Array): void {
    this.#each(offset, source.length, (page, at, from, length) => {
      let bytes = this.#pages.get(page);
      if (bytes === undefined) {
        bytes = new Uint8Array(PAGE_SIZE);
        this.#pages.set(page, bytes);
      }
      bytes.set(source.subarray(from, from + length), at);
    });
  }

  discard(offset: bigint, length: bigint): void {
    // Goes through the range or through the pages there are, whichever is fewer: a chunk has
    // 65536 pages.
    const size = BigInt(PAGE_SIZE);
    const first = (offset + size - 1n) / size;
    const end = (offset + length) / size;
    if (end > first) {
      if (end - first > BigInt(this.#pages.size)) {
        for (const page of this.#pages.keys()) {
          if (page >= first && page < end) this.#pages.delete(page);
        }
      } else {
        for (let page = first; page < end; page += 1n) this.#pages.delete(page);
      }
    }
    const head = first * size - offset;
    if (head > 0n) this.#zero(offset, head < length ? head : length);
    if (end >= first) this.#zero(end * size, offset + length - end * size);
  }

  #zero(offset: bigint, length: bigint): void {
    if (length > 0n) this.write(offset, new Uint8Array(Number(length)));
  }

  close(): void {
    this.#pages.clear();
  }

  #each(
    offset: bigint,
    length: number,
    use: (page: bigint, at: number, from: number, length: number) => void,
  ): void {
    let from = 0;
    while (from < length) {
      const position = offset + BigInt(from);
      const at = Number(position % BigInt(PAGE_SIZE));
      const part = Math.min(PAGE_SIZE - at, length - from);
      use(position / BigInt(PAGE_SIZE), at, from, part);
      from += part;
    }
  }
}

/** In a file, which is extended to the size of the LUN without writing to it. */
export class FileStorage implements Storage {
  readonly #fd: number;

  constructor(path: string, bytes: bigint) {
    this.#fd = openSync(path, 'a+');
    closeSync(this.#fd);
    this.#fd = openSync(path, 'r+');
    if (BigInt(fstatSync(this.#fd).size) < bytes) ftruncateSync(this.#fd, Number(bytes));
  }

  read(offset: bigint, target: Uint8Array): void {
    let done = 0;
    while (done < target.length) {
      const got = readSync(this.#fd, target, done, target.length - done, offset + BigInt(done));
      if (got === 0) break;
      done += got;
    }
    target.fill(0, done);
  }

  write(offset: bigint, source: Uint8Array): void {
    let done = 0;
    while (done < source.length) {
      done += writeSync(this.#fd, source, done, source.length - done, Number(offset) + done);
    }
  }

  discard(offset: bigint, length: bigint): void {
    const zeros = new Uint8Array(1 << 20);
    for (let done = 0n; done < length; done += BigInt(zeros.length)) {
      const left = length - done;
      const part = left < BigInt(zeros.length) ? zeros.subarray(0, Number(left)) : zeros;
      this.write(offset + done, part);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}
