/** An AFU (slice): its mode, limits and contexts. The model of struct cxl_afu. */
import { errnos } from '../../shared/errno';
import type {
  AfuDescriptor,
  AfuLogic,
  AfuModel,
  AfuPort,
  MmioWidth,
  ProcessLogic,
} from '../device/model';
import type { Adapter } from './adapter';
import { Context } from './context';
import type { Kernel } from './kernel';

export type AfuMode = 'none' | 'dedicated' | 'directed';
export type PrefaultMode = 'none' | 'work_element_descriptor' | 'all';

/** How a slice is presented, beyond what its model's descriptor says. */
export interface AfuSetup {
  readonly model: AfuModel;
  /** Mode after probing. Default: directed where the model supports it, else dedicated. */
  readonly mode?: AfuMode;
  /** irqs_max after probing. Default: all the adapter can give. */
  readonly interruptsMaximum?: number;
  /** 1, 2 or 3 (today's). */
  readonly apiVersion?: number;
  readonly apiVersionCompatible?: number;
}

export class Afu {
  readonly adapter: Adapter;
  readonly slice: number;
  readonly setup: AfuSetup;
  readonly descriptor: AfuDescriptor;
  readonly port: AfuPort;
  logic: AfuLogic;
  mode: AfuMode = 'none';
  prefault: PrefaultMode = 'none';
  interruptsMaximum: number;
  /** Bytes of a per-process area as sysfs tells; a guest learns it at the first attach. */
  perProcessSize: number;
  /** By process element. */
  readonly contexts = new Map<number, Context>();
  #attachDelay = 0;

  constructor(adapter: Adapter, slice: number, setup: AfuSetup) {
    this.adapter = adapter;
    this.slice = slice;
    this.setup = setup;
    this.descriptor = setup.model.descriptor;
    this.interruptsMaximum = setup.interruptsMaximum ?? adapter.userInterrupts;
    this.perProcessSize = adapter.kernel.guest ? 0 : (this.descriptor.perProcess?.size ?? 0);
    this.port = {
      name: this.name,
      caiaMajor: adapter.caiaMajor,
      sliceError: (error) => this.sliceError(error),
      delayNextAttach: (milliseconds) => {
        this.#attachDelay = milliseconds;
      },
      detachAll: () => this.detachAll(),
      enterErrorState: (milliseconds) => adapter.enterErrorState(milliseconds),
    };
    this.logic = setup.model.powerOn(this.port);
  }

  get kernel(): Kernel {
    return this.adapter.kernel;
  }

  get name(): string {
    return `afu${this.adapter.number}.${this.slice}`;
  }

  get apiVersion(): number {
    return this.setup.apiVersion ?? 3;
  }

  get interruptsMinimum(): number {
    return this.descriptor.interruptsMinimum;
  }

  get modesSupported(): readonly AfuMode[] {
    if (!this.kernel.guest) return this.descriptor.modes;
    // The hypervisor does not tell; the driver goes by the number of processes.
    return this.descriptor.processes === 1 ? ['dedicated'] : ['directed'];
  }

  /** Which device nodes there are: 'd', or 'm' and 's'. */
  get nodes(): readonly ('d' | 'm' | 's')[] {
    if (this.mode === 'dedicated') return ['d'];
    return this.mode === 'directed' ? ['m', 's'] : [];
  }

  get processElements(): number {
    return this.mode === 'dedicated' ? 1 : this.descriptor.processes;
  }

  selectBestMode(): void {
    const best = this.modesSupported.includes('directed') ? 'directed' : this.modesSupported[0];
    this.activate(best ?? 'none');
  }

  activate(mode: AfuMode): number {
    if (mode === 'none') return 0;
    if (!this.modesSupported.includes(mode)) return -errnos.EINVAL;
    if (!this.kernel.guest && !this.adapter.linkOk) return -errnos.EIO;
    if (this.kernel.guest && mode === 'dedicated') return -errnos.EINVAL;
    this.mode = mode;
    this.kernel.log(
      `${this.name}: Activating ${mode === 'directed' ? 'AFU directed' : 'dedicated process'} mode`,
    );
    return 0;
  }

