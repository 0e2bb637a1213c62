/** The device side of a context. */
import { types } from 'node:util';
import { DSISR } from '../../emulation/dsisr';
import { originOf } from '../../emulation/origin';
import { checkInteger, checkOneOf, checkUint64 } from '../../shared/checks';
import { stateError, typeError } from '../../shared/errors';
import type { ContextStatus, CxlContext } from '../kernel/context';
import { CONTEXT_FAULTS, type FaultSpec } from '../kernel/fault-spec';
import type { ContextRole } from '../models/afu-model';

/**
 * What a test does to a context.
 *
 * @example
 * import { createMockCxl } from 'node-cxl/mock';
 *
 * const system = createMockCxl();
 * const context = await system.open('/dev/cxl/afu0.0s');
 * await context.attach({ wed: 0n });
 * const device = system.card(0).afu(0).context(0);
 * device.dataStorageFault(0x1000n);
 * const error = await context.waitForInterrupt(1).catch((reason) => reason);
 * console.log(error.code, error.event.address); // EFAULT 4096n
 * await context.close();
 */
export class MockContext {
  readonly #context: CxlContext;

  /** @internal */
  constructor(context: CxlContext) {
    this.#context = context;
  }

  /** The driver's index, from 0; events carry it as their process element. */
  get index(): number {
    return this.#context.processElement;
  }

  /** The driver's state of the context. */
  get status(): ContextStatus {
    return this.#context.status;
  }

  /** Which area of the AFU it maps, by the node that it was opened by. */
  get role(): ContextRole {
    return this.#context.role;
  }

  /** Work element descriptor; undefined unless STARTED. */
  get wed(): bigint | undefined {
    return this.#context.process?.wed;
  }

  /** Authority mask register; undefined unless STARTED. */
  get amr(): bigint | undefined {
    return this.#context.process?.amr;
  }

  /** How many AFU interrupts the context has. */
  get interrupts(): number {
    return this.#context.interrupts;
  }

  /** Whether the program waits for events of this context. */
  get waiting(): boolean {
    return this.#context.waiting;
  }

  /** Raises AFU interrupts, each from 1 to `interrupts`. */
  raiseInterrupt(...irqs: number[]): void {
    const process = this.#started();
    for (const irq of irqs) checkInteger('irq', irq, 1, process.interrupts);
    for (const irq of irqs) process.raiseInterrupt(irq);
  }

  /** Raises a data storage fault at an address, whether or not anything is mapped there. */
  dataStorageFault(address: bigint, dsisr: bigint = DSISR[1].notFound): void {
    this.#started();
    this.#context.dataStorageFault(checkUint64('address', address), checkUint64('dsisr', dsisr));
  }

  /** Raises an AFU error. While an earlier one is unread, it is logged and dropped. */
  afuError(error: bigint): void {
    this.#started();
    this.#context.afuError(checkUint64('error', error));
  }

  /**
   * Makes the next read return these bytes, 1 to 4096, before any other event: an event of an
   * unknown type, or a malformed one.
   */
  injectEvent(bytes: Uint8Array): void {
    this.#started();
    if (!types.isUint8Array(bytes)) throw typeError('bytes', 'a Buffer or Uint8Array', bytes);
    checkInteger('bytes.length', bytes.length, 1, 4096);
    this.#context.rawEvent(bytes);
  }

  /**
   * Adds a fault for this context alone: as MockCxl.inject(), of faults that happen to contexts.
   *
   * @example
   * import { createMockCxl } from 'node-cxl/mock';
   *
   * const system = createMockCxl();
   * const context = await system.open('/dev/cxl/afu0.0s');
   * await context.attach({ wed: 0n });
   * const device = system.card(0).afu(0).context(0);
   * device.inject({ name: 'lost-interrupt' });
   * device.raiseInterrupt(1, 2);
   * const event = await context.waitForEvent({ types: ['afu-interrupt'] });
   * console.log(event.irq); // 2
   * await context.close();
   */
  inject(fault: FaultSpec, ...next: FaultSpec[]): void {
    const { faults } = this.#context.afu.kernel;
    for (const each of [fault, ...next]) {
      checkOneOf('fault.name', (each as FaultSpec | null)?.name, CONTEXT_FAULTS);
    }
    faults.inject([fault, ...next], originOf(this.inject), this.#context);
  }

  /** Detaches this context by force. */
  detach(): void {
    this.#context.detach();
  }

  #started() {
    const { process } = this.#context;
    if (process === undefined) {
      throw stateError(`context ${this.index} is ${this.status}: the device does not have it`);
    }
    return process;
  }
}
