/**
 * The pending events of a context that the hardware causes, and in which order they are read: as
 * afu_read() and afu_poll() in drivers/misc/cxl/file.c.
 */
import { writeAfuError, writeAfuInterrupt, writeDataStorage } from './event-bytes';

export class HardwareEvents {
  /** AFU interrupts raised and not read. One raised twice is delivered once. */
  readonly #interrupts = new Set<number>();
  #interruptPending = false;
  #interruptCount = 0;
  #fault: { address: bigint; dsisr: bigint } | undefined;
  #afuError: bigint | undefined;

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

  /** Whether there is an event to read. */
  get any(): boolean {
    return this.#interruptPending || this.#fault !== undefined || this.#afuError !== undefined;
  }

  /**
   * Removes the next event and writes it to `target`, which has at least CXL_READ_MIN_SIZE bytes.
   * Its size, 0 when there is none.
   */
  takeNext(target: Uint8Array, processElement: number): number {
    if (this.#interruptPending) {
      return writeAfuInterrupt(target, processElement, this.#takeInterrupt());
    }
    if (this.#fault !== undefined) {
      const { address, dsisr } = this.#fault;
      this.#fault = undefined;
      return writeDataStorage(target, processElement, address, dsisr);
    }
    if (this.#afuError !== undefined) {
      const error = this.#afuError;
      this.#afuError = undefined;
      return writeAfuError(target, processElement, error);
    }
    return 0;
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
}
