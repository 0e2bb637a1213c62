/** The modeled kernel as a whole: its adapters, open files and log, and the memory of the process. */
import { OPERANDS_SIZE } from '../../binding/operands';
import { AddressSpace } from '../../emulation/address-space';
import { AllocatedMemory } from '../../emulation/memory';
import type { Traced } from '../../emulation/origin';
import { ERRNOS } from '../../shared/errno';
import { Mutex } from '../../shared/mutex';
import type { MmioWidth } from '../models/afu-model';
import { Scheduler } from '../models/scheduler';
import { type AdapterSetup, CxlAdapter } from './adapter';
import type { CxlAfu } from './afu';
import type { CxlContext } from './context';
import { type FaultOptions, Faults } from './faults';
import type { OpenFile } from './open-file';
import { Timers } from './timers';

export interface KernelOptions {
  /** The driver's backend for PowerVM guests rather than the one for bare metal. */
  readonly guest: boolean;
  /** Bytes: 65536 or 4096. */
  readonly pageSize: number;
  /** How often a guest's driver checks whether its AFUs are in error, in milliseconds. */
  readonly errorPollInterval: number;
  /** How long an attach may take before START_WORK fails with EBUSY, in milliseconds. */
  readonly attachTimeout: number;
  /** Whether there are links /dev/cxl/afuX.Y, which many udev rules make. */
  readonly udevLinks: boolean;
  readonly faults: FaultOptions;
}

/** What happens to a context. */
export type ContextChange = 'open' | 'attach' | 'wait' | 'detach' | 'close';

/** An access of a program to registers. */
export interface MmioAccess {
  /** Whether it was a load or a store. */
  readonly access: 'load' | 'store';
  /** Bytes from the start of the area that the context maps. */
  readonly offset: number;
  /** Bytes. */
  readonly width: MmioWidth;
  /** What was loaded or stored. */
  readonly value: bigint;
}

const LOG_LIMIT = 1000;
const THREAD_ID = 1;
/** Modeled descriptors start above those that the process really has. */
const FIRST_FD = 4096;
/** The first process element of a guest, as observed on the real driver. */
const FIRST_GUEST_PROCESS_ELEMENT = 32;

export class Kernel {
  readonly options: KernelOptions;
  readonly addressSpace: AddressSpace;
  readonly memory: AllocatedMemory;
  /** Binding.operands. */
  readonly operands = new SharedArrayBuffer(OPERANDS_SIZE);
  readonly scheduler = new Scheduler();
  readonly timers = new Timers();
  /**
   * One /dev/cxl/cardN is open at a time, of all cards: the open() of another waits for the close,
   * even with O_NONBLOCK (flash.c, device_open).
   */
  readonly imageSemaphore = new Mutex();
  readonly faults: Faults;
  readonly adapters = new Map<number, CxlAdapter>();
  readonly files = new Map<number, OpenFile>();
  readonly messages: string[] = [];
  /** By real path: the text that a sysfs attribute has instead of its own; undefined: it is absent. */
  readonly attributeOverrides = new Map<string, string | undefined>();
  /** The mappings of problem state areas. */
  readonly mappings = new Set<Traced>();
  /** The waits for events. */
  readonly waits = new Set<Traced>();
  /** The open nodes of other drivers: flash devices. */
  readonly openNodes = new Set<Traced>();
  /** Called at each access of a program to registers. */
  readonly accessWatchers = new Set<(access: MmioAccess, context: CxlContext) => void>();
  #woken = false;
  /** Called at each change of a context. */
  readonly watchers = new Set<(change: ContextChange, context: CxlContext) => void>();

  constructor(options: KernelOptions) {
    this.options = options;
    this.addressSpace = new AddressSpace(options.pageSize);
    this.faults = new Faults(options.faults);
    this.memory = new AllocatedMemory({
      addressSpace: this.addressSpace,
      operands: this.operands,
      poke: () => this.scheduler.poke(),
    });
  }

  get guest(): boolean {
    return this.options.guest;
  }

  get pageSize(): number {
    return this.options.pageSize;
  }

  get errorPollInterval(): number {
    return this.options.errorPollInterval;
  }

  /** The driver finds a card. The adapter gets the lowest free number. */
  probe(setup: AdapterSetup): CxlAdapter {
    let number = 0;
    while (this.adapters.has(number)) number += 1;
    const adapter = new CxlAdapter(this, number, setup);
    this.adapters.set(number, adapter);
    return adapter;
  }

  /** Called when the adapter is unbound and its last context is closed. */
  releaseAdapterNumber(adapter: CxlAdapter): void {
    if (this.adapters.get(adapter.number) === adapter) this.adapters.delete(adapter.number);
  }

  get boundAdapters(): CxlAdapter[] {
    return [...this.adapters.values()].filter((adapter) => adapter.bound);
  }

  afu(card: number, slice: number): CxlAfu | undefined {
    const adapter = this.adapters.get(card);
    return adapter?.bound ? adapter.afu(slice) : undefined;
  }

  /** Gives a file the lowest free descriptor, or -EMFILE. */
  install(file: OpenFile): number {
    if (this.faults.happens('descriptors')) return -ERRNOS.EMFILE;
    let fd = FIRST_FD;
    while (this.files.has(fd)) fd += 1;
    this.files.set(fd, file);
    return fd;
  }

  /** close(2). The file stays open while it is mapped. */
  closeFd(fd: number): number {
    const file = this.files.get(fd);
    if (file === undefined) return -ERRNOS.EBADF;
    this.files.delete(fd);
    file.put();
    return 0;
  }

  contextOpened(context: CxlContext): void {
    this.#notify('open', context);
  }

  contextAttached(context: CxlContext): void {
    this.#notify('attach', context);
  }

  contextDetached(context: CxlContext): void {
    this.#notify('detach', context);
  }

  contextFreed(context: CxlContext): void {
    this.#notify('close', context);
  }

  waitBegan(context: CxlContext, wait: Traced): void {
    this.waits.add(wait);
    this.#notify('wait', context);
  }

  /** A program accessed registers. */
  accessed(context: CxlContext, access: MmioAccess): void {
    for (const watcher of [...this.accessWatchers]) watcher(access, context);
  }

  #notify(change: ContextChange, context: CxlContext): void {
    for (const watcher of [...this.watchers]) watcher(change, context);
  }

  /** The number that the hypervisor has for a process element. */
  guestProcessElement(index: number): number {
    return FIRST_GUEST_PROCESS_ELEMENT + index;
  }

  /** The id by which an AFU wakes the calling thread: the one thread of the mock. */
  threadId(): number {
    return THREAD_ID;
  }

  /** An AFU wakes the thread; if it does not wait, its next wait ends at once. */
  wakeThread(): void {
    this.#woken = true;
  }

  /** Whether the thread was woken since the last call. */
  takeWakeup(): boolean {
    const woken = this.#woken;
    this.#woken = false;
    return woken;
  }

  /** Adds a line to the driver's log, which keeps the newest 1000. */
  log(message: string): void {
    this.messages.push(message);
    if (this.messages.length > LOG_LIMIT) this.messages.shift();
  }
}
