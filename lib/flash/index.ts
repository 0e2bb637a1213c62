/**
 * node-cxl/flash: superpipe access to LUNs of CAPI flash adapters (the Linux cxlflash driver), and
 * block I/O on them.
 *
 * @packageDocumentation
 */

export type { CallAnswer, CallHeader, HostCalls, LunCalls } from '../binding/flash';
export { flashFlags, provisionSubcommands } from '../binding/flash';
export type { AttachOptions } from './attach-options';
export {
  type BlockBuffer,
  BlockDevice,
  type BlockStatistics,
  type MemorySlice,
  type TransferOptions,
  type TransferRequest,
} from './block-device';
export type { CloneToken } from './clone-token';
export type { Operation, Priority } from './command';
export type { CommandError, CommandFailure } from './command-status';
export { type LunInfo, listLuns } from './discovery';
export { FlashContext, type Recovery } from './flash-context';
export type { Geometry } from './geometry';
export { FlashHost, openFlashHost, type PortCapacity, type ProvisionedLun } from './host';
export { Lun, type OpenLunOptions, openLun, type SuperpipeOptions } from './lun';
export {
  type OpenVirtualOptions,
  type Resized,
  Resource,
  type ResourceDescription,
} from './resource';
export { decodeSense, type Sense, type SenseKey } from './sense';
export type { CommandStatus } from './sislite';
export type { PortStatistics, QueueStatistics } from './statistics';
