/** One LUN over several paths: when the path in use fails, transfers go on over another. */
import { AbortError, onAbort, throwIfAborted } from '../shared/abort';
import { stateError, systemError } from '../shared/errors';
import { BlockAccess, type TransferOptions, type TransferRequest } from './block-access';
import type { BlockDevice } from './block-device';
import { blocksOf, checkRequests, checkTransferOptions } from './block-requests';
import {
  type BlockStatistics,
  countSettled,
  countStarted,
  newBlockStatistics,
} from './block-statistics';
import type { LunPath, PathState } from './lun-path';
import { isClosedContext, isPathError } from './path-error';
import type { Resource } from './resource';
import type { QueueStatistics } from './statistics';
import type { Undo } from './undo';

/** A path of a MultipathBlockDevice, as it was when it was asked for. */
export interface PathStatus {
  /** /dev/sgN or /dev/sdX. */
  readonly node: string;
  /** SCSI address, host:channel:target:lun. */
  readonly address: string;
  /** SCSI host number of the adapter, and its port. */
  readonly host: number;
  /** Port of the adapter, 0 to 3. */
  readonly port: number;
  /**
   * `active`: transfers go over it. `ready`: attached, not used. `failed`: closed; it is attached
   * again when no other path is left, or by reinstate().
   */
  readonly state: PathState;
  /** Why it failed; undefined when it has not. */
  readonly error: unknown;
  /** Transfers that succeeded over it. */
  readonly transfers: number;
}

/** What onPathChange is told. */
export interface PathChange {
  /** The path that failed, with the error. */
  readonly from: PathStatus;
  /** The path that serves from now on: the same one when it could be attached again. */
  readonly to: PathStatus;
}

export interface MultipathStatistics extends BlockStatistics {
  /** Times another path, or the same one attached again, became the active one. */
  pathChanges: number;
  /** Times no path could be attached. */
  pathsExhausted: number;
  /** Transfers begun again on another path. */
  failedOver: number;
}

export interface MultipathSetup {
  readonly paths: readonly LunPath[];
  readonly active: LunPath;
  readonly undo: Undo;
  /** Whether another path reaches the same blocks: not those of a virtual LUN. */
  readonly failover: boolean;
  /** Whether transfers that a failed path left are begun again. */
  readonly repeat: boolean;
  readonly onPathChange: ((change: PathChange) => void) | undefined;
}

/** What ends the transfers of one call early. */
interface Limits {
  readonly signal: AbortSignal | undefined;
  /** performance.now() at which they time out. */
  readonly end: number;
}

/** How often a transfer is begun again because its path failed, for each path there is. */
const ROUNDS = 2;

/**
 * Block I/O on one LUN over one or several paths, as openBlockDevice() makes it. All transfers go
 * over the active path. When it fails (its adapter is gone, its context cannot be recovered, or no
 * link of it reaches the LUN), its context is closed first, so that no command issued over it runs
 * any more; only then are the transfers that it left begun again over the next path. So a write
 * whose promise has settled is never overwritten by an earlier one that was still in flight.
 *
 * @example
 * import { openBlockDevice } from 'node-cxl/flash';
 * import { createMockCxl } from 'node-cxl/mock';
 *
 * const wwid = '6002507605bd0c00a000000000000001';
 * const system = createMockCxl({ flash: [{ luns: [{ blocks: 65_536, wwid }] }] });
 * await using device = await openBlockDevice({ system, wwid });
 * for (const { node, state } of device.paths) console.log(node, state); // /dev/sg1 active
 * await device.write(0, new Uint8Array(device.blockSize));
 * console.log(device.path.transfers); // 1
 */
export class MultipathBlockDevice extends BlockAccess {
  readonly statistics: MultipathStatistics = {
    ...newBlockStatistics(),
    pathChanges: 0,
    pathsExhausted: 0,
    failedOver: 0,
  };
  readonly blockSize: number;
  readonly #setup: MultipathSetup;
  #active: LunPath;
  #blocks = 0n;
  #failover: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  /** @internal Use openBlockDevice(). */
  constructor(setup: MultipathSetup) {
    super();
    this.#setup = setup;
    this.#active = setup.active;
    this.#active.state = 'active';
    this.blockSize = this.resource.blockSize;
  }

