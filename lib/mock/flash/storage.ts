/** What is behind a LUN: blocks in memory, or a file, so that data outlives the mock. */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';

export interface Storage {
  /** Fills `target` from byte `offset`; what was never written reads as zeros. */
  read(offset: bigint, target: Uint8Array): void;
  write(offset: bigint, source: Uint8Array): void;
  /** Makes the range read as zeros. */
  discard(offset: bigint, length: bigint): void;
  close(): void;
}

const pageBytes = 4096;

/** Sparse: only what was written takes memory. */
export class MemoryStorage implements Storage {
  private readonly pages = new Map<bigint, Uint8Array>();

  read(offset: bigint, target: Uint8Array): void {
    this.each(offset, target.length, (page, at, from, length) => {
      const bytes = this.pages.get(page);
      if (bytes === undefined) target.fill(0, from, from + length);
      else target.set(bytes.subarray(at, at + length), from);
    });
  }

  write(offset: bigint, source: Uint8Array): void {
    this.each(offset, source.length, (page, at, from, length) => {
      let bytes = this.pages.get(page);
      if (bytes === undefined) {
        bytes = new Uint8Array(pageBytes);
        this.pages.set(page, bytes);
      }
      bytes.set(source.subarray(from, from + length), at);
    });
  }

  discard(offset: bigint, length: bigint): void {
    // Whole pages are looked up in the smaller of the two sets: a chunk has 65536 of them.
    const size = BigInt(pageBytes);
    const first = (offset + size - 1n) / size;
    const end = (offset + length) / size;
    if (end > first) {
      if (end - first > BigInt(this.pages.size)) {
        for (const page of this.pages.keys()) {
          if (page >= first && page < end) this.pages.delete(page);
        }
      } else {
        for (let page = first; page < end; page += 1n) this.pages.delete(page);
      }
    }
    const head = first * size - offset;
    if (head > 0n) this.zero(offset, head < length ? head : length);
    if (end >= first) this.zero(end * size, offset + length - end * size);
  }

  private zero(offset: bigint, length: bigint): void {
    if (length > 0n) this.write(offset, new Uint8Array(Number(length)));
  }

  close(): void {
    this.pages.clear();
  }

  private each(
    offset: bigint,
    length: number,
    use: (page: bigint, at: number, from: number, length: number) => void,
  ): void {
    let from = 0;
    while (from < length) {
      const position = offset + BigInt(from);
      const at = Number(position % BigInt(pageBytes));
      const part = Math.min(pageBytes - at, length - from);
      use(position / BigInt(pageBytes), at, from, part);
      from += part;
    }
  }
}

/** A file, grown (sparsely) to the LUN's size. */
export class FileStorage implements Storage {
  private readonly fd: number;

  constructor(path: string, bytes: bigint) {
    this.fd = openSync(path, 'a+');
    closeSync(this.fd);
    this.fd = openSync(path, 'r+');
    if (BigInt(fstatSync(this.fd).size) < bytes) ftruncateSync(this.fd, Number(bytes));
  }

  read(offset: bigint, target: Uint8Array): void {
    let done = 0;
    while (done < target.length) {
      const got = readSync(this.fd, target, done, target.length - done, offset + BigInt(done));
      if (got === 0) break;
      done += got;
    }
    target.fill(0, done);
  }

  write(offset: bigint, source: Uint8Array): void {
    let done = 0;
    while (done < source.length) {
      done += writeSync(this.fd, source, done, source.length - done, Number(offset) + done);
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
    closeSync(this.fd);
  }
}
