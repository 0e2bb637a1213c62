/**
 * A context: OPENED, then STARTED, then CLOSED. The model of struct cxl_context and of the file
 * operations on it (drivers/misc/cxl/context.c, file.c). Its methods return what the system calls
 * return: a value or a negative errno.
 */
import {
  AFU_ID_FLAGS,
  type AfuIoctls,
  START_WORK_FLAGS,
  type StartWork,
} from '../../binding/cxl-ioctls';
import { CXL_READ_MIN_SIZE } from '../../emulation/event-bytes';
import { ALL_ONES_32 } from '../../shared/all-ones';
import { ERRNOS } from '../../shared/errno';
import type { ContextRole } from '../models/afu-model';
import type { CxlAfu } from './afu';
import { type AfuDriverOps, PendingEvents } from './events';
import type { FaultPlace } from './fault-spec';
import type { KernelContext } from './kernel-context';
import { ProcessElement } from './process-element';

/** The state of a context, as enum cxl_context_status in drivers/misc/cxl/cxl.h has it. */
export type ContextStatus = 'OPENED' | 'STARTED' | 'CLOSED';

/** What GET_PROCESS_ELEMENT of a guest returns before the attach: -1 as an unsigned number. */
const NO_PROCESS_ELEMENT = ALL_ONES_32;

/** A START_WORK that passed its checks and has its interrupts; the hardware is not asked yet. */
export interface PreparedStart {
  readonly work: StartWork;
  readonly interrupts: number;
  /** What takeInterrupts() of the adapter returned. */
  readonly taken: number;
}

/**
 * What another driver does in place of this one with mappings of a descriptor that it hands out: the
 * file operations it gave cxl_get_fd().
 */
export interface MappingOps {
  /** 0, or why the descriptor cannot be mapped. */
  mmap(): number;
  /** What is behind a page from now on that is not present; undefined: what this driver says. */
  fault(): 'ones' | 'sigbus' | undefined;
}

export class CxlContext {
  readonly afu: CxlAfu;
  /** The driver's index, from 0. Events carry it. */
  readonly processElement: number;
  /** What GET_PROCESS_ELEMENT returns: on bare metal the same, in a guest the hypervisor's number. */
  externalProcessElement: number;
  master: boolean;
  status: ContextStatus = 'OPENED';
  process: ProcessElement | undefined;
  /** By which the AFU wakes the thread that attached; 0: it cannot. */
  threadId = 0;
  /** Bytes of the problem state area that this context may map. 0 before the attach. */
  areaSize = 0;
  /** START_WORK had the flag ERR_FF: mappings read as all ones after a detach. */
  errFf = false;
  /** Set for a context of another driver that has such operations. */
  mappingOps: MappingOps | undefined;
  /** How often the pages of all mappings were taken away: the next access to each is a fault. */
  unmappings = 0;
  /** With ERR_FF every page of a mapping is this ordinary page of memory after a detach. */
  #errorPage: Uint8Array | undefined;
  #takenInterrupts = 0;
  readonly #dedicated: boolean;
  readonly #pending = new PendingEvents();
  readonly #wakeups = new Set<() => void>();

  constructor(afu: CxlAfu, processElement: number, master: boolean) {
    this.afu = afu;
    this.processElement = processElement;
    this.externalProcessElement = afu.kernel.guest ? NO_PROCESS_ELEMENT : processElement;
    this.master = master;
    this.#dedicated = afu.mode === 'dedicated';
  }

  /** By the node that it was opened by: a context outlives the mode of its AFU. */
  get role(): ContextRole {
    if (this.#dedicated) return 'dedicated';
    return this.master ? 'master' : 'slave';
  }

  get interrupts(): number {
    return this.#pending.interruptCount;
  }

  /** Where a fault of this context happens. */
  get place(): FaultPlace {
    const { name, adapter } = this.afu;
    const node = `${name}${this.role[0]}`;
    const devices = [`card${adapter.number}`, name, node];
    return { devices, processElement: this.processElement, context: this };
  }

  /** The check that every ioctl makes first: 0 or -EIO. */
  #checkIoctl(): number {
    return this.status === 'CLOSED' || !this.afu.adapter.linkOk ? -ERRNOS.EIO : 0;
  }

