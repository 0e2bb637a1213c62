import { type InspectOptions, inspect } from 'node:util';
import { flashFlags } from '../binding/flash';
import type { MemoryHolder } from '../device/holders';
import { checkBoolean, checkOptions, type OptionNames } from '../shared/checks';
import { stateError, valueError } from '../shared/errors';
import { shown } from '../shared/inspection';
import { Uncloneable } from '../shared/uncloneable';
import { BlockDevice } from './block-device';
import type { CommandQueue } from './command-queue';
import { canceled } from './command-status';
import type { FlashContext } from './flash-context';
import { type Geometry, grantedBlocks, SIZE_UNIT, toSizeUnits } from './geometry';
import type { Lun } from './lun';
import { retryOnEagain } from './retry';
import { scrub } from './scrub';
import type { Sense } from './sense';

/** Options of FlashContext.openVirtual(). */
export interface OpenVirtualOptions {
  /** Required when several LUNs are attached to the context. */
  lun?: Lun | undefined;
  /** Blocks of the LUN's block size. Default 0. */
  blocks?: number | bigint | undefined;
  /**
   * Overwrite blocks with zeros, or unmap them where the LUN says that they read as zeros then,
   * before they are freed: by resize(), release(), detach() and close(), which wait for that. What
   * another program gets of the LUN later does not show this one's data. Blocks that the end of the
   * process frees are not overwritten. Default false.
   */
  scrub?: boolean | undefined;
  /**
   * Have the driver do it (NEED_WRITE_SAME): refused, unless acceptWriteSameDefect is true as well.
   * The driver zeroes the wrong blocks: for chunk n it overwrites 65536 blocks from block n on,
   * which are in chunks 0 and 1, whoever has those, and not the chunk that is freed. Source:
   * shrink_lxt() in vlun.c of Linux 6.1. Use `scrub`.
   */
  writeSame?: boolean | undefined;
  /** The program has to have writeSame, with the defect of the driver. Default false. */
  acceptWriteSameDefect?: boolean | undefined;
}

const OPEN_VIRTUAL_OPTIONS: OptionNames<OpenVirtualOptions> = {
  lun: true,
  blocks: true,
  scrub: true,
  writeSame: true,
  acceptWriteSameDefect: true,
};

/** @internal Before any ioctl. */
export function checkOpenVirtual(options: OpenVirtualOptions): OpenVirtualOptions {
  const { scrub, writeSame, acceptWriteSameDefect } = checkOptions(options, OPEN_VIRTUAL_OPTIONS);
  for (const [name, value] of Object.entries({ scrub, writeSame, acceptWriteSameDefect })) {
    if (value !== undefined) checkBoolean(`options.${name}`, value);
  }
  if (writeSame === true && acceptWriteSameDefect !== true) {
    throw valueError(
      'options.writeSame',
      'false: the driver zeroes the first blocks of the LUN, also those of other programs, and not what is freed (shrink_lxt of Linux 6.1). Use scrub: true, or insist by acceptWriteSameDefect: true',
      writeSame,
    );
  }
  return options;
}

/** Result of resize(). */
export interface Resized {
  /** The new size in blocks. */
  readonly blocks: bigint;
  /** Fewer blocks were free than requested. */
  readonly truncated: boolean;
  /** How many times VLUN_RESIZE failed with EAGAIN first. */
  readonly retries: number;
}

/** A resource in a CloneToken. */
export interface ResourceDescription {
  /** Index in the context's resource handle table. */
  readonly handle: number;
  /** All of a LUN, or a virtual LUN. */
  readonly mode: 'direct' | 'virtual';
}

const VERIFY_SENSE_BYTES = 18;

/**
 * A LUN or a part of one that a context may use: a resource handle.
 *
 * @example
 * import { openLun } from 'node-cxl/flash';
 *
 * await using lun = await openLun('/dev/sg1');
 * await lun.enableSuperpipe();
 * await using context = await lun.attach();
 * const virtual = await context.openVirtual({ blocks: 65_536, scrub: true });
 * const { blocks, truncated } = await virtual.resize(131_072);
 * console.log(blocks, truncated); // 131072n false
 * await virtual.release(); // overwrites its blocks first
 */
export class Resource extends Uncloneable {
  /** The context that it is open on. */
  readonly context: FlashContext;
  /** The LUN that its blocks are of. */
  readonly lun: Lun;
  /** All of the LUN, or a virtual LUN. */
  readonly mode: 'direct' | 'virtual';
  /** Index in the context's resource handle table. */
  readonly handle: number;
  /** Bytes. */
  readonly blockSize: number;
  /** Blocks that one command can transfer. */
  readonly maxTransfer: number;
  /** Of a virtual LUN: it is used over several ports (ALL_PORTS_ACTIVE). */
  readonly allPortsActive: boolean;
  /** Blocks are overwritten with zeros before they are freed: OpenVirtualOptions. */
  readonly scrub: boolean;
  /** @internal Holds the Memory of commands in flight. */
  readonly memoryHolder: MemoryHolder;
  #blocks: bigint;
  #state: 'open' | 'releasing' | 'released' = 'open';
  #releasing: Promise<void> | undefined;
  #verifying: Promise<boolean> | undefined;
  /** The last of the calls that change the size: they run one after the other. */
  #lastChange: Promise<unknown> = Promise.resolve();
  /** One of them runs. */
  #resizing = false;
  /** How often one has begun or ended. */
  #resizes = 0;

