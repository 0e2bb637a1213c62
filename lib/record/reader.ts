/** Reads recordings: what is readable, also of files that were cut off or damaged. */
import fs from 'node:fs';
import path from 'node:path';
import { checkString } from '../shared/checks';
import { typeError } from '../shared/errors';
import { decodeBatch } from './access-columns';
import {
  BLOCK_START,
  type BlockHead,
  FILE_START,
  LONGEST_HEAD,
  readHead,
  unpackBlock,
} from './blocks';
import { decodeItem } from './cbor';
import {
  FORMAT_VERSION,
  type RecordedEntry,
  type RecordedItem,
  type RecordingHeader,
} from './records';

/** Something of a file that could not be read. */
export interface RecordingProblem {
  /**
   * `cut`: the file ends without its end, as when the process was killed. `damaged`: records are
   * missing. `unknown`: a record of a type that this version does not know.
   */
  readonly kind: 'cut' | 'damaged' | 'unknown';
  /** Bytes from the start of the file. */
  readonly offset: number;
  /** One line. */
  readonly message: string;
}

/** Why a file cannot be read at all. */
export interface BadRecordingError extends Error {
  /** The same for every such file. */
  readonly code: 'ERR_CXL_BAD_RECORDING';
  /** The path; absent where bytes were given. */
  readonly path?: string;
}

/** The first bytes of a file, within which its header is. */
const MAX_HEADER_BYTES = 1024 * 1024;
/** Bytes that are read at a time, to find the next block after damage. */
const SCAN_BYTES = 64 * 1024;

const RECORD_TYPES: Readonly<Record<RecordedItem['type'], true>> = {
  system: true,
  sysfs: true,
  call: true,
  return: true,
  access: true,
  block: true,
  events: true,
  memory: true,
  note: true,
  end: true,
};

/**
 * Opens a recording.
 *
 * @param file its path, or its bytes
 * @throws ERR_CXL_BAD_RECORDING it is none, or of a newer version; what reading it throws (ENOENT …)
 * @example
 * import { cxl } from 'node-cxl';
 * import { readRecording, recordCxl } from 'node-cxl/record';
 *
 * recordCxl(cxl, { file: 'run.cxlrec' }).stop();
 * const recording = readRecording('run.cxlrec');
 * for (const record of recording) console.log(record.time, record.type, record.place.offset);
 * for (const { message } of recording.problems) console.error(message);
 */
export function readRecording(file: string | Uint8Array): Recording {
  if (typeof file !== 'string' && !(file instanceof Uint8Array)) {
    throw typeError('file', 'a path, or the bytes of a recording', file);
  }
  return new Recording(file);
}

/**
 * A recording that was opened. Iterating it reads the records, in the order of the file.
 *
 * @example
 * import { cxl } from 'node-cxl';
 * import { readRecording, recordCxl } from 'node-cxl/record';
 *
 * const recorded = recordCxl(cxl, { file: 'run.cxlrec' });
 * await (await recorded.open('/dev/cxl/afu0.0s')).close();
 * recorded.stop();
 *
 * for (const record of readRecording('run.cxlrec')) {
 *   if (record.type === 'call' && record.name === 'open') console.log(record.input['path']);
 * }
 */
export class Recording implements Iterable<RecordedEntry> {
  /** The first item of the file. */
  readonly header: RecordingHeader;
  /** The path; undefined for bytes. */
  readonly path: string | undefined;
  readonly #bytes: Uint8Array | undefined;
  readonly #start: number;
  #problems: RecordingProblem[] = [];

  /** @internal Use readRecording(). */
  constructor(file: string | Uint8Array) {
    this.path = typeof file === 'string' ? file : undefined;
    this.#bytes = typeof file === 'string' ? undefined : file;
    const { header, length } = this.#withSource((source) => readHeader(source, this.path));
    this.header = header;
    this.#start = length;
  }

  /** What could not be read: complete when an iteration has come to the end. */
  get problems(): readonly RecordingProblem[] {
    return this.#problems;
  }

