/**
 * The Coherent Device Attribute Table (CDAT 1.03), decoded: a memory device or a switch describes
 * its address ranges, their latency and their bandwidth.
 */
import { checkBytes, checkString } from '../shared/checks';
import { valueError } from '../shared/errors';
import { malformed } from './malformed';

export const CDAT_HEADER_LENGTH = 16;

/** The header of a table (CDAT 1.03). */
export interface CdatHeader {
  /** Bytes of the whole table, including this header. */
  readonly length: number;
  /** Revision of the table's format: 1 for CDAT 1.03. */
  readonly revision: number;
  /** Makes the sum of all bytes of the table 0 modulo 256. */
  readonly checksum: number;
  /** Changes whenever the table changes. */
  readonly sequence: number;
}

/** Device scoped memory affinity: one range of device physical addresses. */
export interface Dsmas {
  /** Tells the structures apart: type 0. */
  readonly kind: 'DSMAS';
  /** Number by which the other structures refer to this range. */
  readonly handle: number;
  /** 8 bits. Bit 2: the range is non-volatile. */
  readonly flags: number;
  /** Flag bit 2. */
  readonly nonVolatile: boolean;
  /** First device physical address of the range. */
  readonly dpaBase: bigint;
  /** Bytes. */
  readonly dpaLength: bigint;
}

/** What an entry of DSLBIS or SSLBIS is: a latency in picoseconds or a bandwidth in MB/s. */
export type LatencyBandwidthType =
  | 'access latency'
  | 'read latency'
  | 'write latency'
  | 'access bandwidth'
  | 'read bandwidth'
  | 'write bandwidth'
  | 'reserved';

/** Device scoped latency and bandwidth of a range. */
export interface Dslbis {
  /** Tells the structures apart: type 1. */
  readonly kind: 'DSLBIS';
  /** The DSMAS range that it is about. */
  readonly handle: number;
  /** 8 bits. Bits 3:0: the memory hierarchy that it is about. */
  readonly flags: number;
  /** What `entries` are. */
  readonly dataType: LatencyBandwidthType;
  /** Unit of `entries`: that many picoseconds or MB/s. */
  readonly entryBaseUnit: bigint;
  /** 16 bits each, in units of `entryBaseUnit`: 0 not given, 0xffff unreachable. */
  readonly entries: readonly [number, number, number];
}

/** Device scoped memory side cache. */
export interface Dsmscis {
  /** Tells the structures apart: type 2. */
  readonly kind: 'DSMSCIS';
  /** The DSMAS range that the cache is for. */
  readonly handle: number;
  /** Bytes. */
  readonly cacheSize: bigint;
  /**
   * 32 bits: levels (3:0), this level (7:4), associativity (11:8), write policy (15:12), bytes of a
   * line (31:16).
   */
  readonly cacheAttributes: number;
}

/** Device scoped initiator. */
export interface Dsis {
  /** Tells the structures apart: type 3. */
  readonly kind: 'DSIS';
  /** 8 bits. Bit 0: the initiator has memory. */
  readonly flags: number;
  /** Flag bit 0: `handle` is also that of a DSMAS range. */
  readonly memoryAttached: boolean;
  /** The initiator's number, which is also that of its DSMAS range when it has memory. */
  readonly handle: number;
}

/** Device scoped EFI memory type of part of a range. */
export interface Dsemts {
  /** Tells the structures apart: type 4. */
  readonly kind: 'DSEMTS';
  /** The DSMAS range that the part is in. */
  readonly handle: number;
  /** How an EFI system is to describe the memory. */
  readonly efiMemoryType: 'conventional' | 'specific purpose' | 'reserved memory' | 'reserved';
  /** Bytes from the start of the DSMAS range that `handle` names. */
  readonly dpaOffset: bigint;
  /** Bytes. */
  readonly dpaLength: bigint;
}

/** Latency or bandwidth between ports of a switch; 0x0100 is upstream, 0xffff any port. */
export interface Sslbis {
  /** Tells the structures apart: type 5. */
  readonly kind: 'SSLBIS';
  /** What the `value` of each entry is. */
  readonly dataType: LatencyBandwidthType;
  /** Unit of `value`: that many picoseconds or MB/s. */
  readonly entryBaseUnit: bigint;
  /** One for each pair of ports. */
  readonly entries: readonly {
    /** 16 bits: the id of a port. */
    readonly portX: number;
    /** 16 bits: the id of another port. */
    readonly portY: number;
    /** 16 bits, in units of `entryBaseUnit`: 0 not given, 0xffff unreachable. */
    readonly value: number;
  }[];
}

/** A structure of a type that this library does not know. */
export interface UnknownStructure {
  /** Tells the structures apart: any other type. */
  readonly kind: 'unknown';
  /** 8 bits, as the table has it. */
  readonly type: number;
  /** The whole structure, including its header. */
  readonly bytes: Buffer;
}

/** A structure of a table (CDAT 1.03), told apart by `kind`. */
export type CdatStructure = Dsmas | Dslbis | Dsmscis | Dsis | Dsemts | Sslbis | UnknownStructure;

const DATA_TYPES = [
  'access latency',
  'read latency',
  'write latency',
  'access bandwidth',
  'read bandwidth',
  'write bandwidth',
] as const;
const EFI_TYPES = ['conventional', 'specific purpose', 'reserved memory'] as const;

/** Length in bytes of each type; an SSLBIS has 16, and 8 for each entry. */
const STRUCTURE_LENGTHS: Readonly<Record<number, number>> = { 0: 24, 1: 24, 2: 20, 3: 8, 4: 24 };