  ioctlProcessElement(): AfuIoctls['GET_PROCESS_ELEMENT']['answer'] | number {
    return this.#checkIoctl() || { processElement: this.externalProcessElement };
  }

  ioctlAfuId(): AfuIoctls['GET_AFU_ID']['answer'] | number {
    const refused = this.#checkIoctl();
    if (refused) return refused;
    return {
      flags: this.role === 'slave' ? AFU_ID_FLAGS.SLAVE : 0n,
      cardId: this.afu.adapter.number,
      afuOffset: this.afu.slice,
      // An AFU without a mode has no context that is not CLOSED.
      afuMode: this.#dedicated ? 1 : 2,
    };
  }

  /** START_WORK up to the request to the hardware: its checks, in the driver's order. */
  prepareStart(work: StartWork): PreparedStart | number {
    const refused = this.#checkIoctl();
    if (refused) return refused;
    if (this.status !== 'OPENED') return -ERRNOS.EIO;
    const wantsTid = (work.flags & START_WORK_FLAGS.TID) !== 0n;
    if (wantsTid && this.afu.apiVersion < 3) return -ERRNOS.EINVAL;
    const wantsInterrupts = (work.flags & START_WORK_FLAGS.NUM_IRQS) !== 0n;
    const interrupts = this.afu.interruptsFor(wantsInterrupts ? work.numInterrupts : undefined);
    if (interrupts < 0) return interrupts;
    const taken = this.afu.adapter.takeInterrupts(interrupts);
    if (taken < 0) return -ERRNOS.ENOSPC;
    if (!this.afu.adapter.contextGet()) {
      this.afu.adapter.releaseInterrupts(taken);
      return -ERRNOS.EBUSY;
    }
    return { work, interrupts, taken };
  }

  /** START_WORK fails after prepareStart(): gives back what that took. */
  abandonStart(start: PreparedStart): void {
    this.afu.adapter.releaseInterrupts(start.taken);
    this.afu.adapter.contextPut();
  }

  /** START_WORK after the hardware's answer. The thread id is 0 where there is none. */
  finishStart(start: PreparedStart): AfuIoctls['START_WORK']['answer'] | number {
    if (this.status !== 'OPENED' || !this.afu.adapter.linkOk) {
      this.abandonStart(start);
      return -ERRNOS.EIO;
    }
    const { flags, workElementDescriptor, amr = 0n } = start.work;
    this.errFf = (flags & START_WORK_FLAGS.ERR_FF) !== 0n;
    this.assignInterrupts(start.interrupts, start.taken);
    this.attach(workElementDescriptor, (flags & START_WORK_FLAGS.AMR) !== 0n ? amr : 0n);
    // Only PSL9 on bare metal can wake a thread.
    const canWake = this.afu.adapter.caiaMajor === 2 && !this.afu.kernel.guest;
    const wantsTid = (flags & START_WORK_FLAGS.TID) !== 0n;
    this.threadId = wantsTid && canWake ? this.afu.kernel.threadId() : 0;
    return { tid: this.threadId };
  }

  /** Gives the context its AFU interrupts. `taken`: as takeInterrupts() returned. */
  assignInterrupts(interrupts: number, taken: number): void {
    this.#pending.setInterruptCount(interrupts);
    this.#takenInterrupts = taken;
  }

  /** Adds the process element. The caller has counted the context (contextGet()). */
  attach(wed: bigint, amr: bigint): void {
    this.afu.assignArea(this);
    this.process = new ProcessElement(this, wed, amr);
    this.afu.added(this.process);
    this.status = 'STARTED';
    this.afu.kernel.contextAttached(this);
    this.process.start();
  }

