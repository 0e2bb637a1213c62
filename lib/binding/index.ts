/**
 * The seam: what the native addon and the mock both provide, at system-call height.
 *
 * Nothing here interprets. A call that the kernel can refuse answers `-errno` (a negative
 * number) where it would answer its value; the layer above turns that into an Error, so that
 * both backends fail in the same words and the stack is the caller's. Arguments have been
 * checked above the seam; an implementation need only stay memory-safe.
 */

import type { FlashBinding } from './flash';

/** A negative errno as Linux numbers it (-5 is EIO), on every platform and backend. */
export type NegativeErrno = number;

/** START_WORK's inputs. Absent fields leave their flag clear. */
export interface StartWork {
  /** Work element descriptor: an opaque 64-bit value handed to the AFU. */
  readonly wed: bigint;
  /** Authority mask register; sets the AMR flag. */
  readonly amr?: bigint | undefined;
  /** Number of AFU interrupts; sets the NUM_IRQS flag. */
  readonly interrupts?: number | undefined;
  /** ERR_FF: after a detach the mapping reads as all ones instead of raising SIGBUS. */
  readonly errFf?: boolean | undefined;
  /** TID: bind the calling thread, so that the AFU can wake it. Only with startWorkSync. */
  readonly tid?: boolean | undefined;
}

/** GET_AFU_ID's answer, field for field. */
export interface RawAfuId {
  readonly flags: bigint;
  readonly cardId: number;
  readonly afuOffset: number;
  readonly afuMode: number;
}

/**
 * Receives one batch of events: `length` bytes of whole events at the start of `bytes`
 * (reused by the next batch: copy what must stay), then `errno`, 0 or the negative errno
 * that read() gave after them. -EIO is final: the context is detached and arm() is not
 * called again. After any other errno the file can be armed again.
 */
export type EventSink = (bytes: Uint8Array, length: number, errno: number) => void;

/** An open AFU file: a context. */
export interface AfuFile {
  /** The file descriptor; -1 once closed. */
  readonly fd: number;
  /** START_WORK on the control thread: it can block for seconds. 0 or -errno. */
  startWork(work: StartWork): Promise<number>;
  /** START_WORK on the calling thread. The `tid` the kernel gave (0 without the flag), or -errno. */
  startWorkSync(work: StartWork): number;
  /** GET_PROCESS_ELEMENT: an unsigned 32-bit number (0xffffffff: none yet), or -errno. */
  processElement(): number;
  /** GET_AFU_ID. */
  afuId(): RawAfuId | NegativeErrno;
  /** mmap, shared, read and write, from `offset` of the area. */
  map(
    offset: number,
    length: number,
    endian: 'big' | 'little',
  ): ProblemStateMapping | NegativeErrno;
  /** Where batches go. Set once, before the first arm(). */
  onEvents(sink: EventSink): void;
  /**
   * Asks for one batch: whatever is pending, else the next event. The sink is called once,
   * never from within arm(). Keeps the process alive until then. Idempotent while armed.
   */
  arm(): void;
  /** Takes the request back. A batch already read is still delivered. */
  disarm(): void;
  /**
   * Closes on the control thread (the kernel waits for the hardware); all mappings must be
   * gone. Leaves the wait set first. 0 or -errno. An adopted descriptor that is not owned is
   * only let go of.
   */
  close(): Promise<number>;
}

/**
 * A mapped problem state area, with the endianness it was mapped with. Offsets are in bytes
 * and aligned to the width. A full barrier precedes each store and follows each load.
 */
export interface ProblemStateMapping {
  readonly length: number;
  /** The value, or undefined when the access faulted (SIGBUS). */
  read32(offset: number): number | undefined;
  read64(offset: number): bigint | undefined;
  /** False when the access faulted. */
  write32(offset: number, value: number): boolean;
  write64(offset: number, value: bigint): boolean;
  /**
   * Moves whole elements, in ascending order, one barrier for the block. Elements are
   * converted as by read32/read64. The number of elements moved before a fault (all when
   * there was none).
   */
  readBlock(offset: number, target: BlockArray): number;
  writeBlock(offset: number, source: BlockArray): number;
  /** Idempotent. Any access afterwards answers as a fault does; it never touches memory. */
  unmap(): void;
}

