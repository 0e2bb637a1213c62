import { AbortError } from '../shared/abort';
import { systemError } from '../shared/errors';
import { BlockAccess, type TransferOptions, type TransferRequest } from './block-access';
import { checkBlockNumber } from './block-number';
import { checkRange, checkRequests, checkTransferOptions, dataOf } from './block-requests';
import { countSettled, countStarted, newBlockStatistics } from './block-statistics';
import { Command, type CommandData, type Priority } from './command';
import { endOfPiece } from './geometry';
import type { Resource } from './resource';
import type { QueueStatistics } from './statistics';
import { Limit, Transfer } from './transfer';

/** One buffer of a transfer. */
interface Part {
  readonly data: CommandData;
  readonly blocks: bigint;
}

const MAX_UNMAP_BLOCKS = 0xffff_ffffn;

/**
 * Block I/O on a resource, by SISLite commands. The context's queue issues as many of them as its
 * depth and the AFU's room allow.
 *
 * Data in ordinary buffers is copied through bounce buffers, when a command is issued and when it
 * has completed: do not change the data of a write until its promise has settled. A Memory is used
 * by the AFU directly: do not access it until the promise has settled.
 *
 * A reset of the adapter is noticed while commands are in flight, and the context is recovered
 * automatically (FlashContext.recover()). The commands that the reset ended are issued again or
 * fail, as the context's `onReset` says.
 *
 * @example
 * import { openLun } from 'node-cxl/flash';
 *
 * const lun = await openLun('/dev/sg1');
 * await lun.enableSuperpipe();
 * const context = await lun.attach({ queueDepth: 32 });
 * const device = (await context.openVirtual({ blocks: 1024 })).blockDevice();
 * await device.write(7, Buffer.alloc(device.blockSize, 'record 7'));
 * console.log(Buffer.from(await device.read(7, 1)).toString('latin1', 0, 8)); // record 7
 * await context.close();
 * await lun.close();
 */
export class BlockDevice extends BlockAccess {
  /** The LUN, or the part of one, whose blocks these are. */
  readonly resource: Resource;
  readonly statistics = newBlockStatistics();

  /** @internal Use Resource.blockDevice(). */
  constructor(resource: Resource) {
    super();
    this.resource = resource;
  }

  /** Size in blocks of blockSize bytes; changes with Resource.resize(). */
  get blocks(): bigint {
    return this.resource.blocks;
  }

  /** Bytes. */
  get blockSize(): number {
    return this.resource.blockSize;
  }

  /** Whether the AFU can unmap blocks. False while the adapter is in error. */
  get unmapSupported(): boolean {
    return this.resource.context.queue.unmapSupported === true;
  }

  /** Statistics of the context's queue, which all its block devices share. */
  get queueStatistics(): Readonly<QueueStatistics> {
    return this.resource.context.queue.statistics;
  }

  override submit(
    requests: readonly TransferRequest[],
    options: TransferOptions = {},
  ): Promise<void>[] {
    const transfers = this.#submit(requests, options);
    return transfers.map(promiseOf);
  }

  override drained(): Promise<void> {
    return this.resource.context.queue.drained();
  }

  #submit(requests: readonly TransferRequest[], options: TransferOptions): Transfer[] {
    this.resource.assertOpen();
    const { signal, timeout, priority = 'normal' } = checkTransferOptions(options);
    checkRequests(requests);
    const transfers = requests.map((request) => this.#transfer(request, priority));
    const { queue } = this.resource.context;
    for (const { name } of transfers) countStarted(this.statistics, name);
    if (signal?.aborted) {
      const error = new AbortError(signal);
      for (const transfer of transfers) transfer.cancel(queue, error);
      return transfers;
    }
    if (signal !== undefined || timeout !== undefined) {
      const limit = new Limit(queue, transfers, signal, timeout, this.resource.lun.path);
      for (const transfer of transfers) transfer.limit = limit;
    }
    const [first] = transfers;
    queue.submit(
      first !== undefined && transfers.length === 1
        ? first.commands
        : transfers.flatMap(commandsOf),
    );
    return transfers;
  }

  /** Makes the commands of a request, whose data and blocks it checks. */
  #transfer(request: TransferRequest, standard: Priority): Transfer {
    const { operation, lba, priority = standard } = request;
    const start = checkBlockNumber('lba', lba);
    const parts =
      operation === 'unmap'
        ? this.#unmapParts(checkBlockNumber('count', request.count))
        : this.#parts(request);
    let total = 0n;
    for (const { blocks } of parts) total += blocks;
    checkRange(start, total, this.blocks);
    const transfer = new Transfer(operation, (succeeded) => {
      const done = succeeded ? Number(total) : undefined;
      countSettled(this.statistics, operation, done, this.blockSize);
    });
    const virtual = this.resource.mode === 'virtual';
    let at = start;
    for (const { data, blocks } of parts) {
      const most = operation === 'unmap' ? MAX_UNMAP_BLOCKS : this.#maxBlocks(data);
      const first = at;
      for (const end = first + blocks; at < end; ) {
        const count = endOfPiece(at, end, most, virtual) - at;
        const whole = operation === 'unmap' || count === blocks;
        const piece = whole ? data : this.#piece(data, at - first, count);
        transfer.add(
          new Command(transfer, this.resource, operation, priority, at, Number(count), piece),
        );
        at += count;
      }
    }
    return transfer;
  }

  #parts(request: TransferRequest): Part[] {
    const { blockSize } = this;
    return dataOf(request, blockSize).map((data) => ({
      data,
      blocks: BigInt(data.length / blockSize),
    }));
  }

  /** One block of zeros goes to all blocks. */
  #unmapParts(blocks: bigint): Part[] {
    if (this.resource.context.queue.unmapSupported === false) {
      throw systemError('EOPNOTSUPP', 'unmap', this.resource.lun.path, 'the AFU does not offer it');
    }
    const bytes = new Uint8Array(this.blockSize);
    return [{ data: { bytes, memory: undefined, address: 0n, length: bytes.length }, blocks }];
  }

  #piece(data: CommandData, firstBlock: bigint, blocks: bigint): CommandData {
    const offset = Number(firstBlock) * this.blockSize;
    const length = Number(blocks) * this.blockSize;
    const { bytes, memory } = data;
    return {
      bytes: bytes && new Uint8Array(bytes.buffer, bytes.byteOffset + offset, length),
      memory,
      address: data.address + BigInt(offset),
      length,
    };
  }

  /** Most blocks of one command: the driver's limit, or that of the bounce buffer. */
  #maxBlocks(data: CommandData): bigint {
    const { maxTransfer } = this.resource;
    if (data.bytes === undefined) return BigInt(maxTransfer);
    const bounced = Math.floor(this.resource.context.queue.ring.bounceBytes / this.blockSize);
    return BigInt(Math.min(maxTransfer, bounced));
  }
}

function promiseOf({ promise }: Transfer): Promise<void> {
  return promise;
}

function commandsOf({ commands }: Transfer): readonly Command[] {
  return commands;
}
