/** A flash adapter in the mock: the card, the driver bound to it, its LUNs and their nodes. */
import { randomBytes } from 'node:crypto';
import type { HostCalls, LunCalls } from '../../binding/flash';
import { errnos } from '../../shared/errno';
import { stateError } from '../../shared/errors';
import { adapterSetup } from '../config/options';
import type { Adapter } from '../kernel/adapter';
import type { Kernel } from '../kernel/kernel';
import { KernelContext } from '../kernel/kernel-context';
import { FlashAdapterState, type GlobalLuns } from './adapter-state';
import { HostCallsModel, type Provisioner } from './host-calls';
import { type LunPath, Medium } from './lun';
import { type DeviceMaker, FlashAfuModel } from './model';
import type { CheckedOptions, FlashLunOptions } from './options';
import type { Caller, FlashPlatform } from './platform';
import type { KernelContext as Started } from './resources';
import { FileStorage, MemoryStorage } from './storage';
import { Superpipe } from './superpipe';

export class FlashAdapter implements FlashPlatform, Provisioner {
  readonly state: FlashAdapterState;
  readonly superpipe: Superpipe;
  readonly hostCalls: HostCallsModel;
  readonly options: CheckedOptions;
  /** The SCSI host number. */
  readonly host: number;
  readonly paths: { readonly path: LunPath; readonly letter: number }[] = [];
  readonly maxLuns = 256n;
  readonly maxBlocks = 1n << 28n;
  private readonly kernel: Kernel;
  readonly card: Adapter;
  private readonly model: FlashAfuModel;
  private readonly nextLetter: () => number;
  /** Those that have a descriptor, by it. */
  private readonly started = new Map<number, KernelContext>();

  constructor(
    kernel: Kernel,
    host: number,
    global: GlobalLuns,
    options: CheckedOptions,
    nextLetter: () => number,
  ) {
    this.kernel = kernel;
    this.host = host;
    this.options = options;
    this.nextLetter = nextLetter;
    this.model = new FlashAfuModel(options.contexts, options.interruptsMinimum);
    const slot = kernel.adapters.size;
    this.card = kernel.probe(adapterSetup({ afus: [{ model: this.model }], device: 0x0600 }, slot));
    const tableSize = kernel.pageSize / 16;
    this.state = new FlashAdapterState({ ...options, tableSize }, global, (milliseconds) => {
      this.superpipe.markAllInError();
      this.card.enterErrorState(milliseconds);
      return () => this.linkState();
    });
    this.superpipe = new Superpipe(this.state, this);
    this.hostCalls = new HostCallsModel(this);
    this.model.onDetach = () => this.detached();
    for (const [index, lun] of options.luns.entries()) this.addLun(lun, index);
  }

  get ports(): number {
    return this.options.ports;
  }

  get provisions(): boolean {
    return this.options.provisioning;
  }

  get debugs(): boolean {
    return this.options.debugging;
  }

  /** Starts a context on the AFU, bound to this process, and gives it a descriptor. */
  start(interrupts: number, device: DeviceMaker): Started | number {
    const afu = this.card.afus[0];
    const created = afu === undefined ? -errnos.ENODEV : KernelContext.create(afu);
    // The driver has one errno for a context it cannot have.
    if (typeof created === 'number') return -errnos.ENODEV;
    this.model.next = device;
    // The driver maps a page of all ones for what is left of a context after an error.
    created.context.errFf = true;
    const errno = created.startWork({ wed: 0n, interrupts });
    this.model.next = undefined;
    if (errno < 0) {
      created.release();
      return errno;
    }
    const refused = this.state.admit() ? 0 : -errnos.EAGAIN;
    const fd = refused < 0 ? refused : created.getFd();
    if (fd < 0) {
      created.stop();
      created.release();
      return refused < 0 ? refused : -errnos.ENODEV;
    }
    this.started.set(fd, created);
    this.watchClose(created, fd);
    return { processElement: created.processElement, fd };
  }

  private watchClose(created: KernelContext, fd: number): void {
    const watcher = (happening: string, context: unknown) => {
      if (happening !== 'close' || context !== created.context) return;
      this.kernel.watchers.delete(watcher);
      this.started.delete(fd);
      this.superpipe.descriptorClosed(fd);
    };
    this.kernel.watchers.add(watcher);
  }