  /** That of the last active path while there is none. */
  get blocks(): bigint {
    this.#blocks = this.#active.resource?.blocks ?? this.#blocks;
    return this.#blocks;
  }

  get unmapSupported(): boolean {
    return this.#active.device?.unmapSupported ?? false;
  }

  /** Every path that was found, the active one included. */
  get paths(): readonly PathStatus[] {
    return this.#setup.paths.map(describe);
  }

  /** The path that transfers go over. */
  get path(): PathStatus {
    return describe(this.#active);
  }

  /**
   * The resource on the active path, for resize() and verify(). A path change replaces it.
   *
   * @throws ERR_INVALID_STATE no path is usable, or the device is closed
   */
  get resource(): Resource {
    const { resource } = this.#active;
    if (resource === undefined) throw stateError('no path to the LUN is attached');
    return resource;
  }

  /** Statistics of the queue of the active path's context. */
  get queueStatistics(): Readonly<QueueStatistics> | undefined {
    return this.#active.device?.queueStatistics;
  }

  /** Whether close() was called. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  override submit(
    requests: readonly TransferRequest[],
    options: TransferOptions = {},
  ): Promise<void>[] {
    if (this.closed) throw stateError('this block device is closed');
    const { signal, timeout } = checkTransferOptions(options);
    checkRequests(requests);
    const limits: Limits = {
      signal,
      end: performance.now() + (timeout ?? Number.POSITIVE_INFINITY),
    };
    const path = this.#active;
    const { device } = path;
    const usable = this.#failover === undefined && device !== undefined;
    const first = usable ? device.submit(requests, options) : undefined;
    return requests.map(async (request, index) => {
      countStarted(this.statistics, request.operation);
      let blocks: number | undefined;
      try {
        const begun = usable ? { path, device, promise: first?.[index] } : undefined;
        await this.#complete(request, options, limits, begun);
        blocks = blocksOf(request, this.blockSize);
      } finally {
        countSettled(this.statistics, request.operation, blocks, this.blockSize);
      }
    });
  }

  /** Carries one transfer through, over as many paths as it takes. `begun`: on the first of them. */
  async #complete(
    request: TransferRequest,
    options: TransferOptions,
    limits: Limits,
    begun: { path: LunPath; device: BlockDevice; promise: Promise<void> | undefined } | undefined,
  ): Promise<void> {
    const rounds = ROUNDS * this.#setup.paths.length;
    for (let round = 0; ; round += 1) {
      const { path, device, promise } =
        round === 0 && begun !== undefined ? begun : await this.#begin(request, options, limits);
      try {
        await promise;
        path.transfers += 1;
        return;
      } catch (error) {
        const left = path.device !== device && isClosedContext(error);
        if (this.closed || !this.#setup.failover || !(left || isPathError(error))) throw error;
        const failover = this.#fail(path, device, error);
        if (!this.#setup.repeat || round >= rounds) throw error;
        throwIfAborted(limits.signal);
        await this.#limited(failover, limits);
        this.statistics.failedOver += 1;
      }
    }
  }

  /** Begins a transfer on the active path, when there is one. */
  async #begin(request: TransferRequest, options: TransferOptions, limits: Limits) {
    for (;;) {
      if (this.closed) throw stateError('this block device is closed');
      const path = this.#active;
      const { device } = path;
      if (this.#failover === undefined && device !== undefined) {
        const rest = limits.end - performance.now();
        if (rest <= 0) throw timedOut();
        const timeout = rest === Number.POSITIVE_INFINITY ? undefined : Math.ceil(rest);
        return { path, device, promise: device.submit([request], { ...options, timeout })[0] };
      }
      await this.#limited(this.#failover ?? this.#change(path, path.error), limits);
    }
  }

  /** A transfer over `device` failed because of its path. Resolves when another path serves. */
  #fail(path: LunPath, device: BlockDevice, error: unknown): Promise<void> {
    // A path that has been left has another device now, or none.
    if (path.device === device) this.#change(path, error);
    return this.#failover ?? Promise.resolve();
  }

