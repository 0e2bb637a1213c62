import { type InspectOptions, inspect } from 'node:util';
import { flashFlags } from '../binding/flash';
import type { Context } from '../device/context';
import type { ProblemState } from '../device/problem-state';
import { ALL_ONES_64 } from '../shared/all-ones';
import { CxlError, stateError, typeError } from '../shared/errors';
import { hexadecimal, shown } from '../shared/inspection';
import { Uncloneable } from '../shared/uncloneable';
import { Adoption, type AttachedContext, adoptAttached } from './adoption';
import { ACCESS_FLAGS, type AttachOptions, checkAttachOptions } from './attach-options';
import { type CloneToken, sourceContextId } from './clone-token';
import type { Command, QueueOptions } from './command';
import { CommandQueue } from './command-queue';
import { canceled } from './command-status';
import { flashBindingOf } from './flash-binding';
import { type Geometry, geometryOf, toSizeUnits } from './geometry';
import type { Lun } from './lun';
import { checkOpenVirtual, type OpenVirtualOptions, Resource } from './resource';
import { retryOnEagain } from './retry';
import { REGISTERS } from './sislite';
import type { QueueStatistics } from './statistics';

/** Result of recover(). */
export interface Recovery {
  /** False: the adapter was not reset, and nothing changed. */
  readonly reset: boolean;
  /** FlashContext.id now and before. */
  readonly id: bigint;
  /** FlashContext.id before the recovery. */
  readonly previousId: bigint;
  /** How many times RECOVER_AFU failed with EAGAIN first. */
  readonly retries: number;
}

/** Milliseconds for which DETACH waits for a slow AFU: what is not released by then stays in use. */
const RELEASE_TIME = 10_000;

/**
 * A context on a flash adapter: LUNs are attached to it, resources (handles) are opened on it, and
 * commands are issued through it. Resource.release() frees a resource; detach() frees a LUN with
 * all its resources; close() frees everything, including the context.
 *
 * @example
 * import { openLun } from 'node-cxl/flash';
 *
 * const lun = await openLun('/dev/sg1');
 * await lun.enableSuperpipe();
 * const context = await lun.attach();
 * const scratch = await context.openVirtual({ blocks: 4096 });
 * const log = await context.openVirtual({ blocks: 8192 });
 * console.log(context.resources.length, context.isHealthy()); // 2 true
 * await scratch.release();
 * console.log(context.resources[0] === log); // true
 * await context.close(); // frees what is left
 * await lun.close();
 */
export class FlashContext extends Uncloneable {
  /** Which commands the context may issue: what `access` of Lun.attach() was. */
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
  /** What a recovery got of the driver and could not use yet. */
  #replacement: Adoption | undefined;
  /** LUNs that are being detached. */
  readonly #detaching = new Map<Lun, Promise<void>>();
  #closing: Promise<void> | undefined;

  private constructor(
    lun: Lun,
    access: 'read' | 'write' | 'read-write',
    options: QueueOptions,
    id: bigint,
    { context, page, geometry }: AttachedContext,
  ) {
    super();
    this.access = access;
    this.#options = options;
    this.#processId = flashBindingOf(lun.system).processId;
    this.#id = id;
    this.#context = context;
    this.#page = page;
    this.#luns.set(lun, geometry);
  }

  /** @internal Use Lun.attach(). */
  static async attach(lun: Lun, options: AttachOptions): Promise<FlashContext> {
    const { access, interrupts, queue } = checkAttachOptions(options);
    const flags = ACCESS_FLAGS[access];
    const { answer } = await retryOnEagain(
      () => lun.request('ATTACH', { flags, numInterrupts: BigInt(interrupts) }),
      options.signal,
    );
    const squeue = (answer.returnFlags & flashFlags.contextSqCmdMode) !== 0n;
    const adopted = await adoptAttached(lun, answer);
    return new FlashContext(lun, access, { ...queue, squeue }, answer.contextId, adopted);
  }

  /** The driver's context id: opaque, valid only in this process. Changes at a recovery. */
  get id(): bigint {
    return this.#id;
  }

  /** The cxl context: events and mapping. Replaced at a recovery. */
  get context(): Context {
    return this.#context;
  }

