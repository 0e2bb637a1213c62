/** What each kind of block device counts of its calls. */
import type { Operation } from './command';

/** Counts the calls of one block device, each of which may take several commands. */
export interface BlockStatistics {
  /** Calls that succeeded. */
  reads: number;
  /** Calls that succeeded. */
  writes: number;
  /** Calls that succeeded. */
  unmaps: number;
  /** Bytes of the reads that succeeded. */
  bytesRead: number;
  /** Bytes of the writes that succeeded. */
  bytesWritten: number;
  /** Blocks of the reads that succeeded. */
  blocksRead: number;
  /** Blocks of the writes that succeeded. */
  blocksWritten: number;
  /** Calls that have not settled yet, and the highest number of them at one time. */
  activeReads: number;
  /** Calls that have not settled yet. */
  activeWrites: number;
  /** Calls that have not settled yet. */
  activeUnmaps: number;
  /** The most reads that were active at one time. */
  maxActiveReads: number;
  /** The most writes that were active at one time. */
  maxActiveWrites: number;
  /** The most unmaps that were active at one time. */
  maxActiveUnmaps: number;
  /** Calls that failed or were aborted. */
  errors: number;
}

export function newBlockStatistics(): BlockStatistics {
  return {
    reads: 0,
    writes: 0,
    unmaps: 0,
    bytesRead: 0,
    bytesWritten: 0,
    blocksRead: 0,
    blocksWritten: 0,
    activeReads: 0,
    activeWrites: 0,
    activeUnmaps: 0,
    maxActiveReads: 0,
    maxActiveWrites: 0,
    maxActiveUnmaps: 0,
    errors: 0,
  };
}

/** Names of the counters of each operation. */
const COUNTERS = {
  read: { calls: 'reads', active: 'activeReads', highest: 'maxActiveReads' },
  write: { calls: 'writes', active: 'activeWrites', highest: 'maxActiveWrites' },
  unmap: { calls: 'unmaps', active: 'activeUnmaps', highest: 'maxActiveUnmaps' },
} as const;

export function countStarted(statistics: BlockStatistics, operation: Operation): void {
  const { active, highest } = COUNTERS[operation];
  statistics[active] += 1;
  statistics[highest] = Math.max(statistics[highest], statistics[active]);
}

/** `blocks`: how many the call was for; undefined when it failed. */
export function countSettled(
  statistics: BlockStatistics,
  operation: Operation,
  blocks: number | undefined,
  blockSize: number,
): void {
  const { calls, active } = COUNTERS[operation];
  statistics[active] -= 1;
  if (blocks === undefined) {
    statistics.errors += 1;
    return;
  }
  statistics[calls] += 1;
  if (operation === 'read') {
    statistics.blocksRead += blocks;
    statistics.bytesRead += blocks * blockSize;
  } else if (operation === 'write') {
    statistics.blocksWritten += blocks;
    statistics.bytesWritten += blocks * blockSize;
  }
}
