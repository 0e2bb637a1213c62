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

/** Table access (CXL 3.0 §8.1.11): the protocol by which a device gives its CDAT. */
export const tableAccessProtocol: Protocol = { vendorId: 0x1e98, type: 2 };

/** Handle that ends the chain of entries. */
const LAST_HANDLE = 0xffff;
/** Bytes. */
const MAX_ENTRY_LENGTH = 0xffff;
/** How often the table is read again because the device changed it meanwhile. */
const MAX_ATTEMPTS = 4;

/** Options of readCdat() and readCdatBytes(). */
export interface CdatOptions extends Omit<ExchangeOptions, 'maxLength'> {
  /** Refuse a table whose checksum is wrong. Default true. */
  readonly verify?: boolean | undefined;
}
const { maxLength: _, ...OTHER_OPTIONS } = EXCHANGE_OPTIONS;
const CDAT_OPTIONS: OptionNames<CdatOptions> = { ...OTHER_OPTIONS, verify: true };

/** Result of readCdat(). */
export interface CdatTable {
  /** The table's first 16 bytes, decoded. */
  readonly header: CdatHeader;
  /** What follows the header, in the order of the table. */
  readonly structures: readonly CdatStructure[];
  /** Of a table that was cut, the checksum says nothing. */
  readonly checksumValid: boolean;
  /** The table as the device sent it; at most as long as its header says. */
  readonly bytes: Buffer;
  /**
   * EBADMSG: the entries hold fewer bytes than the header says, so that the table ends with them;
   * or more, so that it ends where the header says. The kernel does the same
   * (drivers/cxl/core/pci.c, cxl_cdat_read_table). Absent: they agree.
   */
  readonly cut?: CxlError;
}

/**
 * Reads and decodes the whole table; starts again when the device changed it meanwhile.
 * @throws CxlError EOPNOTSUPP (the mailbox has no table access), EBADMSG (the chain of entries
 *   has a loop or an empty entry; a structure exceeds the table; the checksum of a table that was
 *   not cut is wrong), EAGAIN (the table changed during each of 4 attempts), and what exchange()
 *   throws
 * @example
 * import { doe, readCdat, tableAccessProtocol } from 'node-cxl/doe';
 *
 * const mailbox = await doe.find('0000:0d:00.0', tableAccessProtocol);
 * const { structures, checksumValid } = await readCdat(mailbox);
 * console.log(structures.map(({ kind }) => kind).join(' ')); // DSMAS DSLBIS DSLBIS DSLBIS DSLBIS DSEMTS
 * console.log(checksumValid); // true
 */
export async function readCdat(mailbox: DoeMailbox, options: CdatOptions = {}): Promise<CdatTable> {
  const { verify, exchange } = checkCdatOptions(options);
  await requireProtocol(checkMailbox(mailbox), tableAccessProtocol, exchange);
  const { bytes, cut, broken } = await readBytes(mailbox, exchange);
  if (broken !== undefined) throw broken;
  const checksumValid = cdatChecksumValid(bytes);
  if (!checksumValid && verify && cut === undefined) {
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
    ...(cut === undefined ? {} : { cut }),
  };
}

/**
 * The bytes that the entries hold, neither decoded nor verified: for a table that readCdat()
 * refuses. They may be fewer than the header says, or more, up to the end of the entry that exceeds
 * it; of a chain with a loop or an empty entry, those before it.
 * @throws CxlError EBADMSG (the header, or an answer, has not the form of one), EAGAIN, and what
 *   exchange() throws
 * @example
 * import { writeFileSync } from 'node:fs';
 * import { doe, readCdatBytes, tableAccessProtocol } from 'node-cxl/doe';
 *
 * const mailbox = await doe.find('0000:0d:00.0', tableAccessProtocol);
 * writeFileSync('cdat.bin', await readCdatBytes(mailbox, { timeout: 500 }));
 */
export async function readCdatBytes(
  mailbox: DoeMailbox,
  options: CdatOptions = {},
): Promise<Buffer> {
  return (await readBytes(checkMailbox(mailbox), checkCdatOptions(options).exchange)).whole;
}

function checkCdatOptions(options: CdatOptions): { verify: boolean; exchange: ExchangeOptions } {
  const { verify, ...exchange } = checkOptions(options, CDAT_OPTIONS);
  checkExchange(exchange);
  return { verify: checkBoolean('options.verify', verify ?? true), exchange };
}

/** What the entries of a table hold. */
interface Chain {
  readonly whole: Buffer;
  /** At most as many as the header says. */
  readonly bytes: Buffer;
  /** They are fewer or more than the header says. */
  readonly cut?: CxlError;
  /** The chain does not end as one does. */
  readonly broken?: CxlError;
}

async function readBytes(mailbox: DoeMailbox, options: ExchangeOptions): Promise<Chain> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const first = await readEntry(mailbox, 0, options);
    if (first.entry.length !== CDAT_HEADER_LENGTH) {
      throw malformed(
        'cdat',
        mailbox.name,
        `a table header has 16 bytes; the device sent ${first.entry.length}`,
      );
    }
    let chain: Chain | undefined;
    let failure: unknown;
    try {
      chain = await readChain(mailbox, first, options);
    } catch (error) {
      // The device may have changed the table while it was read: the header is compared below.
      if ((error as CxlError).code !== 'EBADMSG') throw error;
      failure = error;
    }
    const again = await readEntry(mailbox, 0, options);
    if (!again.entry.equals(first.entry)) continue;
    if (chain === undefined) throw failure;
    return chain;
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
): Promise<Chain> {
  const { length } = decodeCdatHeader(first.entry);
  const parts = [first.entry];
  const seen = new Set([0]);
  let broken: CxlError | undefined;
  let total = CDAT_HEADER_LENGTH;
  // One entry that exceeds the table is enough to know that there are more.
  for (let handle = first.next; handle !== LAST_HANDLE && total <= length; ) {
    if (seen.has(handle)) {
      broken = malformed('cdat', mailbox.name, `the entries have a loop at handle ${handle}`);
      break;
    }
    seen.add(handle);
    const { entry, next } = await readEntry(mailbox, handle, options);
    if (entry.length === 0) {
      broken = malformed('cdat', mailbox.name, `entry ${handle} is empty`);
      break;
    }
    parts.push(entry);
    total += entry.length;
    handle = next;
  }
  const whole = Buffer.concat(parts);
  const bytes = whole.subarray(0, Math.max(length, CDAT_HEADER_LENGTH));
  if (broken !== undefined) return { whole, bytes, broken };
  if (whole.length === length) return { whole, bytes };
  const what = `the entries have ${whole.length} bytes, the header says ${length}: the table is cut`;
  return { whole, bytes, cut: malformed('cdat', mailbox.name, what) };
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
