/** The modelled kernel: the cards it knows, its open files, its log. */
import { OPERANDS_SIZE } from '../../binding/operands';
import { errnos } from '../../shared/errno';
import { MemoryPool } from '../binding/memory';
import { type FaultOptions, Faults } from '../device/faults';
import { Scheduler } from '../device/scheduler';
import { Adapter, type AdapterSetup } from './adapter';
import { AddressSpace } from './address-space';
import type { Afu } from './afu';
import type { Context } from './context';
import type { OpenFile } from './files';

export interface KernelOptions {
  /** The PowerVM guest backend of the driver rather than bare metal. */
  readonly guest: boolean;
  /** Bytes: 65536 or 4096. */
  readonly pageSize: number;
  /** How often a guest's driver looks whether its AFUs are in error, in milliseconds. */
  readonly errorPollInterval: number;
  /** How long the hardware may take over an attach before START_WORK is EBUSY, in milliseconds. */
  readonly attachTimeout: number;
  /** Installs the /dev/cxl/afuX.Y links that many udev rules make. */
  readonly udevLinks: boolean;
  readonly faults: FaultOptions;
}

/** What happens to contexts, for expectations. */
export type ContextHappening = 'open' | 'attach' | 'detach' | 'close';

const logLimit = 1000;
/** Descriptors start well above the process's real ones, which these are not. */
const firstFd = 4096;
/** What PAPR numbers process elements from, as seen on the true driver. */
const firstGuestProcessElement = 32;

export class Kernel {
  readonly options: KernelOptions;
  readonly addressSpace: AddressSpace;
  readonly memory: MemoryPool;
  /** Binding.operands. */
  readonly operands = new SharedArrayBuffer(OPERANDS_SIZE);
  readonly scheduler = new Scheduler();
  readonly faults: Faults;
  readonly adapters = new Map<number, Adapter>();
  readonly files = new Map<number, OpenFile>();
  readonly messages: string[] = [];
  /** Attributes that show another text, or (undefined) are not there, by their resolved path. */
  readonly oddAttributes = new Map<string, string | undefined>();
  /** Live mappings of problem state areas. */
  mappings = 0;
  /** Told of each change of a context. */
  readonly watchers = new Set<(happening: ContextHappening, context: Context) => void>();
  #attached = 0;
  #threadId = 0;

  constructor(options: KernelOptions) {
    this.options = options;
    this.addressSpace = new AddressSpace(options.pageSize);
    this.faults = new Faults(options.faults);
    this.memory = new MemoryPool({
      addressSpace: this.addressSpace,
      operands: this.operands,
      poke: () => this.scheduler.poke(),
      attached: () => this.#attached > 0,
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

  /** The driver finds a card: it takes the lowest free number. */
  probe(setup: AdapterSetup): Adapter {
    let number = 0;
    while (this.adapters.has(number)) number += 1;
    const adapter = new Adapter(this, number, setup);
    this.adapters.set(number, adapter);
    return adapter;
  }

  /** A number stays taken while a context of the old adapter is still open. */
  releaseAdapterNumber(adapter: Adapter): void {
    if (this.adapters.get(adapter.number) === adapter) this.adapters.delete(adapter.number);
  }

  get boundAdapters(): Adapter[] {
    return [...this.adapters.values()].filter((adapter) => adapter.bound);
  }

  afu(card: number, slice: number): Afu | undefined {
    const adapter = this.adapters.get(card);
    return adapter?.bound ? adapter.afus[slice] : undefined;
  }

  /** The lowest free descriptor, or -EMFILE. */
  install(file: OpenFile): number {
    if (this.faults.happens('descriptors')) return -errnos.EMFILE;
    let fd = firstFd;
    while (this.files.has(fd)) fd += 1;
    this.files.set(fd, file);
    return fd;
  }

  /** close(2) on the descriptor: the file lives on while it is mapped. */
  closeFd(fd: number): number {
    const file = this.files.get(fd);
    if (file === undefined) return -errnos.EBADF;
    this.files.delete(fd);
    file.put();
    return 0;
  }

  contextOpened(context: Context): void {
    this.#tell('open', context);
  }

  contextAttached(context: Context): void {
    this.#attached += 1;
    if (this.#attached === 1) this.memory.pin();
    this.#tell('attach', context);
  }

  contextDetached(context: Context): void {
    this.#attached -= 1;
    if (this.#attached === 0) this.memory.unpin();
    this.#tell('detach', context);
  }

  contextFreed(context: Context): void {
    this.#tell('close', context);
  }

  #tell(happening: ContextHappening, context: Context): void {
    for (const watcher of [...this.watchers]) watcher(happening, context);
  }

  guestProcessElement(index: number): number {
    return firstGuestProcessElement + index;
  }

  /** What the AFU is told to wake the calling thread: assigned at its first use. */
  threadId(): number {
    this.#threadId ||= 1;
    return this.#threadId;
  }

  /** What the driver would print; the newest 1000 lines. */
  log(message: string): void {
    this.messages.push(message);
    if (this.messages.length > logLimit) this.messages.shift();
  }
}