  /** The driver's side of a context that is not in error. */
  kernelContext(contextId: bigint): KernelContext {
    const record = this.superpipe.contexts.find((one) => one.id === contextId && !one.inError);
    const created = record === undefined ? undefined : this.started.get(record.kernel.fd);
    if (created === undefined) {
      throw stateError(`no flash context 0x${contextId.toString(16)} on this adapter`);
    }
    return created;
  }

  /** A context was detached: by its close, or because the kernel noticed a link error. */
  private detached(): void {
    if (this.card.linkOk || this.state.condition !== 'normal') return;
    this.superpipe.markAllInError();
    this.state.resetUntil(() => this.linkState());
  }

  private linkState(): 'normal' | 'reset' | 'failed' {
    if (this.card.link === 'gone' || !this.card.bound) return 'failed';
    return this.card.linkOk ? 'normal' : 'reset';
  }

  private addLun(lun: FlashLunOptions, target: number): void {
    const blockSize = lun.blockSize ?? 4096;
    const blocks = BigInt(lun.blocks);
    const bytes = blocks * BigInt(blockSize);
    const storage = lun.file === undefined ? new MemoryStorage() : new FileStorage(lun.file, bytes);
    const medium = new Medium(storage, blockSize, blocks);
    this.state.media.push(medium);
    const wwid = lun.wwid ?? `6005076${randomBytes(13).toString('hex').slice(0, 25)}`;
    const ports = lun.ports ?? [...new Array(this.options.ports).keys()];
    for (const port of ports)
      this.addPath({ port, target, lun: 0, wwid, medium, local: undefined });
  }

  private addPath(path: LunPath): void {
    this.paths.push({ path, letter: this.nextLetter() });
  }

  /** What /dev/sdX or /dev/sgN leads to. */
  find(node: string): LunPath | undefined {
    return this.paths.find(
      ({ letter }) => node === blockName(letter) || node === genericName(letter),
    )?.path;
  }

  lunCall<Name extends keyof LunCalls>(
    path: LunPath,
    caller: Caller,
    name: Name,
    input: LunCalls[Name]['input'],
  ) {
    return this.superpipe.call(path, caller, name, input);
  }

  hostCall<Name extends keyof HostCalls>(name: Name, input: HostCalls[Name]['input']) {
    const bad =
      (input.version ?? 0) !== 0 || (input.reserved ?? 0) !== 0 || (input.returnFlags ?? 0n) !== 0n;
    if (bad) return -errnos.EINVAL;
    return name === 'LUN_PROVISION'
      ? this.hostCalls.provision(input as HostCalls['LUN_PROVISION']['input'])
      : this.hostCalls.debug(input as HostCalls['AFU_DEBUG']['input']);
  }

  provisioned(port: number): ReadonlyMap<bigint, bigint> {
    const luns = new Map<bigint, bigint>();
    for (const { path } of this.paths) {
      if (path.port !== port) continue;
      const blocks = (path.medium.blocks * BigInt(path.medium.blockSize)) / 4096n;
      luns.set(BigInt(path.target) << 48n, blocks);
    }
    return luns;
  }

  create(port: number, blocks: bigint): { lunId: bigint; wwid: Uint8Array } {
    const target = this.paths.reduce((most, { path }) => Math.max(most, path.target), -1) + 1;
    this.addLun({ blocks, ports: [port] }, target);
    const path = this.paths[this.paths.length - 1]?.path as LunPath;
    return { lunId: BigInt(target) << 48n, wwid: Uint8Array.from(Buffer.from(path.wwid, 'hex')) };
  }

  remove(port: number, lunId: bigint): void {
    const at = this.paths.findIndex(
      ({ path }) => path.port === port && BigInt(path.target) << 48n === lunId,
    );
    if (at >= 0) this.paths.splice(at, 1);
  }

  /** Lets go of backing files. */
  dispose(): void {
    for (const medium of this.state.media) medium.storage.close();
  }
}

export function blockName(letter: number): string {
  return `/dev/sd${String.fromCharCode(0x62 + (letter % 25))}`;
}

export function genericName(letter: number): string {
  return `/dev/sg${letter + 1}`;
}