  /** The checks of mmap(): 0, or why `length` bytes at `offset` cannot be mapped. */
  checkMap(offset: number, length: number): number {
    const refused = this.mappingOps?.mmap() ?? 0;
    if (refused) return refused;
    if (this.status !== 'STARTED' || !this.afu.adapter.linkOk) return -ERRNOS.EIO;
    const { pageSize } = this.afu.kernel;
    const end = offset + Math.ceil(length / pageSize) * pageSize;
    if (end > this.areaSize || offset % pageSize !== 0) return -ERRNOS.EINVAL;
    const { problemStateSize, perProcess } = this.afu.descriptor;
    const directed = this.role !== 'dedicated';
    if (problemStateSize === 0 || (directed && perProcess === undefined)) return -ERRNOS.EINVAL;
    // With PSL8 the driver does not check a dedicated AFU.
    const checked = directed || this.afu.adapter.caiaMajor === 2;
    return checked && !this.afu.enabled ? -ERRNOS.EBUSY : 0;
  }

  /** read() of a non-blocking file: bytes read, or -errno. */
  read(target: Uint8Array): number {
    if (!this.afu.adapter.linkOk) return -ERRNOS.EIO;
    if (target.length < CXL_READ_MIN_SIZE) return -ERRNOS.EINVAL;
    if (this.#pending.any) {
      const copyFails = this.afu.kernel.faults.happens('copy', this.place);
      return this.#pending.take(target, this.processElement, copyFails);
    }
    return this.status === 'CLOSED' ? -ERRNOS.EIO : -ERRNOS.EAGAIN;
  }

  poll(): { readonly readable: boolean; readonly error: boolean } {
    const readable = this.#pending.any;
    return { readable, error: !readable && this.status === 'CLOSED' };
  }

  /** Whether anything waits in poll(). */
  get waiting(): boolean {
    return this.#wakeups.size > 0;
  }

  /** Calls back at every change that wakes poll(), until the returned function is called. */
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

  setDriverOps(ops: AfuDriverOps, context: KernelContext): void {
    this.#pending.setDriverOps(ops, context);
  }

  driverEventsPending(count: number): void {
    this.#pending.addDriverEvents(count);
    this.#wake();
  }

  /** Detaches without waking poll(). -EBUSY when the context was not attached. */
  stop(): number {
    const before = this.status;
    this.status = 'CLOSED';
    if (before !== 'STARTED') return -ERRNOS.EBUSY;
    this.#removeProcess(this.process!);
    this.process = undefined;
    this.afu.adapter.contextPut();
    this.afu.kernel.contextDetached(this);
    return 0;
  }

  /**
   * Removes the process element. If the accelerator does not give it up, the driver only warns: the
   * context is CLOSED and its interrupts are released, but the AFU goes on with its work
   * (context.c, __detach_context).
   */
  #removeProcess(process: ProcessElement): void {
    const { kernel, adapter } = this.afu;
    // The end of a dedicated process is a reset of the AFU, whose failure the driver ignores.
    const directed = this.role !== 'dedicated';
    if (directed && adapter.linkOk && kernel.faults.happens('detach', this.place)) {
      kernel.log(`WARNING: ${this.afu.name} keeps process element ${this.processElement}`);
      this.afu.keep(process);
      return;
    }
    process.stop();
  }

  /** Detaches, and wakes poll() if the context was attached. */
  detach(): void {
    if (this.stop() < 0) return;
    this.unmappings += 1;
    this.releaseInterrupts();
    this.#wake();
  }

  /** afu_release_irqs */
  releaseInterrupts(): void {
    this.freeInterrupts();
    this.#pending.setInterruptCount(0);
  }

  /** cxl_free_afu_irqs: the context keeps its number of interrupts, and those that are pending. */
  freeInterrupts(): void {
    this.afu.adapter.releaseInterrupts(this.#takenInterrupts);
    this.#takenInterrupts = 0;
  }

  /** What an access to a mapping reaches now: the device, the ERR_FF page, or SIGBUS. */
  touch(): 'device' | Uint8Array | 'sigbus' {
    if (this.status === 'STARTED') return 'device';
    return this.errFf ? this.errorPage() : 'sigbus';
  }

  errorPage(): Uint8Array {
    this.#errorPage ??= new Uint8Array(this.afu.kernel.pageSize).fill(0xff);
    return this.#errorPage;
  }
}
