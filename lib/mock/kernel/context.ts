/**
 * A context: OPENED, then STARTED, then CLOSED. The model of struct cxl_context and of the
 * file operations on it (drivers/misc/cxl/context.c, file.c). Calls answer as system calls
 * do: a value, or a negative errno.
 */
import {
  AFU_ID_FLAGS,
  type AfuIoctls,
  START_WORK_FLAGS,
  type StartWork,
} from '../../binding/cxl-ioctls';
import { errnos } from '../../shared/errno';
import type { ContextRole } from '../device/model';
import type { Afu } from './afu';
import { readMinimum } from './event-bytes';
import { type AfuDriverOps, PendingEvents } from './events';
import { ProcessElement } from './process-element';

export type ContextStatus = 'OPENED' | 'STARTED' | 'CLOSED';

/** GET_PROCESS_ELEMENT of a guest's context that has not been attached: -1 as the kernel stores it. */
const noProcessElement = 0xffff_ffff;

/** START_WORK past its checks, with its interrupts, waiting for the hardware. */
export interface PreparedStart {
  readonly work: StartWork;
  readonly interrupts: number;
  /** What the adapter counts for them. */
  readonly taken: number;
}

export class Context {
  readonly afu: Afu;
  /** The driver's index, from 0, and what the context's events carry. */
  readonly processElement: number;
  /** What GET_PROCESS_ELEMENT tells: the same on bare metal, the hypervisor's number in a guest. */
  externalProcessElement: number;
  master: boolean;
  status: ContextStatus = 'OPENED';
  process: ProcessElement | undefined;
  /** Bytes of the problem state area this context may map, from `areaOffset` of the AFU's. */
  areaSize = 0;
  /** ERR_FF was set at start: a detached mapping reads as all ones. */
  errFf = false;
  /** The one ordinary page that stands behind every page of an ERR_FF mapping after a detach. */
  #allOnes: Uint8Array | undefined;
  #takenInterrupts = 0;
  readonly #pending = new PendingEvents();
  readonly #wakeups = new Set<() => void>();

  constructor(afu: Afu, processElement: number, master: boolean) {
    this.afu = afu;
    this.processElement = processElement;
    this.externalProcessElement = afu.kernel.guest ? noProcessElement : processElement;
    this.master = master;
  }

  get role(): ContextRole {
    if (this.afu.mode === 'dedicated') return 'dedicated';
    return this.master ? 'master' : 'slave';
  }

  get interrupts(): number {
    return this.#pending.interruptCount;
  }