  #change(from: LunPath, error: unknown): Promise<void> {
    this.#failover ??= this.#failOver(from, error).finally(() => {
      this.#failover = undefined;
    });
    // Whoever waits for it gets its error.
    this.#failover.catch(() => undefined);
    return this.#failover;
  }

  async #failOver(from: LunPath, error: unknown): Promise<void> {
    const { paths, onPathChange } = this.#setup;
    this.#blocks = this.blocks;
    // The kernel takes the context from the AFU whatever else fails.
    await from.fence(error).catch(() => undefined);
    // As it is now: it may be attached again below.
    const failed = { ...describe(from), error };
    const at = paths.indexOf(from);
    const others = [...paths.slice(at + 1), ...paths.slice(0, at)];
    const ready = others.filter(({ state }) => state === 'ready');
    let failure = error;
    // The first that is ready serves at once; the others are tried where none is.
    for (const path of [...ready, ...others, from]) {
      if (this.closed) throw stateError('this block device is closed');
      try {
        if (path.device === undefined) await path.attach();
      } catch (reason) {
        path.error = reason;
        failure = reason;
        continue;
      }
      this.#active = path;
      path.state = 'active';
      this.statistics.pathChanges += 1;
      const change = { from: failed, to: describe(path) };
      // Not from within: what it throws is no error of a transfer.
      if (onPathChange !== undefined) process.nextTick(onPathChange, change);
      return;
    }
    this.statistics.pathsExhausted += 1;
    throw failure;
  }

  /** Waits for a failover, at most as long as the call may take. */
  async #limited(failover: Promise<void>, { signal, end }: Limits): Promise<void> {
    const rest = end - performance.now();
    let timer: NodeJS.Timeout | undefined;
    let removeListener: (() => void) | undefined;
    const early = new Promise<never>((_, reject) => {
      if (rest !== Number.POSITIVE_INFINITY) {
        timer = setTimeout(() => reject(timedOut()), Math.max(rest, 0));
      }
      if (signal !== undefined) {
        removeListener = onAbort(signal, () => reject(new AbortError(signal)));
      }
    });
    try {
      await Promise.race([failover, early]);
    } finally {
      clearTimeout(timer);
      removeListener?.();
    }
  }

  /**
   * Attaches the failed paths again that can be.
   *
   * @returns how many paths can be used now
   */
  async reinstate(): Promise<number> {
    await this.#failover?.catch(() => undefined);
    if (this.closed) throw stateError('this block device is closed');
    for (const path of this.#setup.paths) {
      if (path.device !== undefined) continue;
      try {
        await (path === this.#active ? this.#change(path, path.error) : path.attach());
      } catch (error) {
        path.error = error;
      }
    }
    return this.#setup.paths.filter(({ state }) => state !== 'failed').length;
  }

  override async drained(): Promise<void> {
    await this.#failover?.catch(() => undefined);
    await this.#active.device?.drained();
  }

  /**
   * Undoes openBlockDevice(): closes every context, with the commands in flight; disables superpipe
   * on the LUN where openBlockDevice() enabled it and nobody else uses it; closes the nodes.
   * Everything is undone also when a step fails. Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#failover?.catch(() => undefined);
    await this.#setup.undo.run();
  }

  /** As close(): for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function timedOut() {
  const hint = 'no path to the LUN was usable in time';
  return systemError('ETIMEDOUT', 'transfer', undefined, hint);
}

function describe({ node, info, state, error, transfers }: LunPath): PathStatus {
  const { address, host, port } = info;
  return { node, address, host, port, state, error, transfers };
}
