/**
 * node-cxl: coherent accelerators (IBM CAPI, the Linux cxl driver) from Node.js.
 *
 * @packageDocumentation
 */
export { AbortError, type WaitOptions } from './abort';
export { Adapter, type LoadImageOnPerst } from './adapter';
export { Afu, type AfuMode, type ContextKind, type PrefaultMode } from './afu';
export type { BlockArray } from './binding';
export { ConfigurationRecord } from './configuration-record';
export {
  type AfuId,
  type AttachOptions,
  Context,
  type FaultError,
  type Holdable,
  type MapOptions,
} from './context';
export { type AdoptOptions, Cxl } from './cxl';
export { cxl } from './default-system';
export type { Endian } from './endian';
export { CxlError } from './errors';
export type { EventIterator } from './event-iterator';
export type {
  AfuDriverEvent,
  AfuErrorEvent,
  AfuInterruptEvent,
  CxlEvent,
  DataStorageEvent,
  UnknownEvent,
} from './events';
export type { ImageDownloadOptions, ImageProgress } from './image-download';
export { type AccessOptions, type AllocateOptions, Memory } from './memory';
export { ProblemState } from './problem-state';
