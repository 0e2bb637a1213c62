/** Output of the doe commands: tables, or JSON. */
import Table from 'cli-table3';
import type {
  CdatStructure,
  CdatTable,
  ComplianceCapabilities,
  DiscoveredProtocol,
  DoeMailbox,
  FunctionScan,
  Owner,
} from '../doe';
import { hex, present } from './output';

/** JSON in which bigints and bytes are hexadecimal strings. */
export function json(value: unknown): string {
  return JSON.stringify(
    value,
    function (this: Record<string, unknown>, key, given) {
      // Buffer.toJSON() has run already: the bytes are in the object that holds them.
      const original = this[key];
      if (original instanceof Uint8Array) return Buffer.from(original).toString('hex');
      return typeof given === 'bigint' ? `0x${given.toString(16)}` : given;
    },
    2,
  );
}

function table(head: string[], rows: (string | number)[][]): string {
  const made = new Table({ head, style: { head: [], border: [] } });
  made.push(...rows);
  return made.toString();
}

/** Who else uses a mailbox, for tables and notes. */
export function ownerText({ driver, kernelFeatures, kernelTables }: Owner): string {
  const parts = driver === undefined ? [] : [`driver ${driver}`];
  if (kernelFeatures.length > 0) parts.push(`kernel found ${kernelFeatures.join(' ')}`);
  if (kernelTables.length > 0) parts.push('kernel reads CDAT');
  return parts.join(', ') || 'none known';
}

/** Absent values become null, so that every object has the same keys. */
function ownerData({ driver, kernelFeatures, kernelTables }: Owner) {
  return { driver: present(driver), kernelFeatures, kernelTables };
}

function mailboxData({ address, offset, version, interrupt, owner }: DoeMailbox) {
  return { address, offset, version, interrupt, owner: ownerData(owner) };
}

export function listJson(scans: readonly FunctionScan[]): string {
  const found = scans.filter(({ mailboxes, problem }) => mailboxes.length > 0 || problem);
  return json(
    found.map(({ address, vendorId, deviceId, owner, mailboxes, problem }) => ({
      address,
      vendorId: present(vendorId),
      deviceId: present(deviceId),
      owner: ownerData(owner),
      mailboxes: mailboxes.map(mailboxData),
      problem: problem === undefined ? null : { code: problem.code, message: problem.message },
    })),
  );
}

export function listText(scans: readonly FunctionScan[]): string {
  const rows = scans.flatMap(({ mailboxes, vendorId = 0, deviceId = 0 }) =>
    mailboxes.map((mailbox) => [
      mailbox.address,
      `${vendorId.toString(16).padStart(4, '0')}:${deviceId.toString(16).padStart(4, '0')}`,
      hex(mailbox.offset, 3),
      mailbox.version,
      mailbox.interrupt.supported ? `message ${mailbox.interrupt.messageNumber}` : 'none',
      ownerText(mailbox.owner),
    ]),
  );
  if (rows.length === 0) return 'no DOE mailbox found';
  return table(['Function', 'Device', 'Offset', 'Version', 'Interrupt', 'In use by'], rows);
}

export interface Discovered {
  readonly mailbox: DoeMailbox;
  readonly protocols: readonly DiscoveredProtocol[];
}

export function discoveredJson(found: readonly Discovered[]): string {
  return json(
    found.map(({ mailbox, protocols }) => ({
      ...mailboxData(mailbox),
      protocols: protocols.map(({ index, vendorId, type, name }) => {
        return { index, vendorId, type, name: present(name) };
      }),
    })),
  );
}

export function discoveredText(found: readonly Discovered[]): string {
  const rows = found.flatMap(({ mailbox, protocols }) =>
    protocols.map(({ index, vendorId, type, name }) => [
      hex(mailbox.offset, 3),
      index,
      hex(vendorId, 4),
      hex(type, 2),
      name ?? 'not known here',
    ]),
  );
  return table(['Mailbox', 'Index', 'Vendor', 'Type', 'Protocol'], rows);
}