  /** The records, in the order of the file; damage is skipped, and reported in `problems`. */
  *[Symbol.iterator](): Generator<RecordedEntry> {
    const problems: RecordingProblem[] = [];
    this.#problems = problems;
    const source = new Source(this.path, this.#bytes);
    try {
      yield* readRecords(source, this.#start, (problem) => problems.push(problem));
    } finally {
      source.close();
    }
  }

  #withSource<T>(use: (source: Source) => T): T {
    const source = new Source(this.path, this.#bytes);
    try {
      return use(source);
    } finally {
      source.close();
    }
  }
}

/**
 * The files of the recording that `file` belongs to: that of the main thread first, then those of
 * worker threads and child processes (`FILE.<pid>-<thread>`), in the order in which they began. A file
 * of such a name that cannot be read comes last, as it may be one of them: readRecording() of it says why.
 *
 * @throws as readRecording(), of `file`
 * @example
 * import { cxl } from 'node-cxl';
 * import { recordCxl, recordingFiles } from 'node-cxl/record';
 *
 * recordCxl(cxl, { file: 'run.cxlrec' }).stop();
 * console.log(recordingFiles('run.cxlrec').length); // 1
 */
export function recordingFiles(file: string): string[] {
  checkString('file', file);
  const { group } = readRecording(file).header;
  const main = file.replace(/\.\d+-\d+$/, '');
  const found = [main, ...partsOf(main)].flatMap((each) => {
    try {
      const { header } = readRecording(each);
      const started = each === main ? 0 : header.started;
      return header.group === group ? [{ each, started }] : [];
    } catch (error) {
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
      return missing ? [] : [{ each, started: Number.POSITIVE_INFINITY }];
    }
  });
  return found.sort((a, b) => (a.started < b.started ? -1 : 1)).map(({ each }) => each);
}

/** @internal The files beside `main` that are named as those of its threads and processes. */
export function partsOf(main: string): string[] {
  const folder = path.dirname(main);
  const prefix = `${path.basename(main)}.`;
  return fs
    .readdirSync(folder)
    .filter((name) => name.startsWith(prefix) && /^\d+-\d+$/.test(name.slice(prefix.length)))
    .map((name) => path.join(folder, name));
}

/** The bytes of a file, or bytes. */
class Source {
  readonly length: number;
  readonly #fd: number;
  readonly #bytes: Uint8Array | undefined;

  constructor(file: string | undefined, bytes: Uint8Array | undefined) {
    this.#bytes = bytes;
    this.#fd = file === undefined ? -1 : fs.openSync(file, 'r');
    this.length = bytes === undefined ? fs.fstatSync(this.#fd).size : bytes.length;
  }

  /** Fewer than `length` at the end. */
  read(offset: number, length: number): Uint8Array {
    const size = Math.max(0, Math.min(length, this.length - offset));
    if (this.#bytes !== undefined) return this.#bytes.subarray(offset, offset + size);
    const buffer = Buffer.allocUnsafe(size);
    let done = 0;
    while (done < size) {
      const count = fs.readSync(this.#fd, buffer, done, size - done, offset + done);
      if (count === 0) break;
      done += count;
    }
    return buffer.subarray(0, done);
  }

  close(): void {
    if (this.#fd >= 0) fs.closeSync(this.#fd);
  }
}

/** @internal */
export function badRecording(
  file: string | undefined,
  reason: string,
  failure = 'cannot be read as a recording',
): BadRecordingError {
  const what = file === undefined ? 'this' : file;
  const error = new Error(`${what} ${failure}: ${reason}`);
  Error.captureStackTrace(error, badRecording);
  const code = 'ERR_CXL_BAD_RECORDING' as const;
  return Object.assign(error, { code, ...(file === undefined ? {} : { path: file }) });
}

function readHeader(source: Source, file: string | undefined) {
  const bytes = source.read(0, MAX_HEADER_BYTES);
  if (bytes.length === 0) throw badRecording(file, 'it is empty');
  const start = Math.min(bytes.length, FILE_START.length);
  if (Buffer.compare(bytes.subarray(0, start), FILE_START.subarray(0, start)) !== 0) {
    throw badRecording(file, 'it is no file that node-cxl recorded');
  }
  let header: RecordingHeader;
  let rest: Uint8Array;
  try {
    const item = decodeItem(bytes.subarray(FILE_START.length));
    [header, rest] = item as [RecordingHeader, Uint8Array];
  } catch {
    throw badRecording(file, 'its header is damaged or cut off');
  }
  if (header?.format !== 'node-cxl recording' || !Number.isInteger(header.version)) {
    throw badRecording(file, 'it is no file that node-cxl recorded');
  }
  if (header.version > FORMAT_VERSION) {
    const reason = `it has version ${header.version} of the format, and this node-cxl reads up to ${FORMAT_VERSION}: update node-cxl`;
    throw badRecording(file, reason);
  }
  return { header, length: bytes.length - rest.length };
}

function* readRecords(
  source: Source,
  start: number,
  report: (problem: RecordingProblem) => void,
): Generator<RecordedEntry> {
  let offset = start;
  /** Number of the record that comes next. */
  let next = 0;
  /** Where damage began that is not reported yet. */
  let damage: number | undefined;
  let ended = false;
  const damaged = (at: number, message: string) => {
    report({ kind: 'damaged', offset: at, message: `at byte ${at}: ${message}` });
  };
  while (offset < source.length) {
    const found = readBlock(source, offset);
    if (found === undefined) {
      damage ??= offset;
      offset = findBlock(source, offset + 1);
      continue;
    }
    const { head, records } = found;
    const place = offset;
    offset += head.headLength + head.length;
    // The compressed form of what came before: the process was killed while it was replacing that.
    if (head.first + head.count <= next) {
      damage = undefined;
      continue;
    }
    if (head.first > next && damage !== undefined) {
      // The process may have been killed while it was replacing blocks by a compressed one: that is
      // at the end as well.
      const whole = findRecord(source, offset, next);
      if (whole !== undefined) {
        damage = undefined;
        offset = whole;
        continue;
      }
    }
    if (head.first > next) {
      const count = head.first - next;
      damaged(damage ?? place, `${count} record${count === 1 ? ' is' : 's are'} missing`);
      next = head.first;
    }
    damage = undefined;
    for (const { number, item } of readItems(head, records, place, damaged)) {
      if (number < next) continue;
      next = number + 1;
      const where = { offset: place, number };
      const { type } = item as { type: unknown };
      if (type === 'accesses') {
        try {
          for (const access of decodeBatch(item)) yield Object.assign(access, { place: where });
        } catch (error) {
          damaged(place, `accesses that are malformed: ${(error as Error).message}`);
        }
      } else if (typeof type === 'string' && Object.hasOwn(RECORD_TYPES, type)) {
        if (type === 'end') ended = true;
        yield Object.assign(item, { place: where }) as RecordedEntry;
      } else {
        const name = typeof type === 'string' ? JSON.stringify(type) : typeof type;
        const message = `at byte ${place}: a record of type ${name}, which this version does not know`;
        report({ kind: 'unknown', offset: place, message });
      }
    }
    next = Math.max(next, head.first + head.count);
  }
  if (!ended) {
    const at = damage ?? source.length;
    const message = `at byte ${at}: the recording ends here without its end: its process was killed, or the file was cut off`;
    report({ kind: 'cut', offset: at, message });
  }
}

function readBlock(source: Source, offset: number) {
  const head = readHead(source.read(offset, LONGEST_HEAD));
  if (head === undefined || head === 'cut') return undefined;
  if (offset + head.headLength + head.length > source.length) return undefined;
  try {
    const bytes = source.read(offset + head.headLength, head.length);
    return { head, records: unpackBlock(head, bytes) };
  } catch {
    return undefined;
  }
}

/** Where a block is that has the record with this number, from `offset` on. */
function findRecord(source: Source, offset: number, number: number): number | undefined {
  for (let at = offset; at < source.length; ) {
    const block = readBlock(source, at);
    if (block === undefined) {
      at = findBlock(source, at + 1);
    } else {
      const { first, count, headLength, length } = block.head;
      if (first <= number && number < first + count) return at;
      at += headLength + length;
    }
  }
  return undefined;
}

/** Where the next block may begin, from `offset` on. The end of the file where there is none. */
function findBlock(source: Source, offset: number): number {
  for (let at = offset; at < source.length; at += SCAN_BYTES) {
    const bytes = source.read(at, SCAN_BYTES + BLOCK_START.length - 1);
    const found = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(BLOCK_START);
    if (found >= 0) return at + found;
  }
  return source.length;
}

function* readItems(
  head: BlockHead,
  records: Uint8Array,
  place: number,
  damaged: (offset: number, message: string) => void,
): Generator<{ number: number; item: object }> {
  let rest = records;
  for (let number = head.first; number < head.first + head.count; number += 1) {
    let item: unknown;
    try {
      [item, rest] = decodeItem(rest);
      if (typeof item !== 'object' || item === null) throw new TypeError('not a map');
    } catch (error) {
      damaged(place, `record ${number} is malformed: ${(error as Error).message}`);
      return;
    }
    yield { number, item };
  }
}
