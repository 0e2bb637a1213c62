/** What is counted of the statuses of commands, and of the calls of a block device. */
import { describe, expect, it } from 'vitest';
import {
  type BlockStatistics,
  countSettled,
  countStarted,
  newBlockStatistics,
} from '../../../lib/flash/block-statistics';
import type { CommandStatus } from '../../../lib/flash/sislite';
import { countStatus, newStatistics } from '../../../lib/flash/statistics';

const GOOD = { afuCode: 0, scsiCode: 0, fcCode: 0, flags: 0, port: 0 };

/** The counters that are not zero after these statuses. */
function counted(...statuses: readonly Partial<CommandStatus>[]) {
  const statistics = newStatistics();
  for (const status of statuses) countStatus(statistics, { ...GOOD, ...status } as CommandStatus);
  const { ports, ...counters } = statistics;
  const changed = Object.entries(counters).filter(([, count]) => count !== 0);
  return { ...Object.fromEntries(changed), ports };
}

const NO_ERRORS = { linkDowns: 0, noLogins: 0, errors: 0 };

describe('the statistics of a queue', () => {
  it('count a status by each of its codes', () => {
    const ports = [NO_ERRORS, NO_ERRORS, NO_ERRORS, NO_ERRORS];
    expect(counted()).toEqual({ ports });
    expect(counted({ port: 3 })).toEqual({ ports });
    expect(counted({ flags: 1 })).toEqual({ errors: 1, ports });
    expect(counted({ afuCode: 0x20 })).toEqual({ errors: 1, afuErrors: 1, ports });
    expect(counted({ scsiCode: 0x02 })).toEqual({ errors: 1, checkConditions: 1, ports });
    expect(counted({ scsiCode: 0x08 })).toEqual({ errors: 1, ports });
    expect(counted({ afuCode: 1, scsiCode: 2, fcCode: 0x58, port: 1 }, { afuCode: 1 })).toEqual({
      errors: 2,
      afuErrors: 2,
      checkConditions: 1,
      linkErrors: 1,
      ports: [NO_ERRORS, { ...NO_ERRORS, errors: 1 }, NO_ERRORS, NO_ERRORS],
    });
  });

  it('count errors of the link by the port', () => {
    const fcCodes = [0x57, 0x54, 0x54, 0x59, 0x55, 0x52];
    expect(counted(...fcCodes.map((fcCode) => ({ fcCode, port: 2 })))).toEqual({
      errors: 6,
      linkErrors: 6,
      ports: [NO_ERRORS, NO_ERRORS, { linkDowns: 1, noLogins: 2, errors: 3 }, NO_ERRORS],
    });
    // No adapter has this port.
    expect(counted({ fcCode: 0x57, port: 4 })).toEqual({
      errors: 1,
      linkErrors: 1,
      ports: [NO_ERRORS, NO_ERRORS, NO_ERRORS, NO_ERRORS],
    });
  });
});

describe('the statistics of a block device', () => {
  const changed = (statistics: BlockStatistics) =>
    Object.fromEntries(Object.entries(statistics).filter(([, count]) => count !== 0));

  it('count calls, blocks and bytes of each operation', () => {
    for (const [operation, whole] of [
      ['read', { reads: 2, blocksRead: 5, bytesRead: 2560, maxActiveReads: 2, errors: 1 }],
      ['write', { writes: 2, blocksWritten: 5, bytesWritten: 2560, maxActiveWrites: 2, errors: 1 }],
      ['unmap', { unmaps: 2, maxActiveUnmaps: 2, errors: 1 }],
    ] as const) {
      const statistics = newBlockStatistics();
      expect(changed(statistics)).toEqual({});
      countStarted(statistics, operation);
      countStarted(statistics, operation);
      const active = { read: 'activeReads', write: 'activeWrites', unmap: 'activeUnmaps' } as const;
      expect(statistics[active[operation]]).toBe(2);
      countSettled(statistics, operation, 2, 512);
      expect(statistics[active[operation]]).toBe(1);
      countStarted(statistics, operation);
      countSettled(statistics, operation, undefined, 512);
      countSettled(statistics, operation, 3, 512);
      expect(changed(statistics)).toEqual(whole);
    }
  });
});
