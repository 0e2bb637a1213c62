/**
 * node-cxl/flash: superpipe access to LUNs of CAPI flash adapters (the Linux cxlflash driver), and
 * block I/O on them.
 *
 * @module node-cxl/flash
 */

export type {
  AttachAnswer,
  AttachInput,
  CallAnswer,
  CallHeader,
  CloneInput,
  ContextInput,
  DebugInput,
  FlashIoctl,
  HandleInput,
  HostCalls,
  LunCalls,
  ManageInput,
  OpenAnswer,
  ProvisionAnswer,
  ProvisionInput,
  RecoverAnswer,
  RecoverInput,
  ResizeInput,
  SizeAnswer,
  VerifyInput,
  VirtualInput,
} from '../binding/flash';
export { flashFlags, provisionSubcommands } from '../binding/flash';
export { AbortError } from '../shared/abort';
export { CxlError } from '../shared/errors';
export type { AttachOptions as FlashAttachOptions } from './attach-options';
export {
  BlockAccess,
  type BlockBuffer,
  type MemorySlice,
  type TransferOptions,
  type TransferRequest,
} from './block-access';
export { BlockDevice } from './block-device';
export type { BlockStatistics } from './block-statistics';
export type { CloneToken } from './clone-token';
export type { Operation, Priority } from './command';
export type { CommandError, CommandFailure } from './command-status';
export { type ListLunsOptions, type LunInfo, listLuns } from './discovery';
export { FlashContext, type Recovery } from './flash-context';
export type { Geometry } from './geometry';
export {
  type DebugOptions,
  FlashHost,
  openFlashHost,
  type PortCapacity,
  type ProvisionedLun,
} from './host';
export { Lun, type OpenLunOptions, openLun, type SuperpipeOptions } from './lun';
export type { PathState } from './lun-path';
export {
  MultipathBlockDevice,
  type MultipathStatistics,
  type PathChange,
  type PathStatus,
} from './multipath-device';
export { type OpenBlockDeviceOptions, openBlockDevice } from './open-block-device';
export { BlockReadStream, type BlockReadStreamOptions } from './read-stream';
export {
  type OpenVirtualOptions,
  type Resized,
  Resource,
  type ResourceDescription,
} from './resource';
export { decodeSense, type Sense, type SenseKey } from './sense';
export type { CommandStatus } from './sislite';
export type { PortStatistics, QueueStatistics } from './statistics';
export type { BlockStreamOptions } from './stream-transfers';
export { openStripedDevice, StripedBlockDevice, type StripeOptions } from './striped-device';
export { BlockWriteStream, type BlockWriteStreamOptions } from './write-stream';
