/**
 * Accesses are many, so a batch of them is one record whose fields are columns: an array for the
 * name of each access, one for its offset, and so on. The reader makes a record of each again.
 */
import { ARRAY_TAGS, numbers } from './cbor';
import type { AccessRecord, MemoryAddress, RecordedAccessName } from './records';

/** A name is its index here in the file: names are added at the end only. */
export const ACCESS_NAMES: readonly RecordedAccessName[] = [
  'read32',
  'read64',
  'write32',
  'write64',
  'load8',
  'load16',
  'load32',
  'load64',
  'store8',
  'store16',
  'store32',
  'store64',
  'memoryBarrier',
  'config.read',
  'config.write',
];

const NAME_NUMBERS = new Map(ACCESS_NAMES.map((name, number) => [name, number]));

export const ACCESS_FLAGS = { FAILED: 1, SWAPPED: 2 } as const;

/** An access as the recorder has it. */
export interface AccessRow {
  readonly name: RecordedAccessName;
  readonly object: number;
  readonly offset: number;
  /** 0 where there is none. */
  readonly value: bigint | number;
  readonly flags: number;
  readonly address: MemoryAddress | undefined;
  /** Microseconds since the recording began. */
  readonly time: number;
  times: number;
  last: number;
}

/** The record of a batch in the file. */
interface AccessBatch {
  readonly type: 'accesses';
  /** Of the first. */
  readonly time: number;
  readonly names: Uint8Array;
  readonly flags: Uint8Array;
  readonly objects: Uint8Array;
  readonly offsets: Uint8Array;
  readonly values: Uint8Array;
  /** Microseconds after `time` of the first and of the last of each. */
  readonly starts: Uint8Array;
  readonly lasts: Uint8Array;
  readonly times: Uint8Array;
  /** [index, memory, offset] of each value that is an address. */
  readonly addresses: readonly (readonly [number, number, number])[];
}

export function encodeBatch(rows: readonly AccessRow[]): object {
  const count = rows.length;
  const time = rows[0]!.time;
  const names = Buffer.alloc(count);
  const flags = Buffer.alloc(count);
  const objects = Buffer.alloc(count * 4);
  const offsets = Buffer.alloc(count * 8);
  const values = Buffer.alloc(count * 8);
  const starts = Buffer.alloc(count * 4);
  const lasts = Buffer.alloc(count * 4);
  const times = Buffer.alloc(count * 4);
  const addresses: [number, number, number][] = [];
  for (const [index, row] of rows.entries()) {
    names[index] = NAME_NUMBERS.get(row.name)!;
    flags[index] = row.flags;
    objects.writeUInt32LE(row.object, index * 4);
    offsets.writeDoubleLE(row.offset, index * 8);
    if (typeof row.value === 'bigint') values.writeBigUInt64LE(row.value, index * 8);
    else values.writeUInt32LE(row.value, index * 8);
    starts.writeUInt32LE(microseconds(row.time - time), index * 4);
    lasts.writeUInt32LE(microseconds(row.last - time), index * 4);
    times.writeUInt32LE(row.times, index * 4);
    if (row.address !== undefined) addresses.push([index, row.address.memory, row.address.offset]);
  }
  return {
    type: 'accesses',
    time,
    names: numbers(ARRAY_TAGS.UINT8, names),
    flags: numbers(ARRAY_TAGS.UINT8, flags),
    objects: numbers(ARRAY_TAGS.UINT32, objects),
    offsets: numbers(ARRAY_TAGS.FLOAT64, offsets),
    values: numbers(ARRAY_TAGS.UINT64, values),
    starts: numbers(ARRAY_TAGS.UINT32, starts),
    lasts: numbers(ARRAY_TAGS.UINT32, lasts),
    times: numbers(ARRAY_TAGS.UINT32, times),
    addresses,
  };
}

/** Whether the access gets a value, rather than giving one. */
export function isLoad(name: string): boolean {
  return name.startsWith('read') || name.startsWith('load') || name === 'config.read';
}

function microseconds(value: number): number {
  return Math.min(Math.max(Math.round(value), 0), 0xffff_ffff);
}

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

/** @throws TypeError or RangeError where the record is not such a batch */
export function* decodeBatch(record: object): Generator<AccessRecord> {
  const batch = record as AccessBatch;
  const count = batch.names.length;
  const objects = column(batch.objects, count * 4);
  const offsets = column(batch.offsets, count * 8);
  const values = column(batch.values, count * 8);
  const starts = column(batch.starts, count * 4);
  const lasts = column(batch.lasts, count * 4);
  const times = column(batch.times, count * 4);
  const addresses = new Map(
    batch.addresses.map(([index, memory, offset]) => [index, { memory, offset }]),
  );
  for (let index = 0; index < count; index += 1) {
    const name = ACCESS_NAMES[batch.names[index]!];
    if (name === undefined) throw new RangeError(`access ${batch.names[index]} is not known`);
    const flags = batch.flags[index]!;
    const failed = (flags & ACCESS_FLAGS.FAILED) !== 0;
    const swapped = (flags & ACCESS_FLAGS.SWAPPED) !== 0;
    const wide = name.endsWith('64');
    const value = wide ? values.getBigUint64(index * 8, true) : values.getUint32(index * 8, true);
    const address = addresses.get(index);
    // A load that failed has none; a store has what was to be stored.
    const without = name === 'memoryBarrier' || (failed && isLoad(name));
    // Not by spreading: there are many.
    const access: Mutable<AccessRecord> = {
      type: 'access',
      name,
      object: objects.getUint32(index * 4, true),
      offset: offsets.getFloat64(index * 8, true),
      time: batch.time + starts.getUint32(index * 4, true),
      last: batch.time + lasts.getUint32(index * 4, true),
      times: times.getUint32(index * 4, true),
    };
    if (!without) access.value = value;
    if (address !== undefined) access.address = address;
    if (failed) access.failed = failed;
    if (failed && name.startsWith('config.')) access.errno = -Number(value);
    if (swapped) access.swapped = swapped;
    yield access;
  }
}

function column(bytes: Uint8Array, length: number): DataView {
  if (!(bytes instanceof Uint8Array) || bytes.length !== length) {
    throw new TypeError('a column of accesses has another length');
  }
  return new DataView(bytes.buffer, bytes.byteOffset, length);
}
