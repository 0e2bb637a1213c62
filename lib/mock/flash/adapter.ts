/** A flash adapter: its card, and the cxlflash driver bound to it. */
import { ERRNOS } from '../../shared/errno';
import { stateError } from '../../shared/errors';
import { adapterSetup } from '../device/card-options';
import type { CxlAdapter } from '../kernel/adapter';
import type { ContextChange, Kernel } from '../kernel/kernel';
import { KernelContext } from '../kernel/kernel-context';
import { type AdapterCondition, FlashAdapterState } from './adapter-state';
import { FlashAfuModel } from './afu-model';
import { DriverLog } from './driver-log';
import { HostCallsModel } from './host-calls';
import type { GlobalLuns } from './lun';
import { LunPaths } from './lun-paths';
import type { CheckedOptions } from './options';
import type { DeviceMaker, FlashPlatform, StartedContext } from './platform';
import { Superpipe } from './superpipe';

/** How often a removal looks whether the contexts are gone, in milliseconds. */
const REMOVE_INTERVAL = 1000;

export class FlashAdapter implements FlashPlatform {
  readonly state: FlashAdapterState;
  readonly superpipe: Superpipe;
  readonly hostCalls: HostCallsModel;
  readonly luns: LunPaths;
  readonly card: CxlAdapter;
  /** The SCSI host number. */
  readonly host: number;
  readonly #kernel: Kernel;
  readonly #model: FlashAfuModel;
  /** The started contexts, by descriptor. */
  readonly #started = new Map<number, KernelContext>();

  constructor(
    kernel: Kernel,
    host: number,
    global: GlobalLuns,
    options: CheckedOptions,
    nextLetter: () => number,
    nextWwid: () => string,
  ) {
    this.#kernel = kernel;
    this.host = host;
    this.#model = new FlashAfuModel(options.contexts, options.interruptsMinimum);
    const slot = kernel.adapters.size;
    this.card = kernel.probe(
      adapterSetup({ afus: [{ model: this.#model }], device: 0x0601 }, slot),
    );
    const tableSize = kernel.pageSize / 16;
    const errors = {
      reset: (milliseconds: number) => {
        this.#markAllInError();
        this.card.enterErrorState(milliseconds);
        return () => this.#cardCondition();
      },
      freeze: () => this.card.freeze(),
      readsAllOnes: () => !this.card.linkOk,
    };
    const log = new DriverLog((line) => kernel.log(line), this.pciAddress, host);
    this.state = new FlashAdapterState({ ...options, tableSize }, global, errors, log);
    this.superpipe = new Superpipe(this.state, this);
    this.luns = new LunPaths(options, this.state.media, nextLetter, nextWwid);
    this.hostCalls = new HostCallsModel(options, this.luns);
    this.#model.onDetach = () => this.#detached();
  }

  /**
   * Unbinds cxlflash: after a reset that is under way it puts every context in error, and waits
   * until all are gone. Then the nodes vanish (cxlflash_remove()).
   */
  async remove(): Promise<void> {
    if (this.state.removed) return;
    await this.state.resetDone();
    this.state.terminate();
    this.#markAllInError();
    do {
      await new Promise((resolve) => setTimeout(resolve, REMOVE_INTERVAL));
    } while (this.superpipe.contexts.count > 0);
    this.state.removed = true;
    this.luns.removeAll();
  }

  /** The PCI function that the cxl driver makes of the AFU, and cxlflash drives. */
  get pciAddress(): string {
    return `${(0x10 + this.host).toString(16).padStart(4, '0')}:00:00.0`;
  }

  start(interrupts: number, makeDevice: DeviceMaker): StartedContext | number {
    const afu = this.card.afus[0];
    const created = afu === undefined ? -ERRNOS.ENODEV : KernelContext.create(afu);
    // cxlflash reports ENODEV whatever the reason.
    if (typeof created === 'number') return -ERRNOS.ENODEV;
    this.#model.next = makeDevice;
    let started: StartedContext | undefined;
    created.context.mappingOps = {
      // After the last DETACH, and for the descriptor that a recovery has replaced.
      mmap: () => (this.superpipe.contexts.withStarted(started) === undefined ? -ERRNOS.EIO : 0),
      fault: () => {
        const record = this.superpipe.contexts.withStarted(started);
        return record === undefined ? 'sigbus' : record.inError ? 'ones' : undefined;
      },
    };
    const errno = created.startWork({ wed: 0n, interrupts });
    this.#model.next = undefined;
    if (errno < 0) {
      created.release();
      return errno;
    }
    const refused = this.state.admit() ? 0 : -ERRNOS.EAGAIN;
    const fd = refused < 0 ? refused : created.getFd();
    if (fd < 0) {
      created.stop();
      created.release();
      return refused < 0 ? refused : -ERRNOS.ENODEV;
    }
    this.#started.set(fd, created);
    this.#watchClose(created, fd);
    started = { processElement: created.processElement, fd };
    return started;
  }

  #watchClose(created: KernelContext, fd: number): void {
    const watcher = (change: ContextChange, context: unknown) => {
      if (change !== 'close' || context !== created.context) return;
      this.#kernel.watchers.delete(watcher);
      this.#started.delete(fd);
      this.superpipe.descriptorClosed(fd);
    };
    this.#kernel.watchers.add(watcher);
  }

  /** @throws ERR_INVALID_STATE no such context, or one in error */
  kernelContext(contextId: bigint): KernelContext {
    const record = this.superpipe.contexts.withId(contextId);
    const created = record === undefined ? undefined : this.#started.get(record.started.fd);
    if (created === undefined) {
      throw stateError(`no flash context 0x${contextId.toString(16)} on this adapter`);
    }
    return created;
  }

  /**
   * A context was detached. When that was because the cxl driver noticed an error of the link,
   * a reset begins.
   */
  #detached(): void {
    if (this.card.linkOk || this.state.condition !== 'normal') return;
    this.#markAllInError();
    this.state.resetUntil(() => this.#cardCondition());
  }

  /** Takes the pages of all mappings away: a load finds all ones from now on. */
  #markAllInError(): void {
    for (const record of this.superpipe.contexts.markAllInError()) {
      const created = this.#started.get(record.started.fd);
      if (created !== undefined) created.context.unmappings += 1;
    }
  }

  #cardCondition(): AdapterCondition {
    if (this.card.link === 'gone' || !this.card.bound) return 'failed';
    return this.card.linkOk ? 'normal' : 'reset';
  }
}