/** What block transfers move: 32- or 64-bit elements. */
export type BlockArray = Uint32Array | Int32Array | BigUint64Array | BigInt64Array;

/** How allocate() gets its pages. */
export interface AllocationRequest {
  /** Bytes, at least 1. */
  readonly size: number;
  /** Power of two. */
  readonly alignment: number;
  /** none: base pages. transparent: madvise. explicit: from the hugetlb pool. */
  readonly hugePages: 'none' | 'transparent' | 'explicit';
  /** NUMA node to bind to, or -1. */
  readonly numaNode: number;
}

/**
 * Memory an AFU can reach: zeroed, aligned, outside V8's heap, at a stable effective address.
 * Widths are in bytes. Loads have acquire order, stores release order.
 */
export interface MemoryRegion {
  readonly address: bigint;
  readonly size: number;
  /** The same ArrayBuffer every time; detached by free(). */
  readonly buffer: ArrayBuffer;
  load(offset: number, width: 1 | 2 | 4, endian: 'big' | 'little'): number;
  load64(offset: number, endian: 'big' | 'little'): bigint;
  store(offset: number, width: 1 | 2 | 4, value: number, endian: 'big' | 'little'): void;
  store64(offset: number, value: bigint, endian: 'big' | 'little'): void;
  /**
   * 0, or -EBUSY while a context of this process is attached and `force` is false.
   * Idempotent. Without a call, the collector frees the region, but never while a context
   * of this process is attached.
   */
  free(force: boolean): number;
}

/** /dev/cxl/cardN of a PowerVM guest: adapter image download. Closing it resets the adapter. */
export interface CardFile {
  readonly fd: number;
  /**
   * DOWNLOAD_IMAGE or VALIDATE_IMAGE on the control thread. 1: more is wanted, 0: complete,
   * or -errno. `data` is at most 1 MiB (1 MiB - 128 with needHeader) and must not change
   * until the promise settles.
   */
  transfer(
    operation: 'download' | 'validate',
    needHeader: boolean,
    data: Uint8Array,
    imageLength: number,
  ): Promise<number>;
  close(): Promise<number>;
}

/** The files of /sys/class/cxl. Paths are absolute. Nothing here opens a device node. */
export interface SysFs {
  /** Names in a directory, or -errno. */
  readdir(path: string): Promise<string[] | NegativeErrno>;
  /** A whole attribute, or `length` bytes of it from `offset`. */
  read(path: string, offset?: number, length?: number): Promise<Uint8Array | NegativeErrno>;
  /** As read(), at once: for what a synchronous call must know, such as mmio_size at map time. */
  readSync(path: string): Uint8Array | NegativeErrno;
  /** Writes an attribute in one write() on the control thread: `reset` can block. 0 or -errno. */
  write(path: string, data: string): Promise<number>;
  /** Resolves every link: how the PCI device above an AFU is found, and what a device node is. */
  realpath(path: string): Promise<string | NegativeErrno>;
}

/** One backend. */
export interface Binding {
  readonly kind: 'native' | 'mock';
  /** cxlflash, where the backend has it. */
  readonly flash?: FlashBinding | undefined;
  /** Bytes; what mappings and allocations are rounded to. */
  readonly pageSize: number;
  readonly sysfs: SysFs;
  /** open(O_RDWR|O_CLOEXEC|O_NONBLOCK) on the control thread. */
  openAfu(path: string): Promise<AfuFile | NegativeErrno>;
  /**
   * Takes a descriptor over as it is (flags untouched) after checking that it is a cxl one:
   * GET_AFU_ID, else the magic of its file system. -EBADF; -ENODEV when it is something else.
   */
  adoptAfu(fd: number, owned: boolean): AfuFile | NegativeErrno;
  openCard(path: string): Promise<CardFile | NegativeErrno>;
  allocate(request: AllocationRequest): MemoryRegion | NegativeErrno;
  /**
   * Effective address of the first byte of a view. The caller keeps the view alive and
   * neither resizes nor transfers its buffer while the AFU can reach it.
   */
  addressOf(view: ArrayBufferView | ArrayBuffer | SharedArrayBuffer): bigint;
  /** POWER `sync`; a full fence elsewhere. */
  memoryBarrier(): void;
}
