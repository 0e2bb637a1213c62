/** cxlflash in the mock: adapters, and the processes that use them. */
import type { Binding, SysFs } from '../../binding';
import type { IoctlMap } from '../../binding/files';
import type { FlashBinding, HostCalls, LunCalls } from '../../binding/flash';
import { Cxl } from '../../device/cxl';
import { errnos } from '../../shared/errno';
import { MockDeviceFile, type Perform } from '../binding/device-file';
import { later } from '../binding/sysfs';
import type { Kernel } from '../kernel/kernel';
import type { KernelContext } from '../kernel/kernel-context';
import { resolve } from '../kernel/virtual-files';
import { FlashAdapter } from './adapter';
import { GlobalLuns } from './adapter-state';
import { flashFiles } from './files';
import { checkOptions, type FlashAdapterOptions } from './options';
import type { Caller } from './platform';

export type { FlashAdapterOptions, FlashLunOptions } from './options';
export { provokeCommands, provokeRegisters } from './provoke';

/** The device side of a flash adapter, for tests. */
export interface MockFlashAdapter {
  /** /dev/sgN of every path, in the order of LUNs and ports. */
  readonly nodes: readonly string[];
  /**
   * The adapter is in error for so many milliseconds, registers all ones; then it is back with
   * contexts that wait for recovery, or has failed for good. Default outcome: 'recovers'.
   */
  reset(milliseconds: number, outcome?: 'recovers' | 'fails'): void;
  /** The card's link is in error for so many milliseconds; the driver notices by itself. */
  enterErrorState(milliseconds: number): void;
  /** While held, commands are taken in and not carried out. */
  hold(held: boolean): void;
  /** Mask of the ports with a link. */
  setPorts(mask: number): void;
  /** Commands carried out since it was made. */
  readonly executed: number;
  /**
   * What the flash driver holds of a context, by the id (cookie) that FlashContext has: the
   * in-kernel interface, on which an AFU driver registers callbacks and delivers events of its
   * own. Linux 6.1's cxlflash has none. After a recovery it is another, under the new id.
   *
   * @throws ERR_INVALID_STATE no such context, or one that waits for its recovery
   */
  kernelContext(contextId: bigint): KernelContext;
}

/** The flash part of a mock. */
export class MockFlash {
  readonly #kernel: Kernel;
  readonly #binding: Binding;
  readonly #adapters: FlashAdapter[] = [];
  readonly #global = new GlobalLuns();
  readonly #mounts: string[] = [];
  #letters = 0;
  #processes = process.pid;

  /** @internal MockCxl makes it. */
  constructor(kernel: Kernel, binding: Binding, adapters: readonly FlashAdapterOptions[]) {
    this.#kernel = kernel;
    const caller = { processId: process.pid, parentId: process.ppid };
    // The binding is the mock's own: these two are what flash adds to it.
    this.#binding = Object.assign(binding, {
      flash: this.#bindingFor(caller),
      sysfs: new FlashSysFs(binding.sysfs, () => flashFiles(this.#adapters, this.#mounts)),
    });
    for (const options of adapters) this.add(options);
  }

  /**
   * Plugs in a flash adapter.
   *
   * @throws TypeError or RangeError naming the option that is wrong
   */
  add(options: FlashAdapterOptions = {}): MockFlashAdapter {
    const adapter = new FlashAdapter(
      this.#kernel,
      this.#adapters.length,
      this.#global,
      checkOptions(options),
      () => this.#letters++,
    );
    this.#adapters.push(adapter);
    return deviceSide(adapter);
  }

  get adapters(): readonly MockFlashAdapter[] {
    return this.#adapters.map(deviceSide);
  }

  /** Lines of /proc/self/mounts from now on, such as `/dev/sdb1 /srv ext4 rw 0 0`. */
  setMounts(lines: readonly string[]): void {
    this.#mounts.splice(0, this.#mounts.length, ...lines);
  }

