/**
 * What the flash adapter needs of the kernel below it: contexts on its AFU. An interface, so
 * that the driver model can be read and run by itself.
 */
import type { KernelContext } from './resources';
import type { ContextPort } from './sislite-afu';

/** The device side of a started context, as the flash driver provides it. */
export interface ContextDevice {
  read64(offset: number): bigint;
  write64(offset: number, value: bigint): void;
  /** Does some of the pending work; whether there was any. */
  step(): boolean;
  /** Whether there is work pending. */
  readonly busy: boolean;
}

export interface FlashPlatform {
  /**
   * Creates a context bound to the calling process, starts it and installs a descriptor for
   * it. -errno as the cxl driver's kernel API has it: ENOSPC, EINVAL below irqs_min, EIO; EAGAIN
   * when the context was closed before the AFU knew of it.
   */
  start(interrupts: number, device: (port: ContextPort) => ContextDevice): KernelContext | number;
}

/** The process that makes a call. */
export interface Caller {
  readonly processId: number;
  readonly parentId: number;
}