/**
 * The header of a table. @throws ERR_INVALID_ARG_VALUE where there are fewer than 16 bytes
 *
 * @example
 * import { decodeCdatHeader, doe, readCdatBytes, tableAccessProtocol } from 'node-cxl/doe';
 *
 * const mailbox = await doe.find('0000:0d:00.0', tableAccessProtocol);
 * const { length, sequence } = decodeCdatHeader(await readCdatBytes(mailbox));
 * console.log(length, sequence); // 160 0
 */
export function decodeCdatHeader(bytes: Uint8Array): CdatHeader {
  const header = asBuffer('bytes', bytes);
  if (header.length < CDAT_HEADER_LENGTH) {
    throw valueError('bytes', `at least the ${CDAT_HEADER_LENGTH} bytes of a header`, bytes);
  }
  return {
    length: header.readUInt32LE(0),
    revision: header.readUInt8(4),
    checksum: header.readUInt8(5),
    sequence: header.readUInt32LE(12),
  };
}

/**
 * Whether the checksum is right: the sum of all bytes is 0 modulo 256.
 *
 * @example
 * import { cdatChecksumValid } from 'node-cxl/doe';
 * import { encodeCdat } from 'node-cxl/mock';
 *
 * const table = encodeCdat([]);
 * console.log(cdatChecksumValid(table)); // true
 * table.writeUInt8(2, 4); // another revision
 * console.log(cdatChecksumValid(table)); // false
 */
export function cdatChecksumValid(table: Uint8Array): boolean {
  checkBytes('table', table);
  return (table.reduce((sum, byte) => sum + byte, 0) & 0xff) === 0;
}

/**
 * Every structure of a table.
 * @param path the mailbox or file that the table is from, for errors
 * @throws CxlError EBADMSG where a structure exceeds the table or has not the length of its type
 * @example
 * import { decodeCdatStructures } from 'node-cxl/doe';
 * import { encodeCdat, memoryDeviceTable } from 'node-cxl/mock';
 *
 * const table = encodeCdat(memoryDeviceTable);
 * for (const structure of decodeCdatStructures(table, 'cdat.bin')) {
 *   if (structure.kind === 'DSMAS') console.log(structure.dpaLength); // 268435456n
 * }
 */
export function decodeCdatStructures(bytes: Uint8Array, path: string): CdatStructure[] {
  const table = asBuffer('bytes', bytes);
  checkString('path', path);
  const structures: CdatStructure[] = [];
  for (let at = CDAT_HEADER_LENGTH; at < table.length; ) {
    if (at + 4 > table.length)
      throw malformed('cdat', path, `the table ends within the structure at ${at}`);
    const type = table.readUInt8(at);
    const length = table.readUInt16LE(at + 2);
    if (length < 4 || at + length > table.length) {
      throw malformed(
        'cdat',
        path,
        `the structure at ${at} has length ${length} and exceeds the table`,
      );
    }
    const fits =
      type === 5
        ? length >= 16 && length % 8 === 0
        : (STRUCTURE_LENGTHS[type] ?? length) === length;
    if (!fits)
      throw malformed('cdat', path, `a structure of type ${type} cannot have length ${length}`);
    structures.push(decode(type, table.subarray(at, at + length)));
    at += length;
  }
  return structures;
}

function asBuffer(name: string, bytes: Uint8Array): Buffer {
  const { buffer, byteOffset, length } = checkBytes(name, bytes);
  return Buffer.from(buffer, byteOffset, length);
}

function decode(type: number, bytes: Buffer): CdatStructure {
  const handle = bytes.length > 4 ? bytes.readUInt8(4) : 0;
  switch (type) {
    case 0: {
      const flags = bytes.readUInt8(5);
      return {
        kind: 'DSMAS',
        handle,
        flags,
        nonVolatile: (flags & 4) !== 0,
        dpaBase: bytes.readBigUInt64LE(8),
        dpaLength: bytes.readBigUInt64LE(16),
      };
    }
    case 1:
      return {
        kind: 'DSLBIS',
        handle,
        flags: bytes.readUInt8(5),
        dataType: DATA_TYPES[bytes.readUInt8(6)] ?? 'reserved',
        entryBaseUnit: bytes.readBigUInt64LE(8),
        entries: [bytes.readUInt16LE(16), bytes.readUInt16LE(18), bytes.readUInt16LE(20)],
      };
    case 2:
      return {
        kind: 'DSMSCIS',
        handle,
        cacheSize: bytes.readBigUInt64LE(8),
        cacheAttributes: bytes.readUInt32LE(16),
      };
    case 3: {
      const flags = bytes.readUInt8(4);
      return { kind: 'DSIS', flags, memoryAttached: (flags & 1) !== 0, handle: bytes.readUInt8(5) };
    }
    case 4:
      return {
        kind: 'DSEMTS',
        handle,
        efiMemoryType: EFI_TYPES[bytes.readUInt8(5)] ?? 'reserved',
        dpaOffset: bytes.readBigUInt64LE(8),
        dpaLength: bytes.readBigUInt64LE(16),
      };
    case 5: {
      const entries = [];
      for (let at = 16; at < bytes.length; at += 8) {
        entries.push({
          portX: bytes.readUInt16LE(at),
          portY: bytes.readUInt16LE(at + 2),
          value: bytes.readUInt16LE(at + 4),
        });
      }
      return {
        kind: 'SSLBIS',
        dataType: DATA_TYPES[bytes.readUInt8(4)] ?? 'reserved',
        entryBaseUnit: bytes.readBigUInt64LE(8),
        entries,
      };
    }
    default:
      return { kind: 'unknown', type, bytes: Buffer.from(bytes) };
  }
}
