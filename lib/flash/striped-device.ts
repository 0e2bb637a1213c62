/** Several block devices as one: RAID 0. */
import { checkArray, checkInteger, checkOptions, type OptionNames } from '../shared/checks';
import { stateError, typeError, valueError } from '../shared/errors';
import {
  BlockAccess,
  type BlockBuffer,
  type TransferOptions,
  type TransferRequest,
} from './block-access';
import { checkBlockNumber } from './block-number';
import {
  blocksOf,
  checkRange,
  checkRequests,
  checkTransferOptions,
  dataOf,
} from './block-requests';
import {
  type BlockStatistics,
  countSettled,
  countStarted,
  newBlockStatistics,
} from './block-statistics';
import type { CommandData } from './command';
import { type OpenBlockDeviceOptions, openBlockDevice } from './open-block-device';
import { Undo } from './undo';

/** Options of a striped device. */
export interface StripeOptions {
  /** Blocks of each stripe: so many consecutive blocks are on one device. 1 to 2^31. Default 256. */
  stripeBlocks?: number | undefined;
}

const STRIPE_OPTIONS: OptionNames<StripeOptions> = { stripeBlocks: true };
const DEFAULT_STRIPE_BLOCKS = 256;
const MAX_STRIPE_BLOCKS = 2 ** 31;

/** The part of a transfer that one device carries out: consecutive blocks of it. */
interface Piece {
  lba: bigint;
  blocks: bigint;
  readonly buffers: BlockBuffer[];
}

/**
 * Block I/O over several block devices, striped (RAID 0): block b is in stripe b / stripeBlocks, and
 * stripe s on device s modulo their number. A transfer of several stripes is carried out by the
 * devices in parallel. There is no redundancy: when one device fails, transfers that need it do.
 *
 * The order of the devices and `stripeBlocks` are part of how data is found: use the same ones each
 * time. Of larger devices, what is beyond the size of the smallest is not used.
 *
 * @example
 * import { openStripedDevice } from 'node-cxl/flash';
 * import { createMockCxl } from 'node-cxl/mock';
 *
 * const luns = [{ blocks: 65_536 }, { blocks: 65_536 }];
 * const system = createMockCxl({ flash: [{ luns, ports: 1 }] });
 * const paths = ['/dev/sg1', '/dev/sg2'].map((node) => ({ system, node }));
 * await using device = await openStripedDevice(paths, { stripeBlocks: 64 });
 * console.log(device.blocks); // 131072n
 */
export class StripedBlockDevice extends BlockAccess {
  readonly statistics: BlockStatistics = newBlockStatistics();
  /** The devices, in the order in which stripes go around. */
  readonly devices: readonly BlockAccess[];
  /** Blocks of each stripe. */
  readonly stripeBlocks: number;
  readonly blockSize: number;
  readonly #stripe: bigint;
  readonly #undo: Undo;
  #closing: Promise<void> | undefined;

  /**
   * @param devices at least one, of the same block size
   * @throws ERR_INVALID_ARG_VALUE they differ in block size
   */
  constructor(devices: readonly BlockAccess[], options?: StripeOptions);
  /** @internal `undo` closes the devices that openStripedDevice() opened. */
  constructor(devices: readonly BlockAccess[], options: StripeOptions, undo: Undo);
  constructor(devices: readonly BlockAccess[], options: StripeOptions = {}, undo = new Undo()) {
    super();
    this.#undo = undo;
    if (!Array.isArray(devices) || devices.length === 0) {
      throw typeError('devices', 'an array of block devices', devices);
    }
    for (const device of devices) {
      if (!(device instanceof BlockAccess)) {
        throw typeError('devices', 'an array of block devices', devices);
      }
    }
    const { stripeBlocks = DEFAULT_STRIPE_BLOCKS } = checkOptions(options, STRIPE_OPTIONS);
    this.devices = [...devices];
    this.stripeBlocks = checkInteger('options.stripeBlocks', stripeBlocks, 1, MAX_STRIPE_BLOCKS);
    this.#stripe = BigInt(this.stripeBlocks);
    this.blockSize = this.devices[0]?.blockSize as number;
    const sizes = this.devices.map(({ blockSize }) => blockSize);
    if (sizes.some((size) => size !== this.blockSize)) {
      throw valueError('devices', 'of the same block size', sizes);
    }
  }

