/**
 * What the model of the cxlflash driver needs of the cxl driver: contexts on its AFU.
 * FlashAdapter implements it on the modeled kernel.
 */

/** What the AFU can do to the process that a context is bound to. */
export interface ContextPort {
  /**
   * Bytes at an effective address; undefined when they cannot be translated. The process then gets
   * a data storage event with the first address that cannot.
   */
  readMemory(address: bigint, length: number): Uint8Array | undefined;
  /** False when the address cannot be translated, with an event as above. */
  writeMemory(address: bigint, bytes: Uint8Array): boolean;
  /** Raises AFU interrupt `number`, from 1. */
  interrupt(number: number): void;
}

/** The registers and the work of one context's part of the AFU. */
export interface ContextDevice {
  read64(offset: number): bigint;
  write64(offset: number, value: bigint): void;
  /** Does some of the pending work. False when nothing was done. */
  step(): boolean;
  /** Whether there is work pending. */
  readonly busy: boolean;
}

export type DeviceMaker = (port: ContextPort) => ContextDevice;

/** A context that the cxl driver has started. */
export interface StartedContext {
  readonly processElement: number;
  /** The descriptor that ATTACH and RECOVER_AFU return. */
  readonly fd: number;
}

export interface FlashPlatform {
  /**
   * Creates a context bound to the calling process, starts it and installs a descriptor for it.
   * `makeDevice` is called before start() returns. Negative errno: as the in-kernel API of the
   * cxl driver answers (ENODEV, ENOSPC, EIO, EINVAL below irqs_min); EAGAIN when the context was
   * closed before the AFU was told its capabilities.
   */
  start(interrupts: number, makeDevice: DeviceMaker): StartedContext | number;
}

/** The process that makes a call. */
export interface Caller {
  readonly processId: number;
  readonly parentId: number;
}
