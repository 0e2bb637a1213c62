/**
 * node-cxl: coherent accelerators (IBM CAPI, the Linux cxl driver) from Node.js.
 *
 * @module node-cxl
 */

export type { BlockArray } from './binding';
export { cxl } from './default-system';
export {
  Adapter,
  type AdapterAttributes,
  type LoadImageOnPerst,
  type ResetOptions,
} from './device/adapter';
export {
  Afu,
  type AfuAttributes,
  type AfuMode,
  type ContextKind,
  type PrefaultMode,
} from './device/afu';
export type { AfuId } from './device/afu-id';
export type { AllocateOptions } from './device/allocate';
export type {
  AttachOptions,
  AttachSyncOptions,
  AttachSyncResult,
  StartOptions,
} from './device/attach-options';
export { Context } from './device/context';
export { type AdoptOptions, Cxl, type OpenOptions } from './device/cxl';
export type { Holdable } from './device/held-memory';
export type { FreeOptions } from './device/holders';
export type { ImageDownloadOptions, ImageProgress } from './device/image-download';
export type { MapOptions } from './device/map-options';
export { type AccessOptions, Memory } from './device/memory';
export { MemoryPool, type PieceOptions } from './device/memory-pool';
export { ProblemState } from './device/problem-state';
export type { WakeupOptions } from './device/wakeup';
export type { EventOptions, SyncEventOptions } from './events/event-options';
export type {
  AfuDriverEvent,
  AfuErrorEvent,
  AfuInterruptEvent,
  CxlEvent,
  DataStorageEvent,
  EventOfType,
  EventType,
  UnknownEvent,
} from './events/events';
export type { FaultError, FaultEvent } from './events/faults';
export { formatEvent } from './events/format';
export type { EventIterator } from './events/iterator';
export type { EventWaitOptions, SyncWaitOptions } from './events/wait-options';
export { AbortError, type WaitOptions } from './shared/abort';
export type { Endian } from './shared/endian';
export { CxlError } from './shared/errors';
export { ConfigurationRecord } from './sysfs/configuration-record';
