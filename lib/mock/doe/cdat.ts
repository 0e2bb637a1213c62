/** Encodes a CDAT (Coherent Device Attribute Table). */
import type { CdatStructure } from '../../doe/cdat-structures';
import {
  checkArray,
  checkBytes,
  checkInteger,
  checkOptions,
  type OptionNames,
} from '../../shared/checks';
import { typeError, valueError } from '../../shared/errors';

const DATA_TYPES = [
  'access latency',
  'read latency',
  'write latency',
  'access bandwidth',
  'read bandwidth',
  'write bandwidth',
];
const EFI_TYPES = ['conventional', 'specific purpose', 'reserved memory'];

/** Options of encodeCdat(). */
export interface CdatEncodingOptions {
  /** 8 bits. Default 1. */
  readonly revision?: number | undefined;
  /** 32 bits. Default 0. */
  readonly sequence?: number | undefined;
}
const ENCODING_OPTIONS: OptionNames<CdatEncodingOptions> = { revision: true, sequence: true };

/**
 * A table of these structures, with its length and checksum.
 *
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE where a field of a structure
 *   is absent or does not fit
 * @example
 * import { encodeCdat } from 'node-cxl/mock';
 *
 * const table = encodeCdat([
 *   { kind: 'DSMAS', handle: 0, flags: 4, nonVolatile: true, dpaBase: 0n, dpaLength: 1n << 30n },
 * ]);
 * console.log(table.length); // 40
 */
export function encodeCdat(
  structures: readonly CdatStructure[],
  options: CdatEncodingOptions = {},
): Buffer {
  checkArray('structures', structures);
  checkOptions(options, ENCODING_OPTIONS);
  const revision = checkInteger('options.revision', options.revision ?? 1, 0, 0xff);
  const sequence = checkInteger('options.sequence', options.sequence ?? 0, 0, 0xffff_ffff);
  const header = Buffer.alloc(16);
  const table = Buffer.concat([header, ...structures.map(encode)]);
  table.writeUInt32LE(table.length, 0);
  table.writeUInt8(revision, 4);
  table.writeUInt32LE(sequence, 12);
  const sum = table.reduce((total, byte) => total + byte, 0) & 0xff;
  table.writeUInt8((0x100 - sum) & 0xff, 5);
  return table;
}

function encode(structure: CdatStructure): Buffer {
  if (typeof structure !== 'object' || structure === null) {
    throw typeError('structures', 'CdatStructures', structure);
  }
  switch (structure.kind) {
    case 'DSMAS': {
      const bytes = start(0, 24);
      bytes.set([structure.handle, structure.flags], 4);
      bytes.writeBigUInt64LE(structure.dpaBase, 8);
      bytes.writeBigUInt64LE(structure.dpaLength, 16);
      return bytes;
    }
    case 'DSLBIS': {
      const bytes = start(1, 24);
      bytes.set([structure.handle, structure.flags, number(DATA_TYPES, structure.dataType)], 4);
      bytes.writeBigUInt64LE(structure.entryBaseUnit, 8);
      checkArray('structure.entries', structure.entries).forEach((entry, index) => {
        bytes.writeUInt16LE(entry, 16 + index * 2);
      });
      return bytes;
    }
    case 'DSMSCIS': {
      const bytes = start(2, 20);
      bytes.writeUInt8(structure.handle, 4);
      bytes.writeBigUInt64LE(structure.cacheSize, 8);
      bytes.writeUInt32LE(structure.cacheAttributes, 16);
      return bytes;
    }
    case 'DSIS': {
      const bytes = start(3, 8);
      bytes.set([structure.flags, structure.handle], 4);
      return bytes;
    }
    case 'DSEMTS': {
      const bytes = start(4, 24);
      bytes.set([structure.handle, number(EFI_TYPES, structure.efiMemoryType)], 4);
      bytes.writeBigUInt64LE(structure.dpaOffset, 8);
      bytes.writeBigUInt64LE(structure.dpaLength, 16);
      return bytes;
    }
    case 'SSLBIS': {
      const bytes = start(5, 16 + checkArray('structure.entries', structure.entries).length * 8);
      bytes.writeUInt8(number(DATA_TYPES, structure.dataType), 4);
      bytes.writeBigUInt64LE(structure.entryBaseUnit, 8);
      structure.entries.forEach(({ portX, portY, value }, index) => {
        bytes.writeUInt16LE(portX, 16 + index * 8);
        bytes.writeUInt16LE(portY, 18 + index * 8);
        bytes.writeUInt16LE(value, 20 + index * 8);
      });
      return bytes;
    }
    case 'unknown':
      return Buffer.from(checkBytes('structure.bytes', structure.bytes));
    default:
      throw valueError(
        'structure.kind',
        'that of a CdatStructure',
        (structure as { kind: unknown }).kind,
      );
  }
}

function start(type: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  bytes.writeUInt8(type, 0);
  bytes.writeUInt16LE(length, 2);
  return bytes;
}

/** The number that stands for a name in the table; 0xff for an unknown name. */
function number(names: readonly string[], name: string): number {
  const found = names.indexOf(name);
  return found < 0 ? 0xff : found;
}
