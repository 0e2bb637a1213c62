/** An AFU (slice): its mode, its limits and its contexts. The model of struct cxl_afu. */
import { ALL_ONES_32, ALL_ONES_64 } from '../../shared/all-ones';
import { ERRNOS } from '../../shared/errno';
import type {
  AfuDescriptor,
  AfuLogic,
  AfuModel,
  AfuPort,
  MmioWidth,
  ProcessLogic,
} from '../models/afu-model';
import type { CxlAdapter } from './adapter';
import { CxlContext } from './context';
import type { Kernel } from './kernel';
import type { ProcessElement } from './process-element';

/** What an MMIO load reads when no device answers. */
export const ALL_ONES = { 4: BigInt(ALL_ONES_32), 8: ALL_ONES_64 } as const;

/** The programming model of an AFU in the mock. */
export type MockAfuMode = 'none' | 'dedicated' | 'directed';
export type PrefaultMode = 'none' | 'work_element_descriptor' | 'all';

/** The AFU of a slice: its model, and what the model's descriptor does not say. */
export interface AfuSetup {
  readonly model: AfuModel;
  /** Mode after probing. Default: directed where the model supports it, else dedicated. */
  readonly mode?: MockAfuMode;
  /**
   * irqs_max after probing. In a guest it is the limit of irqs_max too, which the hypervisor sets
   * for each AFU (ibm,max-ints-per-process). Default: all AFU interrupts of the adapter.
   */
  readonly interruptsMaximum?: number;
  /** The driver's API version: 1, 2 or 3. Default 3. */
  readonly apiVersion?: number;
  readonly apiVersionCompatible?: number;
}

export class CxlAfu {
  readonly adapter: CxlAdapter;
  readonly slice: number;
  readonly setup: AfuSetup;
  readonly descriptor: AfuDescriptor;
  readonly port: AfuPort;
  logic: AfuLogic;
  mode: MockAfuMode = 'none';
  prefault: PrefaultMode = 'none';
  interruptsMaximum: number;
  /**
   * False while an in-kernel driver resets the AFU (MockAfu.disable()). An attach enables it; before
   * the first one nothing depends on it.
   */
  enabled = true;
  /** Bytes of a per-process area as sysfs has it. In a guest 0 until the first attach. */
  perProcessSize: number;
  /** By process element. */
  readonly contexts = new Map<number, CxlContext>();
  /** Process elements that the accelerator kept when their contexts were detached, by index. */
  readonly #kept = new Map<number, ProcessElement>();
  #attachDelay = 0;

