/** Writes a recording to its file, so that as little as possible is lost when the process dies. */
import fs from 'node:fs';
import path from 'node:path';
import { BLOCK_ENCODINGS, FILE_START, makeBlock } from './blocks';
import { encodeItem } from './cbor';
import type { RecordingHeader } from './records';

/** Bytes of records after which they are compressed. */
const COMPRESSED_BYTES = 256 * 1024;

/**
 * flush() writes what was recorded since the last one as a block that is not compressed. When those
 * blocks have grown to a size, a compressed one takes their place. It is written after them first,
 * then over them: whenever the process is killed, the file has every record at least once.
 *
 * What fails is told once by a warning of the process, and ends the recording: the program goes on,
 * and the file has what was recorded until then.
 */
export class RecordingWriter {
  readonly file: string;
  #fd: number;
  /** Where the file ends. */
  #end = 0;
  /** Number of the next record. */
  #next = 0;
  /** Encoded, not written yet. */
  #waiting: Uint8Array[] = [];
  /** Written since the last compressed block: where, from which record, and how many bytes. */
  #tail: { offset: number; first: number; records: Uint8Array[]; bytes: number };

  /** @throws as fs.openSync(), and writing does, when the file cannot be made */
  constructor(file: string, flags: 'w' | 'wx', header: RecordingHeader) {
    this.file = path.resolve(file);
    this.#fd = fs.openSync(this.file, flags);
    try {
      this.#append(Buffer.concat([FILE_START, encodeItem(header)]));
    } catch (error) {
      fs.closeSync(this.#fd);
      throw error;
    }
    this.#tail = { offset: this.#end, first: 0, records: [], bytes: 0 };
  }

  /** Whether records are still taken. */
  get open(): boolean {
    return this.#fd >= 0;
  }

  /** Takes a record. It is in the file after the next flush(). */
  add(record: object): void {
    if (this.open) this.#waiting.push(encodeItem(record));
  }

  /** Writes what was added. Never throws. */
  flush(): void {
    const records = this.#waiting;
    if (records.length === 0 || !this.open) return;
    this.#waiting = [];
    this.#guarded(() => {
      const bytes = Buffer.concat(records);
      this.#append(makeBlock(this.#next, records.length, bytes, BLOCK_ENCODINGS.STORED));
      this.#next += records.length;
      this.#tail.records.push(bytes);
      this.#tail.bytes += bytes.length;
      if (this.#tail.bytes >= COMPRESSED_BYTES) this.#compress();
    });
  }

  /** Writes what was added, compresses it and closes the file. Idempotent. Never throws. */
  close(): void {
    this.flush();
    this.#guarded(() => {
      if (this.open) this.#compress();
    });
    this.#close();
  }

  #compress(): void {
    const { offset, first, records, bytes } = this.#tail;
    if (bytes > 0) {
      const count = this.#next - first;
      const block = makeBlock(first, count, Buffer.concat(records), BLOCK_ENCODINGS.DEFLATE);
      if (block.length < this.#end - offset) {
        this.#append(block);
        this.#writeAt(block, offset);
        this.#truncate(offset + block.length);
      }
    }
    this.#tail = { offset: this.#end, first: this.#next, records: [], bytes: 0 };
  }

  #append(bytes: Uint8Array): void {
    const start = this.#end;
    try {
      this.#writeAt(bytes, start);
      this.#end = start + bytes.length;
    } catch (error) {
      this.#truncate(start);
      throw error;
    }
  }

  #writeAt(bytes: Uint8Array, offset: number): void {
    for (let done = 0; done < bytes.length; ) {
      done += fs.writeSync(this.#fd, bytes, done, bytes.length - done, offset + done);
    }
  }

  #truncate(length: number): void {
    fs.ftruncateSync(this.#fd, length);
    this.#end = length;
  }

  #guarded(write: () => void): void {
    try {
      write();
    } catch (error) {
      this.#close();
      process.emitWarning(
        `recording to ${this.file} has ended: ${(error as Error).message}. The program goes on; the file has what was recorded until now`,
        { type: 'CxlWarning', code: 'CXL_RECORDING_FAILED' },
      );
    }
  }

  #close(): void {
    if (!this.open) return;
    const fd = this.#fd;
    this.#fd = -1;
    this.#waiting = [];
    try {
      fs.closeSync(fd);
    } catch {
      // Somebody else closed the descriptor: there is nothing left to do.
    }
  }
}
