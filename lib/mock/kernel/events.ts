/**
 * The pending events of a context, and in which order they are read. The model of afu_read(),
 * afu_poll() and afu_driver_event_copy() in drivers/misc/cxl/file.c.
 */
import { ERRNOS } from '../../shared/errno';
import {
  CXL_READ_MIN_SIZE,
  HEADER_SIZE,
  writeAfuDriver,
  writeAfuError,
  writeAfuInterrupt,
  writeDataStorage,
} from './event-bytes';
import type { KernelContext } from './kernel-context';

/**
 * Operations of an in-kernel AFU driver (struct cxl_afu_driver_ops). One object can serve many
 * contexts: each call says which one it is for, by the object that createKernelContext() returned.
 * The driver calls them in read(); fetchEvent() in the kernel with a spinlock held, so it must not
 * wait.
 */
export interface AfuDriverOps {
  /** The data of the context's next event, at most 4088 bytes. With null the read fails with EFAULT. */
  fetchEvent(context: KernelContext): Uint8Array | null;
  /** The result of the delivery: 0, -EINVAL (null or too large) or -EFAULT (copy failed). */
  eventDelivered(context: KernelContext, event: Uint8Array | null, result: number): void;
}

export class PendingEvents {
  /** AFU interrupts raised and not read. One raised twice is delivered once. */
  readonly #interrupts = new Set<number>();
  #interruptPending = false;
  #interruptCount = 0;
  #fault: { address: bigint; dsisr: bigint } | undefined;
  #afuError: bigint | undefined;
  /** Events given as bytes, for events that this driver does not have. */
  readonly #raw: Uint8Array[] = [];
  #driverEvents = 0;
  #driver: { readonly ops: AfuDriverOps; readonly context: KernelContext } | undefined;

  /** Sets how many interrupts the context has; 0 when they are released. */
  setInterruptCount(count: number): void {
    this.#interruptCount = count;
    // In the driver the bitmap of pending interrupts is not cleared by the release.
    if (count > 0) this.#interrupts.clear();
  }

  get interruptCount(): number {
    return this.#interruptCount;
  }

  addInterrupt(irq: number): void {
    this.#interrupts.add(irq);
    this.#interruptPending = true;
  }

  /** A data storage fault. It replaces one that has not been read. */
  addFault(address: bigint, dsisr: bigint): void {
    this.#fault = { address, dsisr };
  }

  /** An AFU error. False: it was dropped because an earlier one has not been read. */
  addAfuError(error: bigint): boolean {
    if (this.#afuError !== undefined) return false;
    this.#afuError = error;
    return true;
  }

  addRaw(bytes: Uint8Array): void {
    this.#raw.push(bytes.slice());
  }

  setDriverOps(ops: AfuDriverOps, context: KernelContext): void {
    this.#driverEvents = 0;
    this.#driver = { ops, context };
  }

  addDriverEvents(count: number): void {
    this.#driverEvents += count;
  }

  /** Whether there is an event to read. Calls no callback of the AFU driver. */
  get any(): boolean {
    return (
      this.#raw.length > 0 ||
      this.#interruptPending ||
      this.#fault !== undefined ||
      this.#afuError !== undefined ||
      this.#driverPending
    );
  }

  get #driverPending(): boolean {
    return this.#driver !== undefined && this.#driverEvents > 0;
  }

  /**
   * Removes the next event and copies it to `target`, which has at least CXL_READ_MIN_SIZE bytes.
   * Its size, 0 when there is none, or -EFAULT. With `copyFails` the buffer cannot be written:
   * the event is lost, as in the driver.
   */
  take(target: Uint8Array, processElement: number, copyFails: boolean): number {
    const raw = this.#raw.shift();
    if (raw !== undefined) {
      target.set(raw);
      return raw.length;
    }
    if (this.#driverPending) return this.#takeDriverEvent(target, processElement, copyFails);
    let size = 0;
    if (this.#interruptPending) {
      size = writeAfuInterrupt(target, processElement, this.#takeInterrupt());
    } else if (this.#fault !== undefined) {
      size = writeDataStorage(target, processElement, this.#fault.address, this.#fault.dsisr);
      this.#fault = undefined;
    } else if (this.#afuError !== undefined) {
      size = writeAfuError(target, processElement, this.#afuError);
      this.#afuError = undefined;
    }
    return copyFails && size > 0 ? -ERRNOS.EFAULT : size;
  }

  #takeInterrupt(): number {
    // After a detach the bitmap has length 0 but interrupts may still be pending. The driver then
    // finds no bit and reports the interrupt after the last one: 1.
    const within = [...this.#interrupts].filter((irq) => irq <= this.#interruptCount);
    const irq = within.length > 0 ? Math.min(...within) : this.#interruptCount + 1;
    this.#interrupts.delete(irq);
    this.#interruptPending = within.length > 1;
    return irq;
  }

  #takeDriverEvent(target: Uint8Array, processElement: number, copyFails: boolean): number {
    const { ops, context } = this.#driver!;
    let event: Uint8Array | null;
    try {
      event = ops.fetchEvent(context);
    } finally {
      // Counted even if the callback throws.
      this.#driverEvents -= 1;
    }
    if (event === null || HEADER_SIZE + event.length > CXL_READ_MIN_SIZE) {
      ops.eventDelivered(context, event, -ERRNOS.EINVAL);
      return -ERRNOS.EFAULT;
    }
    if (copyFails) {
      ops.eventDelivered(context, event, -ERRNOS.EFAULT);
      return -ERRNOS.EFAULT;
    }
    const size = writeAfuDriver(target, processElement, event);
    ops.eventDelivered(context, event, 0);
    return size;
  }
}