  /** Whole stripes of the smallest device, times the number of devices. */
  get blocks(): bigint {
    const smallest = this.devices.reduce(
      (least, { blocks }) => (blocks < least ? blocks : least),
      this.devices[0]?.blocks as bigint,
    );
    return (smallest / this.#stripe) * this.#stripe * BigInt(this.devices.length);
  }

  get unmapSupported(): boolean {
    return this.devices.every(({ unmapSupported }) => unmapSupported);
  }

  override submit(
    requests: readonly TransferRequest[],
    options: TransferOptions = {},
  ): Promise<void>[] {
    if (this.#closing !== undefined) throw stateError('this striped device is closed');
    checkTransferOptions(options);
    checkRequests(requests);
    const split = requests.map((request) => this.#split(request));
    // One call a device, so that all of its transfers are checked before the first is issued there.
    const parts: Promise<void>[][] = requests.map(() => []);
    for (const [member, device] of this.devices.entries()) {
      const own = split.flatMap((pieces, index) => {
        const piece = pieces[member];
        return piece === undefined ? [] : [{ index, piece }];
      });
      if (own.length === 0) continue;
      const promises = submitTo(
        device,
        own.map(({ index, piece }) => toRequest(requests[index] as TransferRequest, piece)),
        options,
      );
      for (const [at, { index }] of own.entries())
        parts[index]?.push(promises[at] as Promise<void>);
    }
    return requests.map((request, index) => this.#join(request, parts[index] ?? []));
  }

  /** Settles when all parts have, so that none is in flight afterwards. */
  async #join(request: TransferRequest, parts: readonly Promise<void>[]): Promise<void> {
    countStarted(this.statistics, request.operation);
    const outcomes = await Promise.allSettled(parts);
    const failed = outcomes.find(({ status }) => status === 'rejected');
    const blocks = failed === undefined ? blocksOf(request, this.blockSize) : undefined;
    countSettled(this.statistics, request.operation, blocks, this.blockSize);
    if (failed !== undefined) throw (failed as PromiseRejectedResult).reason;
  }

  /** The piece of each device, by its index; consecutive stripes of a device are consecutive there. */
  #split(request: TransferRequest): (Piece | undefined)[] {
    const pieces: (Piece | undefined)[] = this.devices.map(() => undefined);
    const start = checkBlockNumber('lba', request.lba);
    let at = start;
    const add = (blocks: bigint, part: (offset: bigint, count: bigint) => BlockBuffer[]) => {
      for (let done = 0n; done < blocks; ) {
        const inStripe = at % this.#stripe;
        const rest = this.#stripe - inStripe;
        const count = blocks - done < rest ? blocks - done : rest;
        const stripe = at / this.#stripe;
        const devices = BigInt(this.devices.length);
        const member = Number(stripe % devices);
        const lba = (stripe / devices) * this.#stripe + inStripe;
        const piece = pieces[member] ?? { lba, blocks: 0n, buffers: [] };
        pieces[member] = piece;
        piece.blocks += count;
        piece.buffers.push(...part(done, count));
        done += count;
        at += count;
      }
    };
    if (request.operation === 'unmap') {
      const count = checkBlockNumber('count', request.count);
      checkRange(start, count, this.blocks);
      add(count, () => []);
      return pieces;
    }
    const { blockSize } = this;
    const data = dataOf(request, blockSize);
    const length = data.reduce((sum, one) => sum + one.length, 0);
    checkRange(start, BigInt(length / blockSize), this.blocks);
    for (const one of data) {
      add(BigInt(one.length / blockSize), (offset, count) => [
        partOf(one, Number(offset) * blockSize, Number(count) * blockSize),
      ]);
    }
    return pieces;
  }

  override async drained(): Promise<void> {
    await Promise.all(this.devices.map((device) => device.drained()));
  }

  /**
   * Closes the devices that openStripedDevice() opened, also when one fails to close. Devices that
   * were passed to the constructor stay open. Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= this.#undo.run();
    return this.#closing;
  }

  /** As close(): for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A device that refuses its part does so when others have begun theirs: a rejection, not a throw. */
function submitTo(
  device: BlockAccess,
  requests: readonly TransferRequest[],
  options: TransferOptions,
): Promise<void>[] {
  try {
    return device.submit(requests, options);
  } catch (error) {
    return requests.map(() => Promise.reject(error));
  }
}

function toRequest(request: TransferRequest, { lba, blocks, buffers }: Piece): TransferRequest {
  const { priority } = request;
  switch (request.operation) {
    case 'read':
      return { operation: 'read', lba, into: buffers, priority };
    case 'write':
      return { operation: 'write', lba, from: buffers, priority };
    default:
      return { operation: 'unmap', lba, count: blocks, priority };
  }
}

/** A part of a buffer. */
function partOf(
  { bytes, memory, address }: CommandData,
  from: number,
  length: number,
): BlockBuffer {
  if (memory === undefined) return (bytes as Uint8Array).subarray(from, from + length);
  return { memory, offset: Number(address - memory.address) + from, length };
}

/**
 * Opens several LUNs as one striped device, each as openBlockDevice() does. close() closes all of
 * them, and so does one that cannot be opened.
 *
 * ```ts
 * await using device = await openStripedDevice([{ wwid: first }, { wwid: second }]);
 * ```
 *
 * @param luns a node or options for each LUN. Their order is part of how data is found
 * @throws as openBlockDevice() and StripedBlockDevice
 * @example
 * import { openStripedDevice } from 'node-cxl/flash';
 * import { createMockCxl } from 'node-cxl/mock';
 *
 * const wwids = ['6002507605bd0c00a000000000000001', '6002507605bd0c00a000000000000002'];
 * const luns = wwids.map((wwid) => ({ blocks: 65_536, wwid }));
 * const system = createMockCxl({ flash: [{ luns }] });
 * await using device = await openStripedDevice(wwids.map((wwid) => ({ system, wwid })));
 * await device.write(0, Buffer.alloc(512 * device.blockSize)); // 256 blocks on each, in parallel
 * console.log(device.devices.map(({ statistics }) => statistics.blocksWritten)); // [ 256, 256 ]
 */
export async function openStripedDevice(
  luns: readonly (string | OpenBlockDeviceOptions)[],
  options: StripeOptions = {},
): Promise<StripedBlockDevice> {
  checkOptions(options, STRIPE_OPTIONS);
  checkArray('luns', luns);
  const undo = new Undo();
  try {
    const devices: BlockAccess[] = [];
    for (const lun of luns) {
      const device = await openBlockDevice(lun);
      undo.add(() => device.close());
      devices.push(device);
    }
    return new StripedBlockDevice(devices, options, undo);
  } catch (error) {
    await undo.run().catch(() => undefined);
    throw error;
  }
}
