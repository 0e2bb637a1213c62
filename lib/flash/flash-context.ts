import type { AttachAnswer } from '../binding/flash';
import { flashFlags } from '../binding/flash';
import type { Context } from '../device/context';
import type { ProblemState } from '../device/problem-state';
import { CxlError, stateError, systemError, typeError } from '../shared/errors';
import { type AttachOptions, accessFlags, checkAttachOptions } from './attach-options';
import { type CloneToken, sourceOf } from './clone-token';
import type { QueueOptions, QueueStatistics } from './command';
import { CommandQueue } from './command-queue';
import { type Geometry, geometryOf } from './geometry';
import { flashOf, type Lun } from './lun';
import { patiently } from './patience';
import { type OpenVirtualOptions, Resource } from './resource';
import { registers } from './sislite';

/** What recover() found and did. */
export interface Recovery {
  /** False: nothing was wrong. The rest tells what is new. */
  readonly reset: boolean;
  readonly id: bigint;
  readonly previousId: bigint;
  /** Calls that answered EAGAIN before this. */
  readonly retries: number;
}

const allOnes = (1n << 64n) - 1n;

/**
 * A context on a flash adapter. LUNs are joined to it, resources (handles) hang off it, and
 * commands go through it. Release gives a resource back, detach a LUN with all its resources,
 * close everything and the context itself.
 */