  /** The host-transport page (64 KiB, 64-bit accesses only). Replaced at a recovery. */
  get registers(): ProblemState {
    return this.#page;
  }

  /** Whether close() was called. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** The LUNs that are attached to the context. */
  get luns(): readonly Lun[] {
    return [...this.#luns.keys()];
  }

  /** The resources that are open on the context. */
  get resources(): readonly Resource[] {
    return [...this.#resources];
  }

  /** Statistics of the commands of all block devices of this context. */
  get statistics(): Readonly<QueueStatistics> | undefined {
    return this.#queue?.statistics;
  }

  /** Block size and capacity of an attached LUN, as ATTACH reported them. */
  geometry(lun: Lun = this.#onlyLun()): Geometry {
    this.#check();
    return this.#geometry(lun);
  }

  /**
   * Attaches another LUN of the same adapter (ATTACH with REUSE_CONTEXT).
   *
   * @throws EINVAL when it is attached already, superpipe is off, or it is on another adapter;
   *   EBADMSG its blocks have not 512 to 4096 bytes
   */
  async join(lun: Lun): Promise<void> {
    this.#check();
    checkLun(lun);
    const flags = ACCESS_FLAGS[this.access] | flashFlags.reuseContext;
    const interrupts = 0n;
    const answer = await this.#recovered(() =>
      lun.call('ATTACH', { flags, numInterrupts: interrupts, contextId: this.#id }),
    );
    try {
      this.#luns.set(lun, geometryOf(answer, lun.path));
    } catch (error) {
      await lun.call('DETACH', { contextId: this.#id }).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Detaches one LUN with its resources (DETACH), after their commands: see Resource.release().
   * For the last LUN, or when close() was called meanwhile, this is close().
   */
  async detach(lun: Lun): Promise<void> {
    this.#check();
    this.#geometry(lun);
    if (this.#isLast(lun)) return this.close();
    const resources = [...this.#resources].filter((resource) => resource.lun === lun);
    for (const resource of resources) resource.refuseCommands(true);
    try {
      await this.retire(
        ({ resource }) => resource.lun === lun,
        canceled('its LUN was detached', lun.path),
      );
      for (const resource of resources) await resource.scrubFrom(0n, resource.blocks);
      // The others may have been detached meanwhile.
      if (this.closed || this.#isLast(lun)) return this.close();
      await this.#detachLun(lun);
    } catch (error) {
      if (!this.closed) {
        for (const resource of resources) resource.refuseCommands(false);
        throw error;
      }
    }
    // It does what is left.
    if (this.closed) return this.close();
  }

  /**
   * The whole LUN (USER_DIRECT).
   *
   * @throws EINVAL in use as virtual; EMFILE no handle left; EAGAIN slow AFU, after 20 retries
   */
  async openDirect(lun: Lun = this.#onlyLun()): Promise<Resource> {
    this.#check();
    const geometry = this.#geometry(lun);
    const { answer } = await this.#recovered(() =>
      retryOnEagain(() => lun.call('USER_DIRECT', { contextId: this.#id })),
    );
    return this.#add(
      new Resource(this, lun, geometry, 'direct', answer.rsrcHandle, answer.lastLba, false),
    );
  }

  /**
   * A virtual LUN (USER_VIRTUAL, then VLUN_RESIZE) of `blocks` blocks, rounded up to chunks of
   * 65536; 0 makes an empty one. When fewer blocks are free, it gets those: see Resource.blocks.
   *
   * @throws EINVAL in use as physical; EMFILE no handle left; ENOSPC no chunk is free; ENOMEM the
   *   LUN is smaller than a chunk; EAGAIN slow AFU, after 20 retries
   */
  async openVirtual(options: OpenVirtualOptions = {}): Promise<Resource> {
    this.#check();
    checkOpenVirtual(options);
    const lun = options.lun ?? this.#onlyLun();
    const geometry = this.#geometry(lun);
    const lunSize = toSizeUnits('options.blocks', options.blocks ?? 0, geometry.blockSize);
    const flags = options.writeSame === true ? flashFlags.needWriteSame : 0n;
    // Empty at first: when USER_VIRTUAL with a size fails with EAGAIN, the driver leaves the chunks
    // in the handle that it frees. The next call gets that handle, and if nobody else has used the
    // LUN, chunks that are free for others as well.
    const { answer } = await this.#recovered(() =>
      retryOnEagain(() => lun.call('USER_VIRTUAL', { flags, contextId: this.#id, lunSize: 0n })),
    );
    const allPorts = (answer.returnFlags & flashFlags.allPortsActive) !== 0n;
    const { rsrcHandle, lastLba } = answer;
    const { scrub } = options;
    const resource = this.#add(
      new Resource(this, lun, geometry, 'virtual', rsrcHandle, lastLba, allPorts, scrub),
    );
    try {
      if (lunSize > 0n) await resource.resize(options.blocks ?? 0);
      return resource;
    } catch (error) {
      // Else close() or detach() releases it.
      await resource.releaseUnused().catch(() => undefined);
      throw error;
    }
  }

  /**
   * Whether the adapter answers. While it is in error, its registers read as all ones; recover()
   * makes the context usable again.
   */
  isHealthy(): boolean {
    this.#check();
    try {
      return this.#page.read64(REGISTERS.endianControl) !== ALL_ONES_64;
    } catch (error) {
      if (error instanceof CxlError && error.code === 'EIO') return false;
      throw error;
    }
  }

  /**
   * Recovers the context after a reset of the adapter: RECOVER_AFU (waits for a reset in progress;
   * retried on EAGAIN), then replaces the descriptor and the mapping and closes the old ones.
   * Resources keep their handles; commands are issued again or fail, as `onReset` says. When the
   * adapter was not reset, nothing changes. Concurrent calls share one recovery. When it fails,
   * nothing is lost: the next call goes on where this one failed.
   *
   * @throws ENODEV the adapter is gone: close() the context
   */
  recover(): Promise<Recovery> {
    this.#check();
    this.#recovery ??= this.#recover().finally(() => {
      this.#recovery = undefined;
      this.#queue?.proceed();
    });
    return this.#recovery;
  }

  /**
   * Makes a call, and once more if the adapter was reset before it: to the driver a
   * context that was not recovered yet is an unknown one (EINVAL).
   */
  async #recovered<T>(call: () => Promise<T>): Promise<T> {
    const before = this.#id;
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof CxlError) || error.code !== 'EINVAL' || this.closed) throw error;
      // The queue may have recovered it meanwhile.
      if (this.#id === before && !(await this.recover()).reset) throw error;
      return call();
    }
  }

  async #recover(): Promise<Recovery> {
    const previousId = this.#id;
    this.#queue?.pause();
    try {
      // A context that hangs needs no more, if that helps.
      const again = (await this.#queue?.resetContext()) === true;
      const { reset, retries } = again ? NOT_RESET : await this.#recoverAfu();
      await this.#queue?.resume(reset);
      return { reset, id: this.#id, previousId, retries };
    } catch (error) {
      this.#queue?.recoveryFailed(error);
      throw error;
    }
  }

  async #recoverAfu(): Promise<{ reset: boolean; retries: number }> {
    const [lun, close] = await this.#openNode();
    try {
      const { answer, retries } = await retryOnEagain(() =>
        lun.request('RECOVER_AFU', { contextId: this.#id }),
      );
      if ((answer.returnFlags & flashFlags.contextReset) !== 0n) {
        const earlier = this.#replacement;
        this.#id = answer.contextId;
        this.#replacement = new Adoption(lun, answer);
        await earlier?.discard();
      }
      if (this.#replacement === undefined) return { reset: false, retries };
      const { context, page } = this.#replacement.take();
      const old = this.#context;
      this.#replacement = undefined;
      this.#context = context;
      this.#page = page;
      // Also removes the old mapping. Nothing depends on its success: the driver has let go of it.
      await old.close().catch(() => undefined);
      return { reset: true, retries };
    } finally {
      await close();
    }
  }

  /** A LUN whose node takes ioctls: programs may close a LUN and keep the context. */
  async #openNode(): Promise<[Lun, () => Promise<void>]> {
    const luns = [...this.#luns.keys()];
    const open = luns.find((lun) => !lun.closed);
    if (open !== undefined) return [open, async () => undefined];
    const lun = await (luns[0] as Lun).reopen();
    return [lun, () => lun.close().catch(() => undefined)];
  }

  /**
   * What a child process needs for cloneFrom().
   *
   * @throws ERR_INVALID_STATE a resource was opened with `scrub`, which would zero the clone's blocks
   */
  cloneToken(): CloneToken {
    this.#check();
    if ([...this.#resources].some(({ scrub }) => scrub)) {
      throw stateError('a resource with `scrub` is not cloned: its clone’s blocks would be zeroed');
    }
    const resources = [...this.#resources].map((resource) => resource.describe());
    return { contextId: this.#id.toString(16), processId: this.#processId, resources };
  }

  /**
   * Clones the virtual resources of a context of the parent process (VLUN_CLONE): the same handles
   * for the same blocks. Called in the child, on a new context of its own.
   *
   * @throws ERR_INVALID_STATE when this context has resources, or the token is not the direct
   *   parent's; EINVAL the parent has ended, or its LUN is not virtual; EAGAIN slow AFU,
   *   after 20 retries
   */
  async cloneFrom(token: CloneToken, lun: Lun = this.#onlyLun()): Promise<Resource[]> {
    this.#check();
    const geometry = this.#geometry(lun);
    const contextIdSrc = sourceContextId(token, flashBindingOf(lun.system).parentProcessId);
    if (this.#resources.size > 0) throw stateError('cloneFrom() needs a context without resources');
    await retryOnEagain(() => lun.call('VLUN_CLONE', { contextIdSrc, contextIdDst: this.#id }));
    const clones: Resource[] = [];
    try {
      for (const { handle } of token.resources) {
        const rsrcHandle = BigInt(handle);
        const { lastLba } = await lun.call('VERIFY', { contextId: this.#id, rsrcHandle });
        clones.push(new Resource(this, lun, geometry, 'virtual', rsrcHandle, lastLba, false));
      }
    } catch (error) {
      await this.#releaseHandles(lun, token.resources);
      throw error;
    }
    for (const clone of clones) this.#add(clone);
    return clones;
  }

  /** Releases handles as far as possible: DETACH releases those that are left. */
  async #releaseHandles(
    lun: Lun,
    resources: Iterable<{ readonly handle: number }>,
    atLeast = 0,
  ): Promise<void> {
    const contextId = this.#id;
    for (const { handle } of resources) {
      const rsrcHandle = BigInt(handle);
      const release = () => lun.call('RELEASE', { contextId, rsrcHandle });
      await retryOnEagain(release, undefined, atLeast).catch(() => undefined);
    }
  }

  /**
   * Ends the commands in flight by a context reset (they succeed when they had completed, else fail
   * with ECANCELED), detaches every LUN, closes the descriptor and frees the memory. Idempotent.
   * Also works after a failed recovery. Waits up to 10 s for a slow AFU, for each virtual LUN, as the
   * LUN would stay in use otherwise. Resources that were opened with `scrub` are overwritten first; when that fails, close() closes everything all the same, and rejects with the error.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#recovery?.catch(() => undefined);
    let failure = await this.#scrubAll();
    await this.#queue?.close();
    for (const lun of this.#luns.keys()) {
      // Its node takes no ioctl any more; closing the context's descriptor detaches the LUN.
      if (lun.closed) continue;
      try {
        await this.#detachLun(lun);
      } catch (error) {
        // Continue: closing the context's descriptor detaches the LUN as well.
        failure ??= error;
      }
    }
    this.#page.unmap();
    try {
      await this.#replacement?.discard();
      await this.#context.close();
    } finally {
      this.#queue?.free();
      this.#luns.clear();
      this.#resources.clear();
    }
    if (failure !== undefined && !isGone(failure)) throw failure;
  }

  /** The first error. */
  async #scrubAll(): Promise<unknown> {
    let failure: unknown;
    for (const resource of this.#resources) {
      if (!resource.scrub) continue;
      resource.refuseCommands(true);
      this.#queue ??= this.#makeQueue();
      const queue = this.#queue;
      try {
        const closed = canceled('the context was closed');
        await queue.retire((command) => command.resource === resource, closed);
        await resource.scrubFrom(0n, resource.blocks, queue);
      } catch (error) {
        failure ??= error;
      }
    }
    return failure;
  }

  /** No other LUN stays attached. */
  #isLast(lun: Lun): boolean {
    const luns = [...this.#luns.keys()];
    return luns.every((other) => other === lun || this.#detaching.has(other));
  }

  /** Calls that come together share one: the driver does not know the LUN for the second. */
  #detachLun(lun: Lun): Promise<void> {
    let detaching = this.#detaching.get(lun);
    if (detaching === undefined) {
      detaching = this.#releaseAndDetach(lun).finally(() => this.#detaching.delete(lun));
      this.#detaching.set(lun, detaching);
    }
    return detaching;
  }

  /**
   * Releases the virtual resources of a LUN before DETACH. The driver's DETACH releases them too, but
   * ignores EAGAIN from the AFU: the LUN would stay virtual, and its blocks in use, forever.
   */
  async #releaseAndDetach(lun: Lun): Promise<void> {
    const own = [...this.#resources].filter(
      ({ lun: other, mode }) => other === lun && mode === 'virtual',
    );
    await this.#releaseHandles(lun, own, RELEASE_TIME);
    await lun.call('DETACH', { contextId: this.#id });
    this.#luns.delete(lun);
    // Also those that were opened meanwhile.
    for (const resource of this.#resources) {
      if (resource.lun === lun) this.#resources.delete(resource);
    }
  }

  /** @internal The state, for util.inspect() and console.log(). */
  [inspect.custom](depth: number, options: InspectOptions): string {
    return shown(this, depth, options, {
      id: hexadecimal(this.#id),
      access: this.access,
      luns: this.#luns.size,
      resources: this.#resources.size,
      closed: this.closed,
    });
  }

  /** As close(): for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal The queue that all block devices of this context share. */
  get queue(): CommandQueue {
    this.#check();
    this.#queue ??= this.#makeQueue();
    return this.#queue;
  }

  #makeQueue(): CommandQueue {
    const flash = this;
    return new CommandQueue(
      this.#anyLun().system,
      {
        get page() {
          return flash.#page;
        },
        get context() {
          return flash.#context;
        },
        get contextNumber() {
          return Number(flash.#id & 0xffff_ffffn);
        },
        recover: async () => flash.recover(),
      },
      this.#options,
    );
  }

  /** @internal See CommandQueue.retire(). */
  async retire(matches: (command: Command) => boolean, error: CxlError): Promise<void> {
    await this.#queue?.retire(matches, error);
  }

  /** @internal */
  has(resource: Resource): boolean {
    return !this.closed && this.#resources.has(resource);
  }

  /** @internal */
  removeResource(resource: Resource): void {
    this.#resources.delete(resource);
  }

  #add(resource: Resource): Resource {
    this.#resources.add(resource);
    return resource;
  }

  /** @internal @throws ERR_INVALID_STATE after close() */
  assertUsable(): void {
    this.#check();
  }

  #check(): void {
    if (this.closed) throw stateError('this flash context has been detached');
  }

  #anyLun(): Lun {
    // There is at least one until close().
    const [lun] = this.#luns.keys();
    return lun as Lun;
  }

  #onlyLun(): Lun {
    if (this.#luns.size > 1) throw typeError('lun', 'given: the context has several', undefined);
    return this.#anyLun();
  }

  #geometry(lun: Lun): Geometry {
    checkLun(lun);
    const geometry = this.#luns.get(lun);
    if (geometry === undefined) throw stateError(`${lun.path} is not attached to this context`);
    return geometry;
  }
}

const NOT_RESET = { reset: false, retries: 0 } as const;

/** By what it does: lun.ts imports this module. */
function checkLun(lun: Lun): void {
  if (typeof (lun as Lun | null)?.enableSuperpipe !== 'function') {
    throw typeError('lun', 'a Lun', lun);
  }
}

function isGone(error: unknown): boolean {
  return error instanceof CxlError && error.code === 'ENODEV';
}