  /** A write to `mode`. What cannot be activated leaves the AFU with no mode at all. */
  changeMode(mode: AfuMode): number {
    this.mode = 'none';
    this.reset();
    return this.activate(mode);
  }

  /** A fresh accelerator. Refused by its callers while contexts exist. */
  reset(): void {
    this.logic = this.setup.model.powerOn(this.port);
  }

  /** open() of a device node, or an in-kernel driver's request. */
  open(master: boolean, inKernel = false): Context | number {
    if (this.mode === 'none') return -errnos.ENODEV;
    if (!inKernel && !this.adapter.linkOk) return -errnos.EIO;
    const processElement = this.#freeProcessElement();
    if (processElement < 0) return -errnos.ENOSPC;
    const context = new Context(this, processElement, master);
    this.contexts.set(processElement, context);
    this.kernel.contextOpened(context);
    return context;
  }

  #freeProcessElement(): number {
    for (let index = 0; index < this.processElements; index++) {
      if (!this.contexts.has(index)) return index;
    }
    return -1;
  }

  /** The context is gone for good, and its process element free again. */
  free(context: Context): void {
    this.contexts.delete(context.processElement);
    this.kernel.contextFreed(context);
    this.adapter.freeWhenUnused();
  }

  /** How many interrupts START_WORK gets for the number it asked for, or -EINVAL. */
  interruptsFor(asked: number | undefined): number {
    if (asked === undefined) return this.interruptsMinimum;
    const allowed = asked >= this.interruptsMinimum && asked <= this.interruptsMaximum;
    return allowed ? asked : -errnos.EINVAL;
  }

  /** What the process element may map, settled as it is attached. */
  assignArea(context: Context): void {
    const { perProcess, problemStateSize } = this.descriptor;
    const own = context.role === 'slave' && perProcess !== undefined;
    context.areaSize = own ? perProcess.size : problemStateSize;
    if (!this.kernel.guest) return;
    this.perProcessSize ||= perProcess?.size ?? 0;
    context.externalProcessElement = this.kernel.guestProcessElement(context.processElement);
  }

  /** A load from `offset` of what the context has mapped. */
  mmioRead(context: Context, offset: number, width: MmioWidth): bigint {
    const place = this.#place(context, offset);
    if (place === undefined) return width === 8 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
    if (place.logic !== undefined) return place.logic.mmioRead(place.offset, width);
    return this.logic.mmioRead?.(offset, width, context.process!.logic) ?? 0n;
  }

  mmioWrite(context: Context, offset: number, width: MmioWidth, value: bigint): void {
    const place = this.#place(context, offset);
    if (place === undefined) return;
    if (place.logic !== undefined) place.logic.mmioWrite(place.offset, width, value);
    else this.logic.mmioWrite?.(offset, width, value, context.process!.logic);
  }

  /**
   * Whose registers lie there: a process's, the AFU's own (no logic), or nobody's: a master
   * sees every per-process area, also those no process element uses.
   */
  #place(
    context: Context,
    offset: number,
  ): { readonly logic?: ProcessLogic; readonly offset: number } | undefined {
    const { perProcess } = this.descriptor;
    if (context.role !== 'master' || perProcess === undefined) {
      return { logic: context.process!.logic, offset };
    }
    if (offset < perProcess.offset) return { offset };
    const index = Math.floor((offset - perProcess.offset) / perProcess.size);
    const logic = this.contexts.get(index)?.process?.logic;
    if (logic === undefined) return undefined;
    return { logic, offset: (offset - perProcess.offset) % perProcess.size };
  }

  /** How long the next START_WORK takes, in milliseconds; asked once. */
  takeAttachDelay(): number {
    const delay = this.#attachDelay;
    this.#attachDelay = 0;
    return delay;
  }

  /** Every context becomes CLOSED, and every mapping of it faults. */
  detachAll(): void {
    for (const context of [...this.contexts.values()]) context.detach();
  }

  sliceError(error: bigint): void {
    this.log('PSL Slice error received. Check AFU for root cause.');
    this.log(`PSL_SERR_An: 0x${error.toString(16).padStart(16, '0')}`);
  }

  log(message: string): void {
    this.kernel.log(`${this.name}: ${message}`);
  }
}
