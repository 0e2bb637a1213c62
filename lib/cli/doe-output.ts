/** What the doe commands print, in each form. */
import type {
  CdatStructure,
  CdatTable,
  ComplianceCapabilities,
  ComplianceStatus,
  DiscoveredProtocol,
  DoeMailbox,
  FunctionScan,
  Owner,
} from '../doe';
import { type Data, type DataValue, type Forms, hex, present, presentHex } from './output';
import { facts, table } from './table';

/** Names of properties that are numbers of bytes, or bytes, as JSON has them. */
const JSON_NAMES: Readonly<Record<string, string>> = {
  length: 'lengthBytes',
  dpaLength: 'dpaLengthBytes',
  dpaOffset: 'dpaOffsetBytes',
  cacheSize: 'cacheSizeBytes',
  bytes: 'data',
};

/** Decoded data for JSON: bigints are hexadecimal numbers, bytes are hexadecimal digits. */
function jsonData(value: unknown): DataValue {
  if (typeof value === 'bigint') return hex(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(jsonData);
  if (typeof value !== 'object' || value === null) return (value ?? null) as DataValue;
  const { entryBaseUnit, ...rest } = value as Record<string, unknown>;
  const named = Object.entries(rest).map(([key, inner]) => [
    JSON_NAMES[key] ?? key,
    jsonData(inner),
  ]);
  if (entryBaseUnit !== undefined) {
    const latency = String(rest['dataType']).endsWith('latency');
    const unit = latency ? 'Picoseconds' : 'MegabytesPerSecond';
    named.push([`entryBaseUnit${unit}`, jsonData(entryBaseUnit)]);
  }
  return Object.fromEntries(named) as Data;
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
  return { address, offset: hex(offset, 3), version, interrupt, owner: ownerData(owner) };
}

/** A document and its other forms, as show() takes them. */
export type Document = readonly [data: Data, forms: Forms];

export function listDocument(scans: readonly FunctionScan[]): Document {
  const found = scans.filter(({ mailboxes, problem }) => mailboxes.length > 0 || problem);
  const rows = found.flatMap(({ mailboxes, vendorId = 0, deviceId = 0 }) =>
    mailboxes.map((mailbox) => [
      mailbox.address,
      `${hex(vendorId, 4).slice(2)}:${hex(deviceId, 4).slice(2)}`,
      hex(mailbox.offset, 3),
      mailbox.version,
      mailbox.interrupt.supported ? `message ${mailbox.interrupt.messageNumber}` : 'none',
      ownerText(mailbox.owner),
    ]),
  );
  const head = ['Function', 'Device', 'Offset', 'Version', 'Interrupt', 'In use by'];
  const functions = found.map(
    ({ address, vendorId, deviceId, owner, mailboxes, problem }): Data => ({
      address,
      vendorId: presentHex(vendorId, 4),
      deviceId: presentHex(deviceId, 4),
      owner: ownerData(owner),
      mailboxes: mailboxes.map(mailboxData),
      problem: problem === undefined ? null : { code: problem.code, message: problem.message },
    }),
  );
  const text = () => (rows.length === 0 ? '' : table(head, rows));
  return [{ functions }, { text, rows: () => rows }];
}

export interface Discovered {
  readonly mailbox: DoeMailbox;
  readonly protocols: readonly DiscoveredProtocol[];
}

export function discoveredDocument(found: readonly Discovered[]): Document {
  const rows = found.flatMap(({ mailbox, protocols }) =>
    protocols.map(({ index, vendorId, type, name }) => [
      hex(mailbox.offset, 3),
      index,
      hex(vendorId, 4),
      hex(type, 2),
      name ?? 'not known here',
    ]),
  );
  const mailboxes = found.map(({ mailbox, protocols }) => ({
    ...mailboxData(mailbox),
    protocols: protocols.map(({ index, vendorId, type, name }) => {
      return { index, vendorId: hex(vendorId, 4), type: hex(type, 2), name: present(name) };
    }),
  }));
  const text = () => table(['Mailbox', 'Index', 'Vendor', 'Type', 'Protocol'], rows);
  return [{ mailboxes }, { text, rows: () => rows }];
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

export function cdatDocument(mailbox: DoeMailbox, cdat: CdatTable): Document {
  const { header, structures, checksumValid } = cdat;
  const checksum = checksumValid ? 'right' : 'WRONG';
  const first = `${mailbox.name}: CDAT revision ${header.revision}, ${header.length} bytes, sequence ${header.sequence}, checksum ${checksum}`;
  const rows = structures.map(describe);
  return [
    jsonData(cdat) as Data,
    {
      text: () =>
        `${facts('', [first], '')}\n${table(['Structure', 'Range', 'Description'], rows)}`,
      rows: () => rows,
    },
  ];
}

export function capabilitiesDocument(capabilities: ComplianceCapabilities): Document {
  const { available, enabled } = capabilities;
  const rows = available.map((name) => [name, enabled.includes(name) ? 'yes' : 'no']);
  const text = () =>
    rows.length === 0 ? 'nothing available' : table(['Available', 'Enabled'], rows);
  return [jsonData(capabilities) as Data, { text, rows: () => rows }];
}

export function statusDocument({ capabilities, ...size }: ComplianceStatus): Document {
  const data = { capabilities: hex(capabilities, 4), ...size };
  const text = () =>
    `capabilities ${data.capabilities}, cache size ${size.cacheSize}, unit ${size.cacheSizeUnit}`;
  return [data, { text }];
}
