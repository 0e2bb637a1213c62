/** Which command an address belongs to that the AFU could not access. */
import { describe, expect, it } from 'vitest';
import type { Command } from '../../../lib/flash/command';
import { DataFaults } from '../../../lib/flash/data-faults';

const PAGE = 0x1_0000n;

/** A command whose data is in a Memory. */
function command(address: bigint, length: number): Command {
  return { data: { memory: {}, address, length } } as unknown as Command;
}

describe('the address of a data storage event', () => {
  it('is of the command whose data has it, or begins in its page', () => {
    const data = command(5n * PAGE + 0x100n, 0x200);
    for (const [address, concerned] of [
      [5n * PAGE - 1n, false],
      // The kernel may report the page alone.
      [5n * PAGE, true],
      [5n * PAGE + 0x100n, true],
      [5n * PAGE + 0x2ffn, true],
      [5n * PAGE + 0x300n, false],
    ] as const) {
      const faults = new DataFaults();
      faults.report(address);
      expect(faults.take(data)).toBe(concerned ? address : undefined);
      // Each is for one command.
      expect(faults.take(data)).toBe(undefined);
    }
  });

  it('is of a command without a Memory never', () => {
    const faults = new DataFaults();
    faults.report(0n);
    const copied = { data: { memory: undefined, address: 0n, length: 4096 } } as never;
    expect(faults.take(copied)).toBe(undefined);
  });

  it('is kept for a command that has not completed, of the last 64', () => {
    const faults = new DataFaults();
    for (let page = 0n; page < 65n; page += 1n) faults.report(page * PAGE);
    const take = (page: bigint) => faults.take(command(page * PAGE, 4096));
    expect([take(0n), take(1n), take(64n), take(64n)]).toEqual([
      undefined,
      PAGE,
      64n * PAGE,
      undefined,
    ]);
    // A fault that concerns no command leaves the others as they are.
    expect(take(99n)).toBe(undefined);
    expect(take(2n)).toBe(2n * PAGE);
  });

  it('settles the first command that waits for it, and no other', () => {
    const faults = new DataFaults();
    const settled: [string, bigint][] = [];
    const one = command(PAGE, 4096);
    const other = command(2n * PAGE, 4096);
    const again = command(2n * PAGE, 4096);
    for (const [name, waiting] of Object.entries({ one, other, again })) {
      faults.wait(waiting, (address) => {
        settled.push([name, address]);
        faults.stop(waiting);
      });
    }
    faults.report(2n * PAGE);
    faults.report(9n * PAGE);
    expect(settled).toEqual([['other', 2n * PAGE]]);
    // That it was waited for, so it is not kept.
    expect(faults.take(command(2n * PAGE, 4096))).toBe(undefined);
    faults.stop(again);
    faults.report(2n * PAGE);
    expect(settled).toHaveLength(1);
    expect(faults.take(other)).toBe(2n * PAGE);
  });
});
