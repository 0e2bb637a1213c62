/** The blocks that a file consists of: how they are written and found again. */
import * as zlib from 'node:zlib';
import { encodeItem } from './cbor';

/**
 * A block is CBOR: tag 0x6e63786c ("ncxl") of [first, count, encoding, crc, bytes]. This is the start
 * of each, by which a reader finds the next one after damage.
 */
export const BLOCK_START = Uint8Array.from([0xda, 0x6e, 0x63, 0x78, 0x6c, 0x85]);

/** The self-described CBOR tag (55799), with which a file begins. */
export const FILE_START = Uint8Array.from([0xd9, 0xd9, 0xf7]);

/** How the records of a block are encoded. */
export const BLOCK_ENCODINGS = { STORED: 0, DEFLATE: 1 } as const;

/** The bytes of the longest head of a block, up to its records. */
export const LONGEST_HEAD = BLOCK_START.length + 5 * 9;

/** No block of ours has more records, or is larger: what says so is damaged. */
export const MAX_BLOCK_BYTES = 2 ** 30;

export interface BlockHead {
  /** Number of its first record. */
  readonly first: number;
  readonly count: number;
  readonly encoding: number;
  /** CRC-32 of the bytes as they are in the file. */
  readonly crc: number;
  /** Bytes of the head, and of what follows it. */
  readonly headLength: number;
  readonly length: number;
}

/** A block of `count` encoded records, of which the first has the number `first`. */
export function makeBlock(
  first: number,
  count: number,
  records: Uint8Array,
  encoding: number,
): Buffer {
  const bytes = encoding === BLOCK_ENCODINGS.DEFLATE ? zlib.deflateRawSync(records) : records;
  return Buffer.concat([
    BLOCK_START,
    ...[first, count, encoding, crc32(bytes), bytes].map(encodeItem),
  ]);
}

/**
 * The head of the block at the start of `bytes`. Undefined: there is none. `cut`: there may be, but
 * it is longer than `bytes`.
 */
export function readHead(bytes: Uint8Array): BlockHead | 'cut' | undefined {
  const start = Math.min(bytes.length, BLOCK_START.length);
  for (let at = 0; at < start; at += 1) if (bytes[at] !== BLOCK_START[at]) return undefined;
  if (bytes.length < BLOCK_START.length) return 'cut';
  const values: number[] = [];
  let at = BLOCK_START.length;
  for (const major of [0, 0, 0, 0, 2]) {
    const head = readCborHead(bytes, at);
    if (head === 'cut') return 'cut';
    if (head === undefined || head.major !== major) return undefined;
    values.push(head.value);
    at = head.next;
  }
  const [first, count, encoding, crc, length] = values as [number, number, number, number, number];
  if (length > MAX_BLOCK_BYTES) return undefined;
  return { first, count, encoding, crc, headLength: at, length };
}

/** The type of a CBOR item, its number or length, and where it goes on. */
function readCborHead(bytes: Uint8Array, at: number) {
  const initial = bytes[at];
  if (initial === undefined) return 'cut';
  const info = initial & 0x1f;
  const length = info < 24 ? 0 : info <= 27 ? 1 << (info - 24) : undefined;
  if (length === undefined) return undefined;
  if (at + 1 + length > bytes.length) return 'cut';
  let value = info;
  if (length > 0) {
    value = 0;
    for (let n = 1; n <= length; n += 1) value = value * 256 + bytes[at + n]!;
  }
  if (!Number.isSafeInteger(value)) return undefined;
  return { major: initial >> 5, value, next: at + 1 + length };
}

/** The encoded records of a block. @throws Error: they are damaged */
export function unpackBlock(head: BlockHead, bytes: Uint8Array): Uint8Array {
  if (crc32(bytes) !== head.crc) throw new Error('its checksum is another');
  if (head.encoding === BLOCK_ENCODINGS.STORED) return bytes;
  if (head.encoding === BLOCK_ENCODINGS.DEFLATE) {
    return zlib.inflateRawSync(bytes, { maxOutputLength: MAX_BLOCK_BYTES });
  }
  throw new Error(`its encoding is ${head.encoding}, which is not known`);
}

/** Node has it since 20.15 and 22.2. */
const { crc32: nativeCrc32 } = zlib as { crc32?: (data: Uint8Array) => number };

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc32(bytes: Uint8Array): number {
  if (nativeCrc32 !== undefined) return nativeCrc32(bytes);
  let crc = 0xffff_ffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 0xff]!;
  return (crc ^ 0xffff_ffff) >>> 0;
}