  /** What every ioctl checks first. */
  #ioctlGate(): number {
    return this.status === 'CLOSED' || !this.afu.adapter.linkOk ? -errnos.EIO : 0;
  }

  ioctlProcessElement(): AfuIoctls['GET_PROCESS_ELEMENT']['answer'] | number {
    return this.#ioctlGate() || { processElement: this.externalProcessElement };
  }

  ioctlAfuId(): AfuIoctls['GET_AFU_ID']['answer'] | number {
    const refused = this.#ioctlGate();
    if (refused) return refused;
    return {
      flags: this.role === 'slave' ? AFU_ID_FLAGS.SLAVE : 0n,
      cardId: this.afu.adapter.number,
      afuOffset: this.afu.slice,
      afuMode: this.afu.mode === 'dedicated' ? 1 : this.afu.mode === 'directed' ? 2 : 0,
    };
  }

  /** START_WORK up to where the hardware is asked: all that can refuse it, in the driver's order. */
  prepareStart(work: StartWork): PreparedStart | number {
    const refused = this.#ioctlGate();
    if (refused) return refused;
    if (this.status !== 'OPENED') return -errnos.EIO;
    const wantsTid = (work.flags & START_WORK_FLAGS.TID) !== 0n;
    if (wantsTid && this.afu.apiVersion < 3) return -errnos.EINVAL;
    const wantsInterrupts = (work.flags & START_WORK_FLAGS.NUM_IRQS) !== 0n;
    const interrupts = this.afu.interruptsFor(wantsInterrupts ? work.numInterrupts : undefined);
    if (interrupts < 0) return interrupts;
    const taken = this.afu.adapter.takeInterrupts(interrupts);
    if (taken < 0) return -errnos.ENOSPC;
    if (!this.afu.adapter.contextGet()) {
      this.afu.adapter.releaseInterrupts(taken);
      return -errnos.EBUSY;
    }
    return { work, interrupts, taken };
  }

  /** The hardware took too long, or the link went down: everything taken is given back. */
  abandonStart(start: PreparedStart): void {
    this.afu.adapter.releaseInterrupts(start.taken);
    this.afu.adapter.contextPut();
  }

  /** The hardware took the process element. The thread's id is 0 where there is none. */
  finishStart(start: PreparedStart): AfuIoctls['START_WORK']['answer'] | number {
    if (this.status !== 'OPENED' || !this.afu.adapter.linkOk) {
      this.abandonStart(start);
      return -errnos.EIO;
    }
    const { flags, workElementDescriptor, amr = 0n } = start.work;
    this.errFf = (flags & START_WORK_FLAGS.ERR_FF) !== 0n;
    this.holdInterrupts(start.interrupts, start.taken);
    this.attach(workElementDescriptor, (flags & START_WORK_FLAGS.AMR) !== 0n ? amr : 0n);
    // Only PSL9 on bare metal can wake a thread.
    const canWake = this.afu.adapter.caiaMajor === 2 && !this.afu.kernel.guest;
    const wantsTid = (flags & START_WORK_FLAGS.TID) !== 0n;
    return { tid: wantsTid && canWake ? this.afu.kernel.threadId() : 0 };
  }

  /** The interrupts are this context's from now on. */
  holdInterrupts(interrupts: number, taken: number): void {
    this.#pending.setInterruptCount(interrupts);
    this.#takenInterrupts = taken;
  }

  /** Inserts the process element. The caller took the adapter's context count. */
  attach(wed: bigint, amr: bigint): void {
    this.afu.assignArea(this);
    this.process = new ProcessElement(this, wed, amr);
    this.status = 'STARTED';
    this.afu.kernel.contextAttached(this);
    this.process.start();
  }

  /** mmap()'s checks: 0, or why there can be no mapping of `length` bytes at `offset`. */
  checkMap(offset: number, length: number): number {
    if (this.status !== 'STARTED' || !this.afu.adapter.linkOk) return -errnos.EIO;
    const { pageSize } = this.afu.kernel;
    const end = offset + Math.ceil(length / pageSize) * pageSize;
    if (end > this.areaSize || offset % pageSize !== 0) return -errnos.EINVAL;
    const { problemStateSize, perProcess } = this.afu.descriptor;
    const directed = this.role !== 'dedicated';
    if (problemStateSize === 0 || (directed && perProcess === undefined)) return -errnos.EINVAL;
    return 0;
  }

  /** Answers as the file operation of a non-blocking file: bytes read, or -errno. */
  read(target: Uint8Array): number {
    if (!this.afu.adapter.linkOk) return -errnos.EIO;
    if (target.length < readMinimum) return -errnos.EINVAL;
    if (this.#pending.any) {
      const copyFails = this.afu.kernel.faults.happens('copy');
      return this.#pending.take(target, this.processElement, copyFails);
    }
    return this.status === 'CLOSED' ? -errnos.EIO : -errnos.EAGAIN;
  }

  poll(): { readonly readable: boolean; readonly error: boolean } {
    const readable = this.#pending.any;
    return { readable, error: !readable && this.status === 'CLOSED' };
  }

  onWake(callback: () => void): () => void {
    this.#wakeups.add(callback);
    return () => this.#wakeups.delete(callback);
  }

  #wake(): void {
    for (const callback of [...this.#wakeups]) callback();
  }

  afuInterrupt(irq: number): void {
    this.#pending.addInterrupt(irq);
    this.#wake();
  }

  dataStorageFault(address: bigint, dsisr: bigint): void {
    this.#pending.addFault(address, dsisr);
    this.#wake();
  }

  afuError(error: bigint): void {
    if (this.#pending.addAfuError(error)) {
      this.#wake();
      return;
    }
    const value = `0x${error.toString(16).padStart(16, '0')}`;
    this.afu.log(`CXL AFU Error undelivered to pe ${this.processElement}: ${value}`);
  }

  rawEvent(bytes: Uint8Array): void {
    this.#pending.addRaw(bytes);
    this.#wake();
  }

  setDriverOps(ops: AfuDriverOps): void {
    this.#pending.setDriverOps(ops);
  }

  driverEventsPending(count: number): void {
    this.#pending.addDriverEvents(count);
    this.#wake();
  }

  /** -EBUSY when there was nothing attached: no waiter is woken then, as in the driver. */
  stop(): number {
    const before = this.status;
    this.status = 'CLOSED';
    if (before !== 'STARTED') return -errnos.EBUSY;
    this.process?.stop();
    this.process = undefined;
    this.afu.adapter.contextPut();
    this.afu.kernel.contextDetached(this);
    return 0;
  }

  detach(): void {
    if (this.stop() < 0) return;
    this.releaseInterrupts();
    this.#wake();
  }

  releaseInterrupts(): void {
    this.afu.adapter.releaseInterrupts(this.#takenInterrupts);
    this.#takenInterrupts = 0;
    this.#pending.setInterruptCount(0);
  }

  /** What a touch of a mapping meets now: the device, the page of all ones, or SIGBUS. */
  touch(): 'device' | Uint8Array | 'sigbus' {
    if (this.status === 'STARTED') return 'device';
    if (!this.errFf) return 'sigbus';
    this.#allOnes ??= new Uint8Array(this.afu.kernel.pageSize).fill(0xff);
    return this.#allOnes;
  }
}
