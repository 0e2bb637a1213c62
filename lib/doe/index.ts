/**
 * node-cxl/doe: PCI Data Object Exchange mailboxes (PCIe 6.0 §6.30) from user space.
 *
 * @packageDocumentation
 */
export { AbortError } from '../abort';
export { CxlError } from '../errors';
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
  type ComplianceRequest,
  type ComplianceRequestName,
  complianceRequests,
  type MultipleWriteStreaming,
  type ProducerConsumer,
  type ProtocolOption,
} from './compliance-requests';
export { doe, doeFromDump } from './default-doe';
export {
  type DiscoveredProtocol,
  discoverIndex,
  discoveryProtocol,
  wellKnownName,
} from './discovery';
export { Doe, type FunctionScan } from './doe';
export { DumpPci, formatLspciDump, parseLspciDump } from './dump';
export { maxPayloadBytes, type Phase, type Protocol, protocolName } from './exchange';
export { DoeMailbox, type ExchangeOptions } from './mailbox';
export { type ConfigSpace, type Owner, type PciBus, parseAddress } from './pci';
export type { RangeLock } from './range-lock';
export { type SpdmVersion, securedSpdmProtocol, spdmProtocol, spdmVersions } from './spdm';
export { type SysfsOptions, SysfsPci } from './sysfs';