  /** @internal Use FlashContext.openDirect() and openVirtual(). */
  constructor(
    context: FlashContext,
    lun: Lun,
    geometry: Geometry,
    mode: 'direct' | 'virtual',
    handle: bigint,
    lastLba: bigint,
    allPortsActive: boolean,
    scrub = false,
  ) {
    super();
    this.scrub = scrub;
    this.context = context;
    this.lun = lun;
    this.mode = mode;
    this.handle = Number(handle);
    this.blockSize = geometry.blockSize;
    this.maxTransfer = geometry.maxTransfer;
    this.allPortsActive = allPortsActive;
    this.#blocks = this.#count(lastLba);
    this.memoryHolder = {
      path: lun.path,
      reason: `a transfer in flight (resource handle ${this.handle})`,
    };
  }

  /** Size in blocks of blockSize bytes. 0: an empty virtual LUN. */
  get blocks(): bigint {
    return this.#blocks;
  }

  /** Also true after FlashContext.detach() or close(). */
  get released(): boolean {
    return this.#state === 'released' || !this.context.has(this);
  }

  /** The driver's last LBA counts blocks of a direct LUN, but units of 4 KiB of a virtual one. */
  #count(lastLba: bigint): bigint {
    const units = BigInt.asUintN(64, lastLba + 1n);
    return this.mode === 'direct' ? units : (units * SIZE_UNIT) / BigInt(this.blockSize);
  }

  /**
   * Changes the size of a virtual LUN to `blocks`, rounded up to chunks of 65536. When fewer blocks
   * are free, it gets those, and `truncated` is true. Shrinking frees the blocks at the end, after
   * the commands that access them: those not issued yet fail with ECANCELED, those in flight are
   * waited for.
   *
   * After EAGAIN the size has changed all the same: `blocks` is what the driver says (VERIFY), or
   * the smaller of both sizes when that fails as well. The next resize() has the AFU take it.
   *
   * @throws EINVAL a direct LUN; ENOSPC no chunk is free; EAGAIN slow AFU, after 20 retries
   */
  async resize(blocks: number | bigint): Promise<Resized> {
    this.assertOpen();
    const reqSize = toSizeUnits('blocks', blocks, this.blockSize);
    const change = this.#lastChange.then(() => this.#resize(BigInt(blocks), reqSize));
    this.#lastChange = change.catch(() => undefined);
    return change;
  }

  async #resize(blocks: bigint, reqSize: bigint): Promise<Resized> {
    this.assertOpen();
    const after = grantedBlocks(reqSize, this.blockSize);
    this.#resizing = true;
    this.#resizes += 1;
    try {
      if (this.mode === 'virtual' && after < this.#blocks) await this.#prepareShrink(after);
      const retries = await this.#callResize(reqSize);
      return { blocks: this.#blocks, truncated: this.#blocks < blocks, retries };
    } finally {
      this.#resizes += 1;
      this.#resizing = false;
    }
  }

  /** No command accesses the blocks from `after` on any more. */
  async #prepareShrink(after: bigint): Promise<void> {
    const before = this.#blocks;
    this.#blocks = after;
    try {
      await this.context.retire(
        (command) => command.reaches(this, after),
        canceled('the virtual LUN was made smaller'),
      );
      await this.scrubFrom(after, before);
    } catch (error) {
      this.#blocks = before;
      throw error;
    }
  }

  /** Returns the number of retries. */
  async #callResize(reqSize: bigint): Promise<number> {
    try {
      const { answer, retries } = await retryOnEagain(() =>
        this.lun.call('VLUN_RESIZE', {
          contextId: this.context.id,
          rsrcHandle: BigInt(this.handle),
          reqSize,
        }),
      );
      this.#blocks = this.#count(answer.lastLba);
      return retries;
    } catch (error) {
      if (this.mode === 'virtual') await this.#findSize();
      throw error;
    }
  }

  /** After a VLUN_RESIZE that failed: with EAGAIN the driver has changed the size all the same. */
  async #findSize(): Promise<void> {
    try {
      const ids = { contextId: this.context.id, rsrcHandle: BigInt(this.handle) };
      const { lastLba } = await this.lun.call('VERIFY', ids);
      this.#blocks = this.#count(lastLba);
    } catch {
      // It is the smaller one since #prepareShrink().
    }
  }

  /**
   * Reads the size of the LUN from the driver (VERIFY) and updates `blocks`. With the sense data of
   * a unit attention the driver reads the capacity from the LUN again. While resize() runs,
   * `blocks` is left to that.
   *
   * @returns whether the size changed
   * @throws EIO the sense data reports an error; EINVAL it is not sense data; ENODEV the capacity
   *   cannot be read
   */
  async verify(sense?: Sense | Uint8Array): Promise<boolean> {
    this.assertOpen();
    const bytes = sense instanceof Uint8Array ? sense : sense?.bytes;
    const senseData = new Uint8Array(VERIFY_SENSE_BYTES);
    if (bytes !== undefined) senseData.set(bytes.subarray(0, VERIFY_SENSE_BYTES));
    const hint = bytes === undefined ? 0n : flashFlags.hintSense;
    const contextId = this.context.id;
    const resizes = this.#resizes;
    const { lastLba } = await this.lun.call('VERIFY', {
      contextId,
      rsrcHandle: BigInt(this.handle),
      hint,
      senseData,
    });
    // The driver may have answered before it changed the size.
    if (this.#resizing || this.#resizes !== resizes) return false;
    const before = this.#blocks;
    this.#blocks = this.#count(lastLba);
    return this.#blocks !== before;
  }

  /** @internal verify() because of a command's status; one call for commands that fail together. */
  verifyUnitAttention(sense: Sense | undefined): Promise<boolean> {
    this.#verifying ??= this.verify(sense).finally(() => {
      this.#verifying = undefined;
    });
    return this.#verifying;
  }

  /**
   * Releases the handle (RELEASE), which frees the blocks of a virtual LUN, after the commands that
   * use it: those not issued yet fail with ECANCELED, those in flight are waited for (at most until
   * `responseTimeout` of the context has them ended). New ones are refused from the call on. When
   * it fails, the resource can be used again. Idempotent.
   *
   * @throws EAGAIN slow AFU, after 20 retries; what a recovery failed with, that was needed first
   */
  release(): Promise<void> {
    this.#releasing ??= this.#release().finally(() => {
      this.#releasing = undefined;
    });
    return this.#releasing;
  }

  async #release(): Promise<void> {
    if (this.released) return;
    this.refuseCommands(true);
    try {
      await this.#lastChange;
      await this.context.retire(
        (command) => command.resource === this,
        canceled('its resource was released'),
      );
      if (!this.context.closed) await this.scrubFrom(0n, this.#blocks);
      // close() releases it otherwise.
      if (!this.context.closed) await this.#callRelease();
    } catch (error) {
      if (!this.context.closed) {
        this.refuseCommands(false);
        throw error;
      }
    }
    this.#state = 'released';
    this.context.removeResource(this);
  }

  /** @internal Before the blocks from `from` to below `to` are freed. */
  async scrubFrom(from: bigint, to: bigint, queue?: CommandQueue): Promise<void> {
    if (this.scrub) await scrub(this, queue ?? this.context.queue, from, to);
  }

  /** @internal After openVirtual() failed: nothing was written, so nothing is scrubbed. */
  async releaseUnused(): Promise<void> {
    this.refuseCommands(true);
    await this.#callRelease();
    this.#state = 'released';
    this.context.removeResource(this);
  }

  async #callRelease(): Promise<void> {
    await retryOnEagain(() =>
      this.lun.call('RELEASE', {
        contextId: this.context.id,
        rsrcHandle: BigInt(this.handle),
      }),
    );
  }

  /** @internal Before the handle is released, so that no command meets another LUN under it. */
  refuseCommands(refuse: boolean): void {
    if (this.#state !== 'released') this.#state = refuse ? 'releasing' : 'open';
  }

  /** @internal The state, for util.inspect() and console.log(). */
  [inspect.custom](depth: number, options: InspectOptions): string {
    return shown(this, depth, options, {
      lun: this.lun.path,
      mode: this.mode,
      handle: this.handle,
      blocks: this.#blocks,
      blockSize: this.blockSize,
      released: this.released,
    });
  }

  /** As release(): for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  /** Block I/O on this resource. All block devices of a context share its command queue. */
  blockDevice(): BlockDevice {
    this.assertOpen();
    return new BlockDevice(this);
  }

  /** @internal For CloneToken. */
  describe(): ResourceDescription {
    return { handle: this.handle, mode: this.mode };
  }

  /** @internal @throws ERR_INVALID_STATE once released, or the context closed */
  assertOpen(): void {
    this.context.assertUsable();
    if (this.released) throw stateError(`resource handle ${this.handle} has been released`);
    if (this.#state === 'releasing') {
      throw stateError(`resource handle ${this.handle} is being released`);
    }
  }
}