  constructor(adapter: CxlAdapter, slice: number, setup: AfuSetup) {
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

  /** The highest value that can be written to irqs_max (sysfs.c, irqs_max_store). */
  get interruptsLimit(): number {
    const { guest } = this.kernel;
    const limit = guest ? this.setup.interruptsMaximum : undefined;
    return limit ?? this.adapter.userInterrupts;
  }

  get modesSupported(): readonly MockAfuMode[] {
    if (!this.kernel.guest) return this.descriptor.modes;
    // The hypervisor does not say which modes there are. The driver derives the mode from the
    // number of processes.
    return this.descriptor.processes === 1 ? ['dedicated'] : ['directed'];
  }

  /** The suffixes of the device nodes: 'd', or 'm' and 's'. */
  get nodes(): readonly ('d' | 'm' | 's')[] {
    if (this.mode === 'dedicated') return ['d'];
    return this.mode === 'directed' ? ['m', 's'] : [];
  }

  get processElements(): number {
    return this.mode === 'dedicated' ? 1 : this.descriptor.processes;
  }

  /**
   * Activates the AFU's first mode. -errno: the driver cannot, and removes the AFU. In a guest that
   * is an AFU of one process (guest.c, cxl_guest_init_afu).
   */
  probe(): number {
    if (this.kernel.guest && this.modesSupported.includes('dedicated')) {
      this.log('Dedicated mode not supported');
      this.adapter.kernel.log(`AFU ${this.slice} failed to initialise: ${-ERRNOS.EINVAL}`);
      return -ERRNOS.EINVAL;
    }
    if (this.setup.mode === undefined) this.selectBestMode();
    else this.activate(this.setup.mode);
    return 0;
  }

  selectBestMode(): void {
    const best = this.modesSupported.includes('directed') ? 'directed' : this.modesSupported[0];
    this.activate(best ?? 'none');
  }

  activate(mode: MockAfuMode): number {
    if (mode === 'none') return 0;
    if (!this.modesSupported.includes(mode)) return -ERRNOS.EINVAL;
    if (!this.kernel.guest && !this.adapter.linkOk) return -ERRNOS.EIO;
    this.mode = mode;
    this.kernel.log(
      `${this.name}: Activating ${mode === 'directed' ? 'AFU directed' : 'dedicated process'} mode`,
    );
    return 0;
  }

  /** Leaves the mode: the AFU is disabled, which ends what it had kept. */
  deactivate(): void {
    this.mode = 'none';
    this.#stopKept();
  }

  /** A write to `mode`. When the mode cannot be activated, the AFU has none. */
  changeMode(mode: MockAfuMode): number {
    this.deactivate();
    this.reset();
    return this.activate(mode);
  }

  /**
   * Resets the AFU: its logic starts anew. Callers make sure that it has no context. 0, or -EIO: on
   * bare metal the link is down (native.c, afu_control).
   */
  reset(): number {
    this.#stopKept();
    if (!this.kernel.guest && !this.adapter.linkOk) return -ERRNOS.EIO;
    this.logic = this.setup.model.powerOn(this.port);
    return 0;
  }

  #stopKept(): void {
    for (const process of this.#kept.values()) process.stop();
    this.#kept.clear();
  }

  /** The accelerator does not give up a process element: it runs until the AFU is reset. */
  keep(process: ProcessElement): void {
    this.#kept.set(process.index, process);
  }

  /** Process elements that run although their contexts were detached. */
  get keptElements(): number[] {
    return [...this.#kept.keys()];
  }

  /** A process element is added in place of one that was kept. The first one enables the AFU. */
  added(process: ProcessElement): void {
    this.#kept.get(process.index)?.stop();
    this.#kept.delete(process.index);
    this.enabled = true;
  }

  /** open() of a device node, or cxl_dev_context_init() of an in-kernel driver. */
  open(master: boolean, inKernel = false): CxlContext | number {
    if (this.mode === 'none') return -ERRNOS.ENODEV;
    if (!inKernel && !this.adapter.linkOk) return -ERRNOS.EIO;
    const processElement = this.#freeProcessElement();
    if (processElement < 0) return -ERRNOS.ENOSPC;
    const context = new CxlContext(this, processElement, master);
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

  /** Frees a context and its process element. */
  free(context: CxlContext): void {
    this.contexts.delete(context.processElement);
    this.kernel.contextFreed(context);
    this.adapter.freeWhenUnused();
  }

  /** How many interrupts a START_WORK gets that asks for so many, or -EINVAL. */
  interruptsFor(asked: number | undefined): number {
    if (asked === undefined) return this.interruptsMinimum;
    const allowed = asked >= this.interruptsMinimum && asked <= this.interruptsMaximum;
    return allowed ? asked : -ERRNOS.EINVAL;
  }

  /** Sets how much a context may map, as it is attached. */
  assignArea(context: CxlContext): void {
    const { perProcess, problemStateSize } = this.descriptor;
    const own = context.role === 'slave' && perProcess !== undefined;
    context.areaSize = own ? perProcess.size : problemStateSize;
    if (!this.kernel.guest) return;
    this.perProcessSize ||= perProcess?.size ?? 0;
    context.externalProcessElement = this.kernel.guestProcessElement(context.processElement);
  }

  /** A load from `offset` of the area that the context has mapped. */
  mmioRead(context: CxlContext, offset: number, width: MmioWidth): bigint {
    const place = this.#place(context, offset);
    if (place === undefined) return ALL_ONES[width];
    if (place.logic !== undefined) return place.logic.mmioRead(place.offset, width);
    return this.logic.mmioRead?.(offset, width, context.process!.logic) ?? 0n;
  }

  mmioWrite(context: CxlContext, offset: number, width: MmioWidth, value: bigint): void {
    const place = this.#place(context, offset);
    if (place === undefined) return;
    if (place.logic !== undefined) place.logic.mmioWrite(place.offset, width, value);
    else this.logic.mmioWrite?.(offset, width, value, context.process!.logic);
  }

  /**
   * Whose registers are at an offset: those of a process; those of the AFU as a whole (no logic);
   * or undefined, in a per-process area without a process, which a master can map too.
   */
  #place(
    context: CxlContext,
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

  /** How long this START_WORK takes, in milliseconds. Resets the delay. */
  takeAttachDelay(): number {
    const delay = this.#attachDelay;
    this.#attachDelay = 0;
    return delay;
  }

  /** Detaches every context: it is CLOSED, and accesses to its mappings fault. */
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
