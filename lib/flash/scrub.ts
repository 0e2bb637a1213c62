/** Overwrites blocks with zeros before they are freed. */
import { CxlError } from '../shared/errors';
import { Command, type CommandData, type Operation } from './command';
import type { CommandQueue } from './command-queue';
import { endOfPiece } from './geometry';
import type { Resource } from './resource';
import { CHUNK_BLOCKS } from './sislite';
import { Transfer } from './transfer';
import { deviceAttribute } from './wwid';

/** Commands that are in flight together. */
const BATCH = 64;
/** How often a batch is begun again that a reset of the adapter ended. */
const ATTEMPTS = 5;

/** Byte 5 of VPD page 0xb2: unmap by WRITE SAME(16), and what unmapped blocks read as. */
const VPD_UNMAP = 0x40;
const VPD_READS_ZEROS = 0x04;

/**
 * Makes the blocks from `from` to below `to` read as zeros: by unmapping them, where the LUN says
 * that they read as zeros then, else by writing zeros. No other command may access them meanwhile.
 * Resolves when all of them are zeros. When it fails, any of them may be.
 */
export async function scrub(
  resource: Resource,
  queue: CommandQueue,
  from: bigint,
  to: bigint,
): Promise<void> {
  if (from >= to) return;
  if (queue.unmapSupported === true && (await readsZerosAfterUnmap(resource))) {
    const zeros = new Uint8Array(resource.blockSize);
    try {
      await overwrite(resource, queue, 'unmap', from, to, CHUNK_BLOCKS, zeros);
      return;
    } catch {
      // Writing zeros tells whether the LUN is usable at all.
    }
  }
  const most = Math.floor(queue.ring.bounceBytes / resource.blockSize);
  const count = Math.min(most, resource.maxTransfer);
  const zeros = new Uint8Array(count * resource.blockSize);
  await overwrite(resource, queue, 'write', from, to, BigInt(count), zeros);
}

/** From VPD page 0xb2 (logical block provisioning), which sysfs has since Linux 5.18. */
async function readsZerosAfterUnmap({ lun }: Resource): Promise<boolean> {
  const { sysfs } = lun.system.binding;
  const page = await sysfs.read(await deviceAttribute(sysfs, lun.path, 'vpd_pgb2'));
  if (typeof page === 'number') return false;
  const flags = page[5] ?? 0;
  return (flags & VPD_UNMAP) !== 0 && (flags & VPD_READS_ZEROS) !== 0;
}

async function overwrite(
  resource: Resource,
  queue: CommandQueue,
  operation: Operation,
  from: bigint,
  to: bigint,
  most: bigint,
  zeros: Uint8Array,
): Promise<void> {
  for (let at = from; at < to; ) {
    const pieces: [bigint, bigint][] = [];
    while (at < to && pieces.length < BATCH) {
      const end = endOfPiece(at, to, most, true);
      pieces.push([at, end - at]);
      at = end;
    }
    for (let attempt = 1; ; attempt += 1) {
      try {
        await batch(resource, queue, operation, pieces, zeros);
        break;
      } catch (error) {
        // Zeros can be written again whatever the context's `onReset` says.
        const ended = error instanceof CxlError && error.code === 'ECANCELED';
        if (!ended || attempt === ATTEMPTS) throw error;
      }
    }
  }
}

function batch(
  resource: Resource,
  queue: CommandQueue,
  operation: Operation,
  pieces: readonly (readonly [bigint, bigint])[],
  zeros: Uint8Array,
): Promise<void> {
  const transfer = new Transfer(operation, () => undefined);
  for (const [lba, blocks] of pieces) {
    const length = operation === 'unmap' ? zeros.length : Number(blocks) * resource.blockSize;
    const bytes = zeros.subarray(0, length);
    const data: CommandData = { bytes, memory: undefined, address: 0n, length };
    transfer.add(new Command(transfer, resource, operation, 'low', lba, Number(blocks), data));
  }
  queue.submit(transfer.commands);
  return transfer.promise;
}