  /**
   * The same machine as another process sees it: a child of this one, unless `parentId` says
   * otherwise. Contexts and their tokens are each process's own.
   */
  process(parentId: number = process.pid): Cxl {
    this.#processes += 1;
    const flash = this.#bindingFor({ processId: this.#processes, parentId });
    const shared = this.#binding;
    const binding: Binding = {
      kind: shared.kind,
      flash,
      pageSize: shared.pageSize,
      operands: shared.operands,
      sysfs: shared.sysfs,
      openAfu: (node) => shared.openAfu(node),
      adoptAfu: (fd, owned) => shared.adoptAfu(fd, owned),
      openCard: (node) => shared.openCard(node),
      allocate: (request) => shared.allocate(request),
      addressOf: (view) => shared.addressOf(view),
      memoryBarrier: () => shared.memoryBarrier(),
    };
    return new Cxl(() => binding);
  }

  /** Closes backing files. */
  dispose(): void {
    for (const adapter of this.#adapters) adapter.dispose();
  }

  #bindingFor(caller: Caller): FlashBinding {
    return {
      processId: caller.processId,
      parentProcessId: caller.parentId,
      openLun: async (node) => {
        await later();
        for (const adapter of this.#adapters) {
          const path = adapter.find(node);
          if (path === undefined) continue;
          return openFile<LunCalls>((name, input) => adapter.lunCall(path, caller, name, input));
        }
        return -errnos.ENOENT;
      },
      openHost: async (node) => {
        await later();
        const index = /^\/dev\/cxlflash\/cxlflash(\d+)$/.exec(node)?.[1];
        const adapter = index === undefined ? undefined : this.#adapters[Number(index)];
        if (adapter === undefined) return -errnos.ENOENT;
        return openFile<HostCalls>((name, input) => adapter.hostCall(name, input));
      },
    };
  }
}

function deviceSide(adapter: FlashAdapter): MockFlashAdapter {
  const { state } = adapter;
  return {
    get nodes() {
      return adapter.paths.map(({ letter }) => `/dev/sg${letter + 1}`);
    },
    reset(milliseconds, outcome = 'recovers') {
      state.resetFails = outcome === 'fails';
      state.reset(milliseconds);
    },
    enterErrorState(milliseconds) {
      adapter.card.enterErrorState(milliseconds);
    },
    hold(held) {
      state.faults.held = held;
    },
    setPorts(mask) {
      state.portsUp = mask;
    },
    get executed() {
      return state.faults.executed;
    },
    kernelContext: (contextId) => adapter.kernelContext(contextId),
  };
}

let lastFd = 1 << 20;

/** A node of cxlflash, open: closing it changes nothing. */
function openFile<Calls extends IoctlMap<Calls>>(perform: Perform<Calls>) {
  lastFd += 1;
  return new MockDeviceFile<Calls>(lastFd, perform, 'concurrent', () => 0);
}

/** The mock's sysfs, with what flash adapters add to it. */
class FlashSysFs implements SysFs {
  readonly #below: SysFs;
  readonly #files: () => ReturnType<typeof flashFiles>;

  constructor(below: SysFs, files: () => ReturnType<typeof flashFiles>) {
    this.#below = below;
    this.#files = files;
  }

  #find(path: string) {
    const found = resolve(this.#files(), path);
    return typeof found === 'number' ? undefined : found;
  }

  async readdir(path: string): Promise<string[] | number> {
    const below = await this.#below.readdir(path);
    const found = this.#find(path);
    if (found?.entry.kind !== 'directory') return below;
    const own = [...found.entry.entries.keys()];
    return typeof below === 'number' ? own.sort() : [...new Set([...below, ...own])].sort();
  }

  async read(path: string, offset = 0, length?: number): Promise<Uint8Array | number> {
    const found = this.#find(path);
    if (found?.entry.kind !== 'file') return this.#below.read(path, offset, length);
    await later();
    const bytes = found.entry.read?.() ?? -errnos.EACCES;
    if (typeof bytes === 'number') return bytes;
    return bytes.slice(offset, length === undefined ? undefined : offset + length);
  }

  readSync(path: string): Uint8Array | number {
    const found = this.#find(path);
    if (found?.entry.kind !== 'file') return this.#below.readSync(path);
    return found.entry.read?.() ?? -errnos.EACCES;
  }

  write(path: string, data: string): Promise<number> {
    return this.#below.write(path, data);
  }

  async realpath(path: string): Promise<string | number> {
    const below = await this.#below.realpath(path);
    return typeof below === 'string' ? below : (this.#find(path)?.real ?? below);
  }
}
