/**
 * The pending events of a context, and in which order they are read: those of the hardware, and those
 * of an in-kernel AFU driver. The model of afu_driver_event_copy() in drivers/misc/cxl/file.c.
 */

import { CXL_READ_MIN_SIZE, HEADER_SIZE, writeAfuDriver } from '../../emulation/event-bytes';
import { HardwareEvents } from '../../emulation/hardware-events';
import { ERRNOS } from '../../shared/errno';
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

export class PendingEvents extends HardwareEvents {
  /** Events given as bytes, for events that this driver does not have. */
  readonly #raw: Uint8Array[] = [];
  #driverEvents = 0;
  #driver: { readonly ops: AfuDriverOps; readonly context: KernelContext } | undefined;

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

  /** Calls no callback of the AFU driver. */
  override get any(): boolean {
    return this.#raw.length > 0 || this.#driverPending || super.any;
  }

  get #driverPending(): boolean {
    return this.#driver !== undefined && this.#driverEvents > 0;
  }

  /**
   * Removes the next event and copies it to `target`, which has at least CXL_READ_MIN_SIZE bytes.
   * Call it only while there is an event (`any`). Its size, or -EFAULT: with `copyFails` the buffer
   * cannot be written, and the event is lost, as in the driver.
   */
  take(target: Uint8Array, processElement: number, copyFails: boolean): number {
    const raw = this.#raw.shift();
    if (raw !== undefined) {
      target.set(raw);
      return raw.length;
    }
    if (this.#driverPending) return this.#takeDriverEvent(target, processElement, copyFails);
    const size = this.takeNext(target, processElement);
    return copyFails ? -ERRNOS.EFAULT : size;
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
