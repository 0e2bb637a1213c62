/**
 * node-cxl/doe: PCI Data Object Exchange mailboxes (PCIe 6.0 §6.30) from user space.
 *
 * ```ts
 * import { doe, readCdat, tableAccessProtocol } from 'node-cxl/doe';
 *
 * for (const mailbox of await doe.mailboxes()) console.log(mailbox.name, mailbox.owner);
 * const mailbox = await doe.find('0000:0d:00.0', tableAccessProtocol, { force: true });
 * const { structures } = await readCdat(mailbox, { force: true });
 * ```
 *
 * A driver bound to the device, and the kernel itself, may use the same mailbox. `owner` says who
 * does. A mailbox is shared by its protocols: exchanges of one that the kernel uses need `force`,
 * others do not (DoeMailbox.usedBy()). The kernel does not take this library's lock, so `force` is
 * safe only while the driver does not use the mailbox; doe.unbind() and doe.bind() hand a function
 * over.
 *
 * @module node-cxl/doe
 */
export type { ConfigSpace, Owner, PciBus, RangeLock } from '../binding/configuration-space';
export type { NegativeErrno } from '../binding/errno';
export { type SysfsOptions, SysfsPci } from '../native/pci-bus';
export { AbortError } from '../shared/abort';
export { CxlError } from '../shared/errors';
export { parseAddress } from './address';
export type { DoeCapability } from './capability';
export {
  type CdatOptions,
  type CdatTable,
  readCdat,
  readCdatBytes,
  tableAccessProtocol,
} from './cdat';
export {
  type CdatHeader,
  type CdatStructure,
  cdatChecksumValid,
  type Dsemts,
  type Dsis,
  type Dslbis,
  type Dsmas,
  type Dsmscis,
  decodeCdatHeader,
  decodeCdatStructures,
  type LatencyBandwidthType,
  type Sslbis,
  type UnknownStructure,
} from './cdat-structures';
export {
  Compliance,
  type ComplianceCapabilities,
  ComplianceError,
  type ComplianceStatus,
  type ComplianceStatusName,
  complianceProtocol,
} from './compliance';
export {
  type BogusWrites,
  COMPLIANCE_REQUESTS,
  type ComplianceRequest,
  type ComplianceRequestName,
  type CrcInjection,
  type EnableOption,
  type MacDelay,
  type MultipleWriteStreaming,
  type NamedRequest,
  type OpcodeOption,
  type ProducerConsumer,
  type ProtocolOption,
  type UnexpectedMac,
} from './compliance-requests';
export { doe, doeFromDump } from './default-doe';
export {
  type DiscoveredProtocol,
  type DiscoveryEntry,
  discoverIndex,
  discoveryProtocol,
  type ProtocolLimits,
  wellKnownName,
} from './discovery';
export { Doe, type FunctionScan } from './doe';
export { DumpPci, formatLspciDump, parseLspciDump } from './dump';
export {
  MAX_PAYLOAD_BYTES,
  type Phase,
  type Protocol,
  protocolName,
} from './exchange';
export { DoeMailbox } from './mailbox';
export type { ExchangeOptions, ResetMailboxOptions, ScanOptions } from './options';
export type { Status as MailboxStatus } from './registers';
export { type SpdmVersion, securedSpdmProtocol, spdmProtocol, spdmVersions } from './spdm';
