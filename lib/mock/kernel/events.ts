/**
 * What a context has to tell its reader, and in which order: the model of afu_read(),
 * afu_poll() and afu_driver_event_copy() (drivers/misc/cxl/file.c).
 */
import { errnos } from '../../shared/errno';
import {
  headerSize,
  readMinimum,
  writeAfuDriver,
  writeAfuError,
  writeAfuInterrupt,
  writeDataStorage,
} from './event-bytes';

/**
 * What an in-kernel AFU driver registers on a context (struct cxl_afu_driver_ops). Both are
 * called from within a read, under a spinlock in the kernel: neither may wait.
 */
export interface AfuDriverOps {
  /** The next event's data, at most 4088 bytes. A null answer fails the read with EFAULT. */
  fetchEvent(): Uint8Array | null;
  /** How the delivery of that event went: 0, -EINVAL (null or too big) or -EFAULT (copy failed). */
  eventDelivered(event: Uint8Array | null, result: number): void;
}

export class PendingEvents {
  /** AFU interrupts: bit n-1 is interrupt n. Raised twice before it is read, it is delivered once. */
  readonly #interrupts = new Set<number>();
  #interruptPending = false;
  #interruptCount = 0;
  #fault: { address: bigint; dsisr: bigint } | undefined;
  #afuError: bigint | undefined;
  /** What a driver that this model is not would put there: given as it is. */
  readonly #raw: Uint8Array[] = [];
  #driverEvents = 0;
  #driverOps: AfuDriverOps | undefined;

  /** The interrupts the context has from now on; 0 when they are released. */
  setInterruptCount(count: number): void {
    this.#interruptCount = count;
    // The bitmap itself outlives the release, with what is pending in it.
    if (count > 0) this.#interrupts.clear();
  }

  get interruptCount(): number {
    return this.#interruptCount;
  }

  addInterrupt(irq: number): void {
    this.#interrupts.add(irq);
    this.#interruptPending = true;
  }

  /** A fault that has not been read is overwritten: the newest address is the one to tell. */
  addFault(address: bigint, dsisr: bigint): void {
    this.#fault = { address, dsisr };
  }

  /** False when one is still unread: the new one is dropped. */
  addAfuError(error: bigint): boolean {
    if (this.#afuError !== undefined) return false;
    this.#afuError = error;
    return true;
  }

  addRaw(bytes: Uint8Array): void {
    this.#raw.push(bytes.slice());
  }

  setDriverOps(ops: AfuDriverOps): void {
    this.#driverEvents = 0;
    this.#driverOps = ops;
  }

  addDriverEvents(count: number): void {
    this.#driverEvents += count;
  }

  /** Cheap flags first; the driver is never called to find out. */
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
    return this.#driverOps !== undefined && this.#driverEvents > 0;
  }

  /**
   * Takes the next event out and copies it to `target`, of at least 4096 bytes. Its size, or
   * 0 when nothing is pending, or -EFAULT. `copyFails` stands for a buffer that cannot be
   * written: the event is lost then, as it is in the driver.
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
    return copyFails && size > 0 ? -errnos.EFAULT : size;
  }

  #takeInterrupt(): number {
    // A detach releases the interrupts and with them the bitmap's length, though not what is
    // pending. The driver then finds no bit within it and tells the number after the last: 1.
    const within = [...this.#interrupts].filter((irq) => irq <= this.#interruptCount);
    const irq = within.length > 0 ? Math.min(...within) : this.#interruptCount + 1;
    this.#interrupts.delete(irq);
    this.#interruptPending = within.length > 1;
    return irq;
  }

  #takeDriverEvent(target: Uint8Array, processElement: number, copyFails: boolean): number {
    const ops = this.#driverOps!;
    let event: Uint8Array | null;
    try {
      event = ops.fetchEvent();
    } finally {
      // Counted down whatever the driver answers.
      this.#driverEvents -= 1;
    }
    if (event === null || headerSize + event.length > readMinimum) {
      ops.eventDelivered(event, -errnos.EINVAL);
      return -errnos.EFAULT;
    }
    if (copyFails) {
      ops.eventDelivered(event, -errnos.EFAULT);
      return -errnos.EFAULT;
    }
    const size = writeAfuDriver(target, processElement, event);
    ops.eventDelivered(event, 0);
    return size;
  }
}
