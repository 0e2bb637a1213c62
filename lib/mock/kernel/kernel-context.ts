/**
 * The in-kernel interface to a context, as an AFU driver such as cxlflash uses it: create,
 * start, hand out a descriptor, deliver events of its own. The model of
 * drivers/misc/cxl/api.c; calls answer as it does, a value or a negative errno.
 */
import { checkInteger } from '../../shared/checks';
import { errnos } from '../../shared/errno';
import { stateError, typeError } from '../../shared/errors';
import type { Afu } from './afu';
import type { Context } from './context';
import type { AfuDriverOps } from './events';
import { OpenFile } from './files';

/** What START_WORK takes of an in-kernel driver. */
export interface KernelStartWork {
  readonly wed: bigint;
  /** Default: irqs_min of the AFU. */
  readonly interrupts?: number;
}

export class KernelContext {
  /** The modelled context, for what a driver reaches into. */
  readonly context: Context;
  #fd: number | undefined;

  private constructor(context: Context) {
    this.context = context;
  }

  /** cxl_dev_context_init: a slave context. -ENOSPC when every process element is taken. */
  static create(afu: Afu): KernelContext | number {
    const context = afu.open(false, true);
    return typeof context === 'number' ? context : new KernelContext(context);
  }

  get processElement(): number {
    return this.context.externalProcessElement;
  }

  get status() {
    return this.context.status;
  }

  /** cxl_set_master; before start. */
  setMaster(): void {
    this.context.master = true;
  }

  /** cxl_allocate_afu_irqs: 0 asks for irqs_min. 0, or -ENOSPC. */
  allocateInterrupts(count: number): number {
    const wanted = count === 0 ? this.context.afu.interruptsMinimum : count;
    const taken = this.context.afu.adapter.takeInterrupts(wanted);
    if (taken < 0) return -errnos.ENOSPC;
    this.context.holdInterrupts(wanted, taken);
    return 0;
  }

  /** cxl_free_afu_irqs. */
  freeInterrupts(): void {
    this.context.releaseInterrupts();
  }

  /** cxl_start_context. 0 (also when it was started before), -EBUSY while locked for a reset, -EIO. */
  start(wed: bigint): number {
    if (this.context.status === 'STARTED') return 0;
    const { adapter } = this.context.afu;
    if (!adapter.contextGet()) return -errnos.EBUSY;
    if (!adapter.linkOk) {
      adapter.contextPut();
      return -errnos.EIO;
    }
    this.context.attach(wed, 0n);
    return 0;
  }

  /** cxl_start_work: interrupts and all. 0, -EINVAL, -ENOSPC, -EBUSY or -EIO. */
  startWork(work: KernelStartWork): number {
    const interrupts = this.context.afu.interruptsFor(work.interrupts);
    if (interrupts < 0) return interrupts;
    const taken = this.context.afu.adapter.takeInterrupts(interrupts);
    if (taken < 0) return -errnos.ENOSPC;
    this.context.holdInterrupts(interrupts, taken);
    const started = this.start(work.wed);
    if (started < 0) this.context.releaseInterrupts();
    return started;
  }

  /** cxl_stop_context: CLOSED from now on. 0, or -EBUSY when it was not started. Wakes nobody. */
  stop(): number {
    return this.context.stop();
  }

  /** cxl_release_context: 0, or -EBUSY while started. Not for one whose descriptor was handed out. */
  release(): number {
    if (this.context.status === 'STARTED') return -errnos.EBUSY;
    this.context.releaseInterrupts();
    this.context.afu.free(this.context);
    return 0;
  }

  /** cxl_get_fd: a descriptor that adopt() takes. -EEXIST the second time; closing it ends the context. */
  getFd(): number {
    if (this.#fd !== undefined) return -errnos.EEXIST;
    const fd = this.context.afu.kernel.install(OpenFile.ofContext(this.context, true));
    if (fd >= 0) this.#fd = fd;
    return fd;
  }

  /**
   * cxl_set_driver_ops.
   *
   * @throws ERR_INVALID_ARG_TYPE unless both callbacks are there: with one alone an event
   *   could be fetched and never accounted for; ERR_INVALID_STATE before API version 2
   */
  setDriverOps(ops: AfuDriverOps): void {
    for (const name of ['fetchEvent', 'eventDelivered'] as const) {
      if (typeof ops?.[name] !== 'function')
        throw typeError(`ops.${name}`, 'a function', ops?.[name]);
    }
    if (this.context.afu.apiVersion < 2) {
      throw stateError('this driver is presented with API version 1: it has no AFU-driver events');
    }
    this.context.setDriverOps(ops);
  }

  /** cxl_context_events_pending: so many new events can be fetched; whoever waits is woken. */
  eventsPending(count: number): void {
    checkInteger('count', count, 0, 0xffff_ffff);
    this.context.driverEventsPending(count);
  }
}
