/**
 * The seam: what every backend provides, at system-call height.
 *
 * Nothing here interprets. A call that the kernel can refuse answers `-errno` (a negative
 * number) where it would answer its value; the layer above turns that into an Error, so that
 * all backends fail in the same words and the stack is the caller's. Arguments have been
 * checked above the seam; an implementation need only stay memory-safe.
 */

import type { CardIoctls } from './cxl-ioctls';
import type { NegativeErrno } from './errno';
import type { AfuFile, DeviceFile } from './files';
import type { FlashBinding } from './flash';
import type { AllocationRequest, MemoryRegion } from './memory';
import type { SysFs } from './sysfs';

export type { NegativeErrno } from './errno';
export type { AfuFile, DeviceFile, EventSink } from './files';
export type { AllocationRequest, MemoryRegion } from './memory';
export type { BlockArray, ProblemStateMapping } from './problem-state';
export type { SysFs } from './sysfs';

/** One backend. */
export interface Binding {
  readonly kind: 'native' | 'mock' | 'replay' | 'pslse';
  /** cxlflash, where the backend has it. */
  readonly flash?: FlashBinding | undefined;
  /** Bytes; what mappings and allocations are rounded to. */
  readonly pageSize: number;
  /** Where accesses to mappings and memory have their operands: see the class Operands. */
  readonly operands: SharedArrayBuffer;
  readonly sysfs: SysFs;
  /** open(O_RDWR|O_CLOEXEC|O_NONBLOCK), on another thread. */
  openAfu(path: string): Promise<AfuFile | NegativeErrno>;
  /**
   * Takes a descriptor over as it is (flags untouched) after checking that it is a cxl one:
   * GET_AFU_ID, else the magic of its file system. -EBADF; -ENODEV when it is something else.
   */
  adoptAfu(fd: number, owned: boolean): AfuFile | NegativeErrno;
  /** Opens /dev/cxl/cardN, as openAfu(). */
  openCard(path: string): Promise<DeviceFile<CardIoctls> | NegativeErrno>;
  allocate(request: AllocationRequest): MemoryRegion | NegativeErrno;
  /**
   * Effective address of the first byte of a view. The caller keeps the view alive and
   * neither resizes nor transfers its buffer while the AFU can reach it.
   */
  addressOf(view: ArrayBufferView): bigint;
  /** POWER `sync`; a full fence elsewhere. */
  memoryBarrier(): void;
}
