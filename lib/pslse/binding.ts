/** A PSLSE daemon as a backend: the seam of lib/binding over its protocol. */
import type {
  AfuFile,
  AllocationRequest,
  Binding,
  DeviceFile,
  MemoryRegion,
  NegativeErrno,
} from '../binding';
import type { CardIoctls } from '../binding/cxl-ioctls';
import { allocateIn } from '../emulation/memory';
import { ERRNOS } from '../shared/errno';
import { PslseAfuFile } from './afu-file';
import { callAsync } from './answer';
import { PslseContext } from './context';
import { checkPslseOptions, type PslseOptions } from './options';
import type { ContextLetter } from './protocol';
import { Shared } from './shared-state';
import { nameOf, PslseSysFs } from './sysfs';

export class PslseBinding implements Binding {
  readonly kind = 'pslse';
  readonly sysfs: PslseSysFs;
  readonly #shared: Shared;

  constructor(options: PslseOptions) {
    this.#shared = new Shared(checkPslseOptions(options));
    this.sysfs = new PslseSysFs(this.#shared);
  }

  get pageSize(): number {
    return this.#shared.pageSize;
  }

  get operands(): SharedArrayBuffer {
    return this.#shared.operands;
  }

  async openAfu(path: string): Promise<AfuFile | NegativeErrno> {
    const found = await callAsync(this.sysfs.find(path));
    if (typeof found === 'number') return found;
    const description = await callAsync(this.#shared.daemon.describe());
    if (typeof description === 'number') return description;
    const match = /^\/dev\/cxl\/(afu\d+\.\d+)([dms])$/.exec(found.real);
    const afu = description.afus.find((each) => nameOf(each) === match?.[1]);
    if (afu === undefined) return -ERRNOS.ENODEV;
    // Whether other programs have one, the daemon tells at the attach.
    const taken = [...this.#shared.contexts].some((other) => nameOf(other.afu) === nameOf(afu));
    if (afu.mode === 'dedicated' && taken) return -ERRNOS.ENOSPC;
    const context = new PslseContext(this.#shared, afu, match![2] as ContextLetter);
    return new PslseAfuFile(this.#shared, context);
  }

  /** There are no descriptors to adopt. */
  adoptAfu(): NegativeErrno {
    return -ERRNOS.EOPNOTSUPP;
  }

  /** As on bare metal, there is no such node. */
  async openCard(): Promise<DeviceFile<CardIoctls> | NegativeErrno> {
    return -ERRNOS.ENOENT;
  }

  allocate(request: AllocationRequest): MemoryRegion | NegativeErrno {
    return allocateIn(this.#shared.memory.allocated, request);
  }

  addressOf(view: ArrayBufferView): bigint {
    const { addressSpace } = this.#shared.memory;
    return BigInt(addressSpace.addressOf(view.buffer) + view.byteOffset);
  }

  memoryBarrier(): void {
    this.#shared.pump.poll();
  }
}