function units(value: bigint): string {
  const names = ['', ' KiB', ' MiB', ' GiB', ' TiB'];
  let step = 0;
  while (step < names.length - 1 && value !== 0n && value % 1024n === 0n) {
    value /= 1024n;
    step += 1;
  }
  return `${value}${names[step]}`;
}

/** A latency in nanoseconds or a bandwidth in MB/s. */
function measure(dataType: string, entryBaseUnit: bigint, entry: number): string {
  if (entry === 0) return 'not given';
  if (entry === 0xffff) return 'unreachable';
  const value = entryBaseUnit * BigInt(entry);
  return dataType.endsWith('latency') ? `${Number(value) / 1000} ns` : `${value} MB/s`;
}

function describe(structure: CdatStructure): (string | number)[] {
  switch (structure.kind) {
    case 'DSMAS': {
      const { handle, dpaBase, dpaLength, nonVolatile } = structure;
      const what = nonVolatile ? 'non-volatile' : 'volatile';
      return ['DSMAS', handle, `${what}, ${units(dpaLength)} at ${hex(dpaBase)}`];
    }
    case 'DSLBIS': {
      const { handle, dataType, entryBaseUnit, entries } = structure;
      return ['DSLBIS', handle, `${dataType} ${measure(dataType, entryBaseUnit, entries[0])}`];
    }
    case 'DSMSCIS': {
      const { handle, cacheSize, cacheAttributes } = structure;
      return [
        'DSMSCIS',
        handle,
        `cache of ${units(cacheSize)}, attributes ${hex(cacheAttributes)}`,
      ];
    }
    case 'DSIS':
      return [
        'DSIS',
        structure.handle,
        structure.memoryAttached ? 'initiator with memory' : 'initiator',
      ];
    case 'DSEMTS': {
      const { handle, efiMemoryType, dpaOffset, dpaLength } = structure;
      return ['DSEMTS', handle, `${efiMemoryType}, ${units(dpaLength)} at +${hex(dpaOffset)}`];
    }
    case 'SSLBIS': {
      const { dataType, entryBaseUnit, entries } = structure;
      const ports = entries.map(
        ({ portX, portY, value }) =>
          `${port(portX)} to ${port(portY)}: ${measure(dataType, entryBaseUnit, value)}`,
      );
      return ['SSLBIS', '', [dataType, ...ports].join('\n')];
    }
    case 'unknown':
      return [`type ${structure.type}`, '', structure.bytes.toString('hex')];
  }
}

function port(number: number): string {
  if (number === 0x100) return 'upstream';
  return number === 0xffff ? 'any port' : `port ${number}`;
}

export function cdatText(
  mailbox: DoeMailbox,
  { header, structures, checksumValid }: CdatTable,
): string {
  const checksum = checksumValid ? 'right' : 'WRONG';
  const first = `${mailbox.name}: CDAT revision ${header.revision}, ${header.length} bytes, sequence ${header.sequence}, checksum ${checksum}`;
  return `${first}\n${table(['Structure', 'Range', 'Description'], structures.map(describe))}`;
}

export function capabilitiesText({ available, enabled }: ComplianceCapabilities): string {
  const rows = available.map((name) => [name, enabled.includes(name) ? 'yes' : 'no']);
  return rows.length === 0 ? 'nothing available' : table(['Available', 'Enabled'], rows);
}

/** Bytes as a dump: offset, hexadecimal, text. */
export function dumpText(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = Buffer.from(bytes.subarray(at, at + 16));
    const digits = (row.toString('hex').match(/../g) ?? []).join(' ').padEnd(47);
    const text = row.toString('latin1').replace(/[^ -~]/g, '.');
    lines.push(`${at.toString(16).padStart(4, '0')}  ${digits}  ${text}`);
  }
  return lines.join('\n') || 'an answer without payload';
}
