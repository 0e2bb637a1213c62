import { type InspectOptions, inspect } from 'node:util';
import { flashFlags } from '../binding/flash';
import { stateError } from '../shared/errors';
import { shown } from '../shared/inspection';
import { BlockDevice } from './block-device';
import type { FlashContext } from './flash-context';
import { type Geometry, SIZE_UNIT, toSizeUnits } from './geometry';
import type { Lun } from './lun';
import { retryOnEagain } from './retry';
import type { Sense } from './sense';

export interface OpenVirtualOptions {
  /** Required when several LUNs are attached to the context. */
  lun?: Lun;
  /** Blocks of the LUN's block size. Default 0. */
  blocks?: number | bigint;
  /** Blocks are overwritten with zeros before they are freed (NEED_WRITE_SAME). Default false. */
  writeSame?: boolean;
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
  readonly handle: number;
  readonly mode: 'direct' | 'virtual';
}

const VERIFY_SENSE_BYTES = 18;

/** A LUN or a part of one that a context may use: a resource handle. */
export class Resource {
  readonly context: FlashContext;
  readonly lun: Lun;
  readonly mode: 'direct' | 'virtual';
  /** Index in the context's resource handle table. */
  readonly handle: number;
  /** Bytes. */
  readonly blockSize: number;
  /** Blocks that one command can transfer. */
  readonly maxTransfer: number;
  /** Of a virtual LUN: it is used over several ports (ALL_PORTS_ACTIVE). */
  readonly allPortsActive: boolean;
  #blocks: bigint;
  #released = false;

  /** @internal Use FlashContext.openDirect() and openVirtual(). */
  constructor(
    context: FlashContext,
    lun: Lun,
    geometry: Geometry,
    mode: 'direct' | 'virtual',
    handle: bigint,
    lastLba: bigint,
    allPortsActive: boolean,
  ) {
    this.context = context;
    this.lun = lun;
    this.mode = mode;
    this.handle = Number(handle);
    this.blockSize = geometry.blockSize;
    this.maxTransfer = geometry.maxTransfer;
    this.allPortsActive = allPortsActive;
    this.#blocks = this.#count(lastLba);
  }

  /** Size in blocks of blockSize bytes. 0: an empty virtual LUN. */
  get blocks(): bigint {
    return this.#blocks;
  }

  /** Also true after FlashContext.detach() or close(). */
  get released(): boolean {
    return this.#released || !this.context.has(this);
  }

  /** The driver's last LBA counts blocks of a direct LUN, but units of 4 KiB of a virtual one. */
  #count(lastLba: bigint): bigint {
    const units = BigInt.asUintN(64, lastLba + 1n);
    return this.mode === 'direct' ? units : (units * SIZE_UNIT) / BigInt(this.blockSize);
  }

  /**
   * Changes the size of a virtual LUN to `blocks`, rounded up to chunks of 65536. When fewer blocks
   * are free, it gets those, and `truncated` is true. Shrinking frees the blocks at the end.
   *
   * @throws EINVAL a direct LUN; ENOSPC no chunk is free; EAGAIN slow AFU, after 20 retries
   */
  async resize(blocks: number | bigint): Promise<Resized> {
    this.assertOpen();
    const reqSize = toSizeUnits('blocks', blocks, this.blockSize);
    const contextId = this.context.id;
    const { answer, retries } = await retryOnEagain(() =>
      this.lun.call('VLUN_RESIZE', { contextId, rsrcHandle: BigInt(this.handle), reqSize }),
    );
    this.#blocks = this.#count(answer.lastLba);
    return { blocks: this.#blocks, truncated: this.#blocks < BigInt(blocks), retries };
  }

  /**
   * Reads the size of the LUN from the driver (VERIFY) and updates `blocks`. With the sense data of
   * a unit attention the driver reads the capacity from the LUN again.
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
    const { lastLba } = await this.lun.call('VERIFY', {
      contextId,
      rsrcHandle: BigInt(this.handle),
      hint,
      senseData,
    });
    const before = this.#blocks;
    this.#blocks = this.#count(lastLba);
    return this.#blocks !== before;
  }

  /**
   * Releases the handle (RELEASE), which frees the blocks of a virtual LUN. Idempotent.
   *
   * @throws EAGAIN slow AFU, after 20 retries
   */
  async release(): Promise<void> {
    if (this.released) return;
    const contextId = this.context.id;
    await retryOnEagain(() =>
      this.lun.call('RELEASE', { contextId, rsrcHandle: BigInt(this.handle) }),
    );
    this.#released = true;
    this.context.removeResource(this);
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
  }
}
