/**
 * The in-kernel API of the cxl driver: how another driver such as cxlflash creates a context,
 * starts it, gives a program a descriptor of it and delivers events of its own to it. The model of
 * drivers/misc/cxl/api.c. Methods return what its functions return: a value or a negative errno.
 */
import { checkInteger, checkOptions, checkUint64, type OptionNames } from '../../shared/checks';
import { ERRNOS } from '../../shared/errno';
import { stateError, typeError } from '../../shared/errors';
import type { CxlAfu } from './afu';
import type { CxlContext } from './context';
import type { AfuDriverOps } from './events';
import { OpenFile } from './open-file';

/** What an in-kernel driver gives cxl_start_work(). */
export interface KernelStartWork {
  /** Work element descriptor. */
  readonly wed: bigint;
  /** Default: irqs_min of the AFU. */
  readonly interrupts?: number | undefined;
}
const START_WORK: OptionNames<KernelStartWork> = { wed: true, interrupts: true };

/**
 * A context that an in-kernel driver made with cxl_dev_context_init().
 *
 * @example
 * import { createMockCxl } from 'node-cxl/mock';
 *
 * const system = createMockCxl();
 * const kernel = system.card(0).afu(0).createKernelContext();
 * kernel.startWork({ wed: 0n, interrupts: 4 });
 * const context = system.adopt(kernel.getFd(), { owned: true }); // as of cxlflash's ATTACH
 * console.log(context.attached); // true
 * await context.close();
 */
export class KernelContext {
  /**
   * The model of the context itself, for tests of the mock.
   *
   * @hidden
   */
  readonly context: CxlContext;
  #fd: number | undefined;

  private constructor(context: CxlContext) {
    this.context = context;
  }

  /** cxl_dev_context_init: a slave context. -ENOSPC no process element is free, -ENODEV no mode. */
  static create(afu: CxlAfu): KernelContext | number {
    const context = afu.open(false, true);
    return typeof context === 'number' ? context : new KernelContext(context);
  }

  /** The process element, as cxl_process_element() returns it. */
  get processElement(): number {
    return this.context.externalProcessElement;
  }

  /** The state of the context. */
  get status() {
    return this.context.status;
  }

  /** cxl_set_master; before start. */
  setMaster(): void {
    this.context.master = true;
  }

  /** cxl_allocate_afu_irqs: 0 asks for irqs_min. 0, or -ENOSPC. */
  allocateInterrupts(count: number): number {
    checkInteger('count', count, 0, 0xffff);
    const wanted = count === 0 ? this.context.afu.interruptsMinimum : count;
    const taken = this.context.afu.adapter.takeInterrupts(wanted);
    if (taken < 0) return -ERRNOS.ENOSPC;
    this.context.assignInterrupts(wanted, taken);
    return 0;
  }

  /**
   * cxl_free_afu_irqs: the card has them back. As in the driver, the context's number of interrupts
   * stays, so that an interrupt which is pending is still delivered by its number.
   */
  freeInterrupts(): void {
    this.context.freeInterrupts();
  }

  /** cxl_start_context. 0 (also when it is started already); -EBUSY locked for a reset; -EIO. */
  start(wed: bigint): number {
    checkUint64('wed', wed);
    if (this.context.status === 'STARTED') return 0;
    const { adapter } = this.context.afu;
    if (!adapter.contextGet()) return -ERRNOS.EBUSY;
    if (!adapter.linkOk) {
      adapter.contextPut();
      return -ERRNOS.EIO;
    }
    this.context.attach(wed, 0n);
    return 0;
  }

  /** cxl_start_work: takes interrupts and starts. 0, -EINVAL, -ENOSPC, -EBUSY or -EIO. */
  startWork(work: KernelStartWork): number {
    const { wed, interrupts: wanted } = checkOptions(work, START_WORK, 'work');
    checkUint64('work.wed', wed);
    if (wanted !== undefined) checkInteger('work.interrupts', wanted, 0, 0xffff);
    const interrupts = this.context.afu.interruptsFor(wanted);
    if (interrupts < 0) return interrupts;
    const taken = this.context.afu.adapter.takeInterrupts(interrupts);
    if (taken < 0) return -ERRNOS.ENOSPC;
    this.context.assignInterrupts(interrupts, taken);
    const started = this.start(wed);
    if (started < 0) this.context.releaseInterrupts();
    return started;
  }

  /** cxl_stop_context: CLOSED from now on; poll() is not woken. 0, or -EBUSY: it was not started. */
  stop(): number {
    return this.context.stop();
  }

  /**
   * cxl_release_context, for a context without a descriptor. 0, or -EBUSY: it is started. It frees
   * no interrupts: those not given back by freeInterrupts() are lost until the driver is bound
   * again.
   */
  release(): number {
    if (this.context.status === 'STARTED') return -ERRNOS.EBUSY;
    this.context.afu.free(this.context);
    return 0;
  }

  /**
   * cxl_get_fd: a descriptor for adopt(). -EEXIST the second time. The close of the descriptor
   * frees the context.
   */
  getFd(): number {
    if (this.#fd !== undefined) return -ERRNOS.EEXIST;
    const fd = this.context.afu.kernel.install(OpenFile.ofContext(this.context, true));
    if (fd >= 0) this.#fd = fd;
    return fd;
  }

  /**
   * cxl_set_driver_ops.
   *
   * @throws ERR_INVALID_ARG_TYPE unless both callbacks are functions; ERR_INVALID_STATE with API
   *   version 1
   */
  setDriverOps(ops: AfuDriverOps): void {
    for (const name of ['fetchEvent', 'eventDelivered'] as const) {
      if (typeof ops?.[name] !== 'function')
        throw typeError(`ops.${name}`, 'a function', ops?.[name]);
    }
    if (this.context.afu.apiVersion < 2) {
      throw stateError('API version 1 of the driver has no AFU-driver events');
    }
    this.context.setDriverOps(ops, this);
  }

  /** cxl_context_events_pending: so many more events can be fetched. Wakes poll(). */
  eventsPending(count: number): void {
    checkInteger('count', count, 0, 2 ** 32 - 1);
    this.context.driverEventsPending(count);
  }
}
