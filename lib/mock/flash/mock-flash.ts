/** The flash adapters of a mock, and the device side of each for tests. */
import { createHash } from 'node:crypto';
import type { Binding } from '../../binding';
import { Cxl } from '../../device/cxl';
import {
  checkArray,
  checkBoolean,
  checkInteger,
  checkOneOf,
  checkString,
  checkUint64,
} from '../../shared/checks';
import { checkMilliseconds } from '../device/card-options';
import type { Kernel } from '../kernel/kernel';
import type { KernelContext } from '../kernel/kernel-context';
import { FlashAdapter } from './adapter';
import { flashBinding } from './binding';
import { GlobalLuns } from './lun';
import { genericName } from './lun-paths';
import { checkAdapterOptions, type FlashAdapterOptions } from './options';
import { FlashSysFs, flashFiles } from './sysfs';

/** The device side of a flash adapter, for tests. */
export interface MockFlashAdapter {
  /** The /dev/sgN of every path, in the order of LUNs and then of ports. */
  readonly nodes: readonly string[];
  /**
   * Resets the adapter: for so many milliseconds it is in error and its registers read as all
   * ones. Then it works again, and its contexts can be recovered; or, with 'fails', it has failed
   * and stays so. Default 'recovers'.
   */
  reset(milliseconds: number, outcome?: 'recovers' | 'fails'): void;
  /** The link of the card is in error for so many milliseconds; the driver notices by itself. */
  enterErrorState(milliseconds: number): void;
  /**
   * Unbinds the cxlflash driver. As the driver does, it puts every context in error and waits until
   * all are gone, looking every second; then the nodes vanish, and calls on open LUNs are ENODEV.
   * Resolves then.
   */
  remove(): Promise<void>;
  /** While held, the AFU accepts commands but does not carry them out. */
  hold(held: boolean): void;
  /** Sets which ports have a link: a mask. */
  setPorts(mask: number): void;
  /** How many commands were carried out, failed ones included. */
  readonly executed: number;
  /**
   * A context as the cxlflash driver has it, by the context's id (FlashContext.id): with it a
   * test delivers AFU-driver events, which cxlflash of Linux 6.1 does not. Recovery gives a context
   * a new id and another KernelContext.
   *
   * @throws ERR_INVALID_STATE no such context, or one in error
   */
  kernelContext(contextId: bigint): KernelContext;
}

/**
 * The flash adapters of a mock: MockCxl.flash.
 *
 * @example
 * import { openBlockDevice } from 'node-cxl/flash';
 * import { createMockCxl } from 'node-cxl/mock';
 *
 * const system = createMockCxl({ flash: [{ luns: [{ blocks: 65_536 }] }] });
 * await using device = await openBlockDevice({ system, node: '/dev/sg1' });
 * const [adapter] = system.flash.adapters;
 * adapter?.reset(20); // the context is recovered, and the read issued again
 * await device.read(0, 1);
 * console.log(device.queueStatistics?.resets); // 1
 */
export class MockFlash {
  readonly #kernel: Kernel;
  readonly #binding: Binding;
  readonly #adapters: FlashAdapter[] = [];
  readonly #global = new GlobalLuns();
  readonly #mounts: string[] = [];
  #letters = 0;
  #wwids = 0;
  #processes = process.pid;

  /** @internal MockCxl makes it. */
  constructor(kernel: Kernel, binding: Binding, adapters: readonly FlashAdapterOptions[]) {
    this.#kernel = kernel;
    const caller = { processId: process.pid, parentId: process.ppid };
    this.#binding = Object.assign(binding, {
      flash: flashBinding(kernel, caller, this.#adapters),
      sysfs: new FlashSysFs(binding.sysfs, () => flashFiles(this.#adapters, this.#mounts)),
    });
    for (const options of adapters) this.add(options);
  }

  /**
   * Adds a flash adapter.
   *
   * @throws TypeError or RangeError naming the option that is wrong
   */
  add(options: FlashAdapterOptions = {}): MockFlashAdapter {
    const adapter = new FlashAdapter(
      this.#kernel,
      this.#adapters.length,
      this.#global,
      checkAdapterOptions(options),
      () => this.#letters++,
      () => this.#nextWwid(),
    );
    this.#adapters.push(adapter);
    return deviceSide(adapter);
  }

  /** A world-wide id (NAA 6, IBM's company id): the same in every run with the same seed. */
  #nextWwid(): string {
    this.#wwids += 1;
    const text = `${this.#kernel.faults.seed} ${this.#wwids}`;
    return `6005076${createHash('sha256').update(text).digest('hex').slice(0, 25)}`;
  }

  /** The adapters, in the order of the options. */
  get adapters(): readonly MockFlashAdapter[] {
    return this.#adapters.map(deviceSide);
  }

  /** Sets the lines of /proc/self/mounts, such as `/dev/sdb1 /srv ext4 rw 0 0`. */
  setMounts(lines: readonly string[]): void {
    for (const line of checkArray('lines', lines)) checkString('lines', line);
    this.#mounts.splice(0, this.#mounts.length, ...lines);
  }

  /**
   * The same system for another process: a child of this one, unless `parentId` says otherwise.
   * A process can use only the contexts it attached.
   */
  process(parentId: number = process.pid): Cxl {
    checkInteger('parentId', parentId, 0, 2 ** 31 - 1);
    this.#processes += 1;
    const caller = { processId: this.#processes, parentId };
    const flash = flashBinding(this.#kernel, caller, this.#adapters);
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

  /** Closes the files that keep LUNs. */
  dispose(): void {
    for (const adapter of this.#adapters) adapter.luns.dispose();
  }
}

function deviceSide(adapter: FlashAdapter): MockFlashAdapter {
  const { state } = adapter;
  return {
    get nodes() {
      return adapter.luns.paths.map(({ letter }) => genericName(letter));
    },
    reset(milliseconds, outcome = 'recovers') {
      checkMilliseconds('milliseconds', milliseconds, 0);
      state.resetFails = checkOneOf('outcome', outcome, ['recovers', 'fails']) === 'fails';
      state.reset(milliseconds);
    },
    enterErrorState(milliseconds) {
      adapter.card.enterErrorState(checkMilliseconds('milliseconds', milliseconds, 0));
    },
    remove: () => adapter.remove(),
    hold(held) {
      state.faults.held = checkBoolean('held', held);
    },
    setPorts(mask) {
      state.portsUp = checkInteger('mask', mask, 0, 0xf);
    },
    get executed() {
      return state.faults.executed;
    },
    kernelContext: (contextId) => adapter.kernelContext(checkUint64('contextId', contextId)),
  };
}
