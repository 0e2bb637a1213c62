/** Reading a device's CDAT over its mailbox (CXL 3.0 §8.1.11): table access, entry by entry. */
import { type CxlError, systemError } from '../shared/errors';
import {
  type CdatHeader,
  type CdatStructure,
  cdatChecksumValid,
  cdatHeaderLength,
  decodeCdatHeader,
  decodeCdatStructures,
} from './cdat-structures';
import type { Protocol } from './exchange';
import { type DoeMailbox, type ExchangeOptions, requireProtocol } from './mailbox';

export const tableAccessProtocol: Protocol = { vendorId: 0x1e98, type: 2 };

const lastHandle = 0xffff;
const longestEntry = 0xffff;
/** A device that keeps changing its table is not going to hold still. */
const attempts = 4;

export interface CdatOptions extends Omit<ExchangeOptions, 'maxLength'> {
  /** Refuse a table whose checksum is wrong; true. */
  readonly verify?: boolean | undefined;
}

export interface CdatTable {
  readonly header: CdatHeader;
  readonly structures: readonly CdatStructure[];
  readonly checksumValid: boolean;
  /** The table as the device gave it. */
  readonly bytes: Buffer;
}

/**
 * Reads and decodes the whole table; starts again when the device changes it meanwhile.
 * @throws CxlError EOPNOTSUPP (not a table access mailbox), EBADMSG (the chain of entries
 *   loops, or is longer or shorter than the table; a structure leaves it; the checksum is
 *   wrong), EAGAIN (the table changes all the time), and what exchange() throws
 */
export async function readCdat(mailbox: DoeMailbox, options: CdatOptions = {}): Promise<CdatTable> {
  await requireProtocol(mailbox, tableAccessProtocol, options);
  const bytes = await readCdatBytes(mailbox, options);
  const checksumValid = cdatChecksumValid(bytes);
  if (!checksumValid && options.verify !== false) {
    throw malformed(
      mailbox,
      'the checksum of the table is wrong; verify: false reads it all the same',
    );
  }
  return {
    header: decodeCdatHeader(bytes),
    structures: decodeCdatStructures(bytes, mailbox.name),
    checksumValid,
    bytes,
  };
}

/** The table's bytes, undecoded and unverified: for a table readCdat() refuses. */
export async function readCdatBytes(
  mailbox: DoeMailbox,
  options: CdatOptions = {},
): Promise<Buffer> {
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const first = await readEntry(mailbox, 0, options);
    if (first.entry.length !== cdatHeaderLength) {
      throw malformed(
        mailbox,
        `a table header has 16 bytes; the device sent ${first.entry.length}`,
      );
    }
    let table: Buffer | undefined;
    let failure: unknown;
    try {
      table = await readChain(mailbox, first, options);
    } catch (error) {
      // What looks broken may be half of each of two tables: the sequence tells.
      if ((error as CxlError).code !== 'EBADMSG') throw error;
      failure = error;
    }
    const again = await readEntry(mailbox, 0, options);
    if (!again.entry.equals(first.entry)) continue;
    if (table === undefined) throw failure;
    return table;
  }
  const hint = `the table changed ${attempts} times while it was read`;
  throw systemError('EAGAIN', 'doe(cdat)', mailbox.name, hint);
}

interface Entry {
  readonly next: number;
  readonly entry: Buffer;
}

async function readChain(mailbox: DoeMailbox, first: Entry, options: CdatOptions): Promise<Buffer> {
  const { length } = decodeCdatHeader(first.entry);
  const parts = [first.entry];
  const seen = new Set([0]);
  let total = cdatHeaderLength;
  for (let handle = first.next; handle !== lastHandle; ) {
    if (seen.has(handle)) throw malformed(mailbox, `the entries come back to handle ${handle}`);
    seen.add(handle);
    const { entry, next } = await readEntry(mailbox, handle, options);
    if (entry.length === 0) throw malformed(mailbox, `entry ${handle} is empty`);
    total += entry.length;
    if (total > length) {
      throw malformed(mailbox, `the entries exceed the ${length} bytes of the table`);
    }
    parts.push(entry);
    handle = next;
  }
  if (total < length) {
    throw malformed(mailbox, `the entries have ${total} of the ${length} bytes of the table`);
  }
  return Buffer.concat(parts);
}

async function readEntry(
  mailbox: DoeMailbox,
  handle: number,
  { verify: _, ...options }: CdatOptions,
): Promise<Entry> {
  const request = Buffer.alloc(4);
  request.writeUInt16LE(handle, 2);
  const answer = await mailbox.exchange(tableAccessProtocol, request, {
    ...options,
    maxLength: 4 + longestEntry + 1,
  });
  if (answer.length < 4) throw malformed(mailbox, `entry ${handle} came without its header`);
  if (answer.readUInt16LE(0) !== 0) {
    throw malformed(mailbox, `entry ${handle} is not of a CDAT read`);
  }
  return { next: answer.readUInt16LE(2), entry: answer.subarray(4) };
}

function malformed(mailbox: DoeMailbox, hint: string): CxlError {
  return systemError('EBADMSG', 'doe(cdat)', mailbox.name, hint, malformed);
}