export class FlashContext {
  readonly access: 'read' | 'write' | 'read-write';
  readonly #luns = new Map<Lun, Geometry>();
  readonly #resources = new Set<Resource>();
  readonly #processId: number;
  readonly #options: QueueOptions;
  #id: bigint;
  #context: Context;
  #page: ProblemState;
  #queue: CommandQueue | undefined;
  #recovery: Promise<Recovery> | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    lun: Lun,
    access: 'read' | 'write' | 'read-write',
    options: QueueOptions,
    answer: AttachAnswer,
  ) {
    this.access = access;
    this.#options = options;
    this.#processId = flashOf(lun.system).processId;
    this.#id = answer.contextId;
    const { context, page } = adopt(lun, answer.adapFd, answer.mmioSize, answer.returnFlags);
    this.#context = context;
    this.#page = page;
    this.#luns.set(lun, geometryOf(answer));
  }

  /** @internal Use Lun.attach(). */
  static async attach(lun: Lun, options: AttachOptions): Promise<FlashContext> {
    const { access, interrupts, queue } = checkAttachOptions(options);
    const flags = accessFlags[access];
    const { answer } = await patiently(() =>
      lun.call('ATTACH', { flags, numInterrupts: BigInt(interrupts) }),
    );
    const squeue = (answer.returnFlags & flashFlags.contextSqCmdMode) !== 0n;
    return new FlashContext(lun, access, { ...queue, squeue }, answer);
  }

  /** The cookie: opaque, good only in this process, another one after a recovery. */
  get id(): bigint {
    return this.#id;
  }

  /** The ordinary cxl context: events and mapping. Another one after a recovery. */
  get context(): Context {
    return this.#context;
  }

  /** The host-transport page (64 KiB, 64-bit accesses only). Another one after a recovery. */
  get registers(): ProblemState {
    return this.#page;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  get luns(): readonly Lun[] {
    return [...this.#luns.keys()];
  }

  get resources(): readonly Resource[] {
    return [...this.#resources];
  }

  /** Counts of the commands of all block devices of this context. */
  get statistics(): Readonly<QueueStatistics> | undefined {
    return this.#queue?.statistics;
  }

  /** Block size and capacity of a joined LUN as they were at its attach. */
  geometry(lun: Lun = this.#onlyLun()): Geometry {
    this.#check();
    return this.#geometry(lun);
  }

  /**
   * Joins a further LUN of the same adapter (ATTACH with REUSE_CONTEXT).
   *
   * @throws EINVAL when it is joined already, superpipe is off, or it is another adapter's
   */
  async join(lun: Lun): Promise<void> {
    this.#check();
    const flags = accessFlags[this.access] | flashFlags.reuseContext;
    const interrupts = 0n;
    const answer = await lun.call('ATTACH', {
      flags,
      numInterrupts: interrupts,
      contextId: this.#id,
    });
    this.#luns.set(lun, geometryOf(answer));
  }

  /**
   * Takes one LUN out, with its resources (DETACH). The last one takes the context: close()
   * does that in the right order.
   */
  async detach(lun: Lun): Promise<void> {
    this.#check();
    this.#geometry(lun);
    if (this.#luns.size === 1) return this.close();
    await this.#letGo(lun);
    this.#luns.delete(lun);
    for (const resource of this.#resources) {
      if (resource.lun === lun) this.#resources.delete(resource);
    }
  }

  /**
   * The whole LUN (USER_DIRECT).
   *
   * @throws EINVAL in use as virtual; EMFILE no handle left; EAGAIN slow AFU, after several tries
   */
  async openDirect(lun: Lun = this.#onlyLun()): Promise<Resource> {
    this.#check();
    const shape = this.#geometry(lun);
    const { answer } = await patiently(() => lun.call('USER_DIRECT', { contextId: this.#id }));
    return this.#add(
      new Resource(this, lun, shape, 'direct', answer.rsrcHandle, answer.lastLba, false),
    );
  }

  /**
   * A virtual LUN (USER_VIRTUAL) of `blocks` blocks, rounded up to chunks of 65536; 0 makes an
   * empty one. A size that does not fit is cut to what is left: see Resource.blocks.
   *
   * @throws EINVAL in use as physical; EMFILE no handle left; ENOSPC nothing left; ENOMEM the
   *   LUN is smaller than a chunk; EAGAIN slow AFU, after several tries
   */
  async openVirtual(options: OpenVirtualOptions = {}): Promise<Resource> {
    this.#check();
    const lun = options.lun ?? this.#onlyLun();
    const shape = this.#geometry(lun);
    const lunSize = Resource.sizeOf('options.blocks', options.blocks ?? 0, shape);
    const flags = options.writeSame === true ? flashFlags.needWriteSame : 0n;
    const { answer } = await patiently(() =>
      lun.call('USER_VIRTUAL', { flags, contextId: this.#id, lunSize }),
    );
    const allPorts = (answer.returnFlags & flashFlags.allPortsActive) !== 0n;
    return this.#add(
      new Resource(this, lun, shape, 'virtual', answer.rsrcHandle, answer.lastLba, allPorts),
    );
  }

  /**
   * Whether the adapter answers: its registers read as all ones while it is in error, and then
   * recover() is due.
   */
  isHealthy(): boolean {
    this.#check();
    try {
      return this.#page.read64(registers.endianControl) !== allOnes;
    } catch (error) {
      if (error instanceof CxlError && error.code === 'EIO') return false;
      throw error;
    }
  }

  /**
   * The whole recovery: RECOVER_AFU (waits for a reset under way; retried on EAGAIN), and when
   * the context was reset, the new descriptor and mapping for the old ones, which are closed.
   * Resources keep their handles; commands are dealt with as `onReset` says. When nothing was
   * wrong nothing changes. Concurrent calls share one recovery.
   *
   * @throws ENODEV the adapter is gone: close() the context, which is held until then
   */
  recover(): Promise<Recovery> {
    this.#check();
    this.#recovery ??= this.#recover().finally(() => {
      this.#recovery = undefined;
    });
    return this.#recovery;
  }

  async #recover(): Promise<Recovery> {
    const previousId = this.#id;
    const lun = this.#anyLun();
    this.#queue?.pause();
    let reset = false;
    try {
      const { answer, retries } = await patiently(() =>
        lun.call('RECOVER_AFU', { contextId: previousId }),
      );
      reset = (answer.returnFlags & flashFlags.contextReset) !== 0n;
      if (reset) {
        const old = this.#context;
        const fresh = adopt(lun, answer.adapFd, answer.mmioSize, answer.returnFlags);
        this.#id = answer.contextId;
        this.#context = fresh.context;
        this.#page = fresh.page;
        // Closing unmaps as well.
        await old.close();
      }
      return { reset, id: this.#id, previousId, retries };
    } finally {
      this.#queue?.resume(reset);
    }
  }

  /** What a child process is sent so that it can cloneFrom(). */
  cloneToken(): CloneToken {
    this.#check();
    const resources = [...this.#resources].map((resource) => resource.describe());
    return { contextId: this.#id.toString(16), processId: this.#processId, resources };
  }

  /**
   * Takes over the virtual resources of the parent process's context (VLUN_CLONE): the same
   * handles, the same blocks. Called in the child, on a fresh context of its own.
   *
   * @throws ERR_INVALID_STATE when this context has resources, or the token is not the direct
   *   parent's; EINVAL the parent has gone, or its LUN is not virtual; EAGAIN slow AFU
   */
  async cloneFrom(token: CloneToken, lun: Lun = this.#onlyLun()): Promise<Resource[]> {
    this.#check();
    const shape = this.#geometry(lun);
    const contextIdSrc = sourceOf(token, flashOf(lun.system).parentProcessId);
    if (this.#resources.size > 0) throw stateError('cloneFrom() needs a context without resources');
    await patiently(() => lun.call('VLUN_CLONE', { contextIdSrc, contextIdDst: this.#id }));
    const clones: Resource[] = [];
    for (const { handle } of token.resources) {
      const rsrcHandle = BigInt(handle);
      const { lastLba } = await lun.call('VERIFY', { contextId: this.#id, rsrcHandle });
      const clone = new Resource(this, lun, shape, 'virtual', rsrcHandle, lastLba, false);
      clones.push(this.#add(clone));
    }
    return clones;
  }

  /**
   * Takes the commands in flight back by a context reset (they settle: completed, or
   * ECANCELED), detaches every LUN, closes the descriptor, frees the memory. Idempotent. Works
   * after a failed recovery too.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#recovery?.catch(() => undefined);
    this.#queue?.close();
    let failure: unknown;
    for (const lun of this.#luns.keys()) {
      // Closing the descriptor detaches what its own node cannot any more.
      if (lun.closed) continue;
      try {
        await this.#letGo(lun);
      } catch (error) {
        // Closing the descriptor detaches as well: the rest goes on.
        failure ??= error;
      }
    }
    this.#page.unmap();
    try {
      await this.#context.close();
    } finally {
      this.#queue?.free();
      this.#luns.clear();
      this.#resources.clear();
    }
    if (failure !== undefined && !isGone(failure)) throw failure;
  }

  /**
   * DETACH releases what is left, but overlooks that it was told EAGAIN: the LUN would stay
   * virtual, and its blocks taken, for good. So virtual LUNs are released first.
   */
  async #letGo(lun: Lun): Promise<void> {
    const contextId = this.#id;
    for (const resource of this.#resources) {
      if (resource.lun !== lun || resource.mode !== 'virtual') continue;
      const rsrcHandle = BigInt(resource.handle);
      await patiently(() => lun.call('RELEASE', { contextId, rsrcHandle })).catch(() => undefined);
    }
    await lun.call('DETACH', { contextId });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal The queue all block devices of this context share. */
  get queue(): CommandQueue {
    this.#check();
    this.#queue ??= this.#makeQueue();
    return this.#queue;
  }

  #makeQueue(): CommandQueue {
    const outer = this;
    return new CommandQueue(
      this.#anyLun().system,
      {
        get page() {
          return outer.#page;
        },
        get context() {
          return outer.#context;
        },
        get contextNumber() {
          return Number(outer.#id & 0xffffffffn);
        },
        recover: () => outer.recover(),
      },
      this.#options,
    );
  }

  /** @internal */
  has(resource: Resource): boolean {
    return !this.closed && this.#resources.has(resource);
  }

  /** @internal */
  forget(resource: Resource): void {
    this.#resources.delete(resource);
  }

  #add(resource: Resource): Resource {
    this.#resources.add(resource);
    return resource;
  }

  /** @internal Refuses what the kernel would refuse with less to say. */
  assertUsable(): void {
    this.#check();
  }

  #check(): void {
    if (this.closed) throw stateError('this flash context has been detached');
  }

  #anyLun(): Lun {
    // A context has a LUN from attach to close.
    const [lun] = this.#luns.keys();
    return lun as Lun;
  }

  #onlyLun(): Lun {
    if (this.#luns.size > 1) throw typeError('lun', 'given: the context has several', undefined);
    return this.#anyLun();
  }

  #geometry(lun: Lun): Geometry {
    const shape = this.#luns.get(lun);
    if (shape === undefined) throw stateError(`${lun.path} is not joined to this context`);
    return shape;
  }
}

function isGone(error: unknown): boolean {
  return error instanceof CxlError && error.code === 'ENODEV';
}

function adopt(lun: Lun, adapFd: bigint, mmioSize: bigint, returnFlags: bigint) {
  const fd = Number(BigInt.asIntN(32, adapFd));
  if (fd < 0) throw systemError('EBADF', 'ioctl(ATTACH)', lun.path, 'no descriptor was returned');
  // Without the flag the driver closes it itself at the last detach.
  const owned = (returnFlags & flashFlags.appCloseAdapFd) !== 0n;
  const context = lun.system.adopt(fd, { owned, mmioSize: Number(mmioSize) });
  const page = context.mapProblemState({ endian: 'big', length: Number(mmioSize) });
  return { context, page };
}
