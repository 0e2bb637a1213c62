/** A process element: an attached context as the accelerator has it. */

import { DSISR } from '../../emulation/dsisr';
import type { AfuProcess, ContextRole, ProcessLogic } from '../models/afu-model';
import type { Runner } from '../models/scheduler';
import type { CxlContext } from './context';

export class ProcessElement implements AfuProcess, Runner {
  readonly role: ContextRole;
  readonly wed: bigint;
  readonly amr: bigint;
  readonly #context: CxlContext;
  #logic: ProcessLogic | undefined;
  #attached = true;

  constructor(context: CxlContext, wed: bigint, amr: bigint) {
    this.#context = context;
    this.role = context.role;
    this.wed = wed;
    this.amr = amr;
  }

  get afu() {
    return this.#context.afu.port;
  }

  get index(): number {
    return this.#context.processElement;
  }

  get processElement(): number {
    return this.#context.externalProcessElement;
  }

  get interrupts(): number {
    return this.#context.interrupts;
  }

  get attached(): boolean {
    return this.#attached;
  }

  get logic(): ProcessLogic {
    return this.#logic!;
  }

  /** Attaches the process to the AFU, which runs from now on. */
  start(): void {
    this.#logic = this.#context.afu.logic.attach(this);
    this.#context.afu.kernel.scheduler.add(this);
  }

  stop(): void {
    this.#context.afu.kernel.scheduler.remove(this);
    this.#logic?.detach?.();
    this.#attached = false;
  }

  step(): boolean {
    const { adapter, enabled } = this.#context.afu;
    if (!this.#attached || !adapter.linkOk || !enabled) return false;
    return this.#logic?.step?.() ?? false;
  }

  isMapped(address: bigint | number, length: number): boolean {
    return this.#context.afu.kernel.addressSpace.translate(address, length) !== undefined;
  }

  access(
    address: bigint | number,
    length: number,
    direction: 'read' | 'write',
  ): Uint8Array | undefined {
    const { kernel, adapter } = this.#context.afu;
    if (!this.#attached) return undefined;
    const at = kernel.faults.happens('translation', this.#context.place)
      ? undefined
      : kernel.addressSpace.translate(address, length);
    if (at !== undefined) return new Uint8Array(at.buffer, at.offset, length);
    const bits = DSISR[adapter.caiaMajor === 2 ? 2 : 1];
    this.#context.dataStorageFault(
      BigInt(address),
      direction === 'write' ? bits.notFound | bits.store : bits.notFound,
    );
    return undefined;
  }

  raiseInterrupt(irq: number): boolean {
    if (!this.#attached || irq < 1 || irq > this.interrupts) return false;
    const { faults } = this.#context.afu.kernel;
    if (!faults.happens('lost-interrupt', this.#context.place)) this.#context.afuInterrupt(irq);
    return true;
  }

  wakeThread(tid: number): boolean {
    if (!this.#attached || tid === 0 || tid !== this.#context.threadId) return false;
    this.#context.afu.kernel.wakeThread();
    return true;
  }

  afuError(error: bigint): void {
    if (this.#attached) this.#context.afuError(error);
  }

  wake(): void {
    this.#context.afu.kernel.scheduler.wake();
  }
}
