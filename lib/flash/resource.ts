import { flashFlags } from '../binding/flash';
import { rangeError, stateError, typeError } from '../shared/errors';
import { BlockDevice } from './block-device';
import type { FlashContext } from './flash-context';
import type { Geometry } from './geometry';
import type { Lun } from './lun';
import { patiently } from './patience';
import type { Sense } from './sense';

export interface OpenVirtualOptions {
  /** Which LUN, when the context has several. */
  lun?: Lun;
  /** Blocks of the LUN's block size. Default 0. */
  blocks?: number | bigint;
  /** What the virtual LUN gives back is scrubbed first (NEED_WRITE_SAME). */
  writeSame?: boolean;
}

/** What resize() did. */
export interface Resized {
  /** Blocks now. */
  readonly blocks: bigint;
  /** There was not as much left as was asked for. */
  readonly truncated: boolean;
  /** Calls that answered EAGAIN before this. */
  readonly retries: number;
}

/** A resource as cloneToken() sends it. */
export interface ResourceDescription {
  readonly handle: number;
  readonly mode: 'direct' | 'virtual';
}

const sizeUnit = 4096n;
const maxUint64 = (1n << 64n) - 1n;
const verifySenseBytes = 18;

/** A LUN, or a part of one, as a context may use it: a resource handle. */
export class Resource {
  readonly context: FlashContext;
  readonly lun: Lun;
  readonly mode: 'direct' | 'virtual';
  /** Index in the context's resource handle table. */
  readonly handle: number;
  /** Bytes. */
  readonly blockSize: number;
  /** Blocks a command can move. */
  readonly maxTransfer: number;
  /** Virtual: reachable over several ports (ALL_PORTS_ACTIVE). */
  readonly allPortsActive: boolean;
  #blocks: bigint;
  #released = false;

  /** @internal Use FlashContext.openDirect() and openVirtual(). */
  constructor(
    context: FlashContext,
    lun: Lun,
    shape: Geometry,
    mode: 'direct' | 'virtual',
    handle: bigint,
    lastLba: bigint,
    allPortsActive: boolean,
  ) {
    this.context = context;
    this.lun = lun;
    this.mode = mode;
    this.handle = Number(handle);
    this.blockSize = shape.blockSize;
    this.maxTransfer = shape.maxTransfer;
    this.allPortsActive = allPortsActive;
    this.#blocks = this.#count(lastLba);
  }

  /** @internal A number of blocks in the driver's unit of 4 KiB, rounded up. */
  static sizeOf(name: string, blocks: unknown, shape: Pick<Geometry, 'blockSize'>): bigint {
    if (typeof blocks !== 'number' && typeof blocks !== 'bigint') {
      throw typeError(name, 'a number or bigint', blocks);
    }
    if (typeof blocks === 'number' && !Number.isSafeInteger(blocks)) {
      throw rangeError(name, 'an integer', blocks);
    }
    const bytes = BigInt(blocks) * BigInt(shape.blockSize);
    if (bytes < 0n || bytes > maxUint64) throw rangeError(name, 'from 0 to 2^64 bytes', blocks);
    return (bytes + sizeUnit - 1n) / sizeUnit;
  }

  /** Blocks of blockSize bytes. 0: an empty virtual LUN. */
  get blocks(): bigint {
    return this.#blocks;
  }

  get released(): boolean {
    return this.#released || !this.context.has(this);
  }

  /** The driver tells the size of a direct LUN in its blocks, of a virtual one in 4 KiB. */
  #count(lastLba: bigint): bigint {
    const units = BigInt.asUintN(64, lastLba + 1n);
    return this.mode === 'direct' ? units : (units * sizeUnit) / BigInt(this.blockSize);
  }

  /**
   * Makes a virtual LUN as many blocks long, rounded up to chunks of 65536. What does not fit
   * is cut: `truncated` says so. Shrinking drops the blocks at the end. EAGAIN is tried again.
   *
   * @throws EINVAL a direct LUN; ENOSPC nothing left at all
   */
  async resize(blocks: number | bigint): Promise<Resized> {
    this.assertOpen();
    const reqSize = Resource.sizeOf('blocks', blocks, this);
    const contextId = this.context.id;
    const { answer, retries } = await patiently(() =>
      this.lun.call('VLUN_RESIZE', { contextId, rsrcHandle: BigInt(this.handle), reqSize }),
    );
    this.#blocks = this.#count(answer.lastLba);
    return { blocks: this.#blocks, truncated: this.#blocks < BigInt(blocks), retries };
  }

  /**
   * Asks the driver whether the LUN is still as it was (VERIFY); with the sense data of a
   * unit attention it looks again. `blocks` is then what it says.
   *
   * @returns whether the size changed
   * @throws EIO the sense data tells of an error; EINVAL it is none; ENODEV the capacity
   *   cannot be read
   */
  async verify(sense?: Sense | Uint8Array): Promise<boolean> {
    this.assertOpen();
    const bytes = sense instanceof Uint8Array ? sense : sense?.bytes;
    const senseData = new Uint8Array(verifySenseBytes);
    if (bytes !== undefined) senseData.set(bytes.subarray(0, verifySenseBytes));
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
   * Gives the handle back (RELEASE); a virtual LUN's blocks are free then. Idempotent. EAGAIN
   * is tried again.
   */
  async release(): Promise<void> {
    if (this.released) return;
    const contextId = this.context.id;
    await patiently(() => this.lun.call('RELEASE', { contextId, rsrcHandle: BigInt(this.handle) }));
    this.#released = true;
    this.context.forget(this);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  /** Block I/O. All block devices of a context share its queue. */
  blockDevice(): BlockDevice {
    this.assertOpen();
    return new BlockDevice(this);
  }

  /** @internal */
  describe(): ResourceDescription {
    return { handle: this.handle, mode: this.mode };
  }

  /** @internal Refuses what the kernel would refuse with less to say. */
  assertOpen(): void {
    this.context.assertUsable();
    if (this.released) throw stateError(`resource handle ${this.handle} has been released`);
  }
}
