/** Reads a device's CDAT over its mailbox, one entry an exchange (CXL 3.0 §8.1.11). */
import { checkBoolean, checkOptions, type OptionNames } from '../shared/checks';
import { type CxlError, systemError } from '../shared/errors';
import {
  CDAT_HEADER_LENGTH,
  type CdatHeader,
  type CdatStructure,
  cdatChecksumValid,
  decodeCdatHeader,
  decodeCdatStructures,
} from './cdat-structures';
import { requireProtocol } from './discovery';
import type { Protocol } from './exchange';
import type { DoeMailbox } from './mailbox';
import { malformed } from './malformed';
import { checkExchange, checkMailbox, EXCHANGE_OPTIONS, type ExchangeOptions } from './options';

export const tableAccessProtocol: Protocol = { vendorId: 0x1e98, type: 2 };

/** Handle that ends the chain of entries. */
const LAST_HANDLE = 0xffff;
/** Bytes. */
const MAX_ENTRY_LENGTH = 0xffff;
/** How often the table is read again because the device changed it meanwhile. */
const MAX_ATTEMPTS = 4;

export interface CdatOptions extends Omit<ExchangeOptions, 'maxLength'> {
  /** Refuse a table whose checksum is wrong. Default true. */
  readonly verify?: boolean | undefined;
}
const { maxLength: _, ...OTHER_OPTIONS } = EXCHANGE_OPTIONS;
const CDAT_OPTIONS: OptionNames<CdatOptions> = { ...OTHER_OPTIONS, verify: true };

export interface CdatTable {
  readonly header: CdatHeader;
  readonly structures: readonly CdatStructure[];
  readonly checksumValid: boolean;
  /** The table as the device sent it. */
  readonly bytes: Buffer;
}

/**
 * Reads and decodes the whole table; starts again when the device changed it meanwhile.
 * @throws CxlError EOPNOTSUPP (the mailbox has no table access), EBADMSG (the chain of entries
 *   has a loop, or is longer or shorter than the table; a structure exceeds the table; the
 *   checksum is wrong), EAGAIN (the table changed during each of 4 attempts), and what exchange()
 *   throws
 */
export async function readCdat(mailbox: DoeMailbox, options: CdatOptions = {}): Promise<CdatTable> {
  const { verify, exchange } = checkCdatOptions(options);
  await requireProtocol(checkMailbox(mailbox), tableAccessProtocol, exchange);
  const bytes = await readBytes(mailbox, exchange);
  const checksumValid = cdatChecksumValid(bytes);
  if (!checksumValid && verify) {
    throw malformed(
      'cdat',
      mailbox.name,
      'the checksum of the table is wrong; verify: false accepts it',
    );
  }
  return {
    header: decodeCdatHeader(bytes),
    structures: decodeCdatStructures(bytes, mailbox.name),
    checksumValid,
    bytes,
  };
}

/** The table's bytes, neither decoded nor verified: for a table that readCdat() refuses. */
export async function readCdatBytes(
  mailbox: DoeMailbox,
  options: CdatOptions = {},
): Promise<Buffer> {
  return readBytes(checkMailbox(mailbox), checkCdatOptions(options).exchange);
}

function checkCdatOptions(options: CdatOptions): { verify: boolean; exchange: ExchangeOptions } {
  const { verify, ...exchange } = checkOptions(options, CDAT_OPTIONS);
  checkExchange(exchange);
  return { verify: checkBoolean('options.verify', verify ?? true), exchange };
}

async function readBytes(mailbox: DoeMailbox, options: ExchangeOptions): Promise<Buffer> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const first = await readEntry(mailbox, 0, options);
    if (first.entry.length !== CDAT_HEADER_LENGTH) {
      throw malformed(
        'cdat',
        mailbox.name,
        `a table header has 16 bytes; the device sent ${first.entry.length}`,
      );
    }
    let table: Buffer | undefined;
    let failure: unknown;
    try {
      table = await readChain(mailbox, first, options);
    } catch (error) {
      // The device may have changed the table while it was read: the header is compared below.
      if ((error as CxlError).code !== 'EBADMSG') throw error;
      failure = error;
    }
    const again = await readEntry(mailbox, 0, options);
    if (!again.entry.equals(first.entry)) continue;
    if (table === undefined) throw failure;
    return table;
  }
  const hint = `the table changed ${MAX_ATTEMPTS} times while it was read`;
  throw systemError('EAGAIN', 'doe(cdat)', mailbox.name, hint);
}

interface Entry {
  readonly next: number;
  readonly entry: Buffer;
}

async function readChain(
  mailbox: DoeMailbox,
  first: Entry,
  options: ExchangeOptions,
): Promise<Buffer> {
  const { length } = decodeCdatHeader(first.entry);
  const parts = [first.entry];
  const seen = new Set([0]);
  let total = CDAT_HEADER_LENGTH;
  for (let handle = first.next; handle !== LAST_HANDLE; ) {
    if (seen.has(handle))
      throw malformed('cdat', mailbox.name, `the entries have a loop at handle ${handle}`);
    seen.add(handle);
    const { entry, next } = await readEntry(mailbox, handle, options);
    if (entry.length === 0) throw malformed('cdat', mailbox.name, `entry ${handle} is empty`);
    total += entry.length;
    if (total > length) {
      throw malformed('cdat', mailbox.name, `the entries exceed the ${length} bytes of the table`);
    }
    parts.push(entry);
    handle = next;
  }
  if (total < length) {
    throw malformed(
      'cdat',
      mailbox.name,
      `the entries have ${total} of the ${length} bytes of the table`,
    );
  }
  return Buffer.concat(parts);
}

async function readEntry(
  mailbox: DoeMailbox,
  handle: number,
  options: ExchangeOptions,
): Promise<Entry> {
  const request = Buffer.alloc(4);
  request.writeUInt16LE(handle, 2);
  const answer = await mailbox.exchange(tableAccessProtocol, request, {
    ...options,
    maxLength: 4 + MAX_ENTRY_LENGTH + 1,
  });
  if (answer.length < 4)
    throw malformed('cdat', mailbox.name, `entry ${handle} came without its header`);
  if (answer.readUInt16LE(0) !== 0) {
    throw malformed('cdat', mailbox.name, `entry ${handle} is not of a CDAT read`);
  }
  return { next: answer.readUInt16LE(2), entry: answer.subarray(4) };
}
