/**
 * Runs random sequences of operations over several contexts on the mock and on this target, whose
 * outcomes, ERRNOS and events must be the same. A failing sequence is shrunk and printed with its
 * seed. Sequences that once failed are tests of their own below.
 *
 * CXL_SEED repeats a run; CXL_RUNS is the number of sequences.
 */
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { mockTarget } from './support/mock-target';
import { type Operation, operations, runSequence } from './support/sequence';
import { type Need, target, test } from './target';

const runs = Number(process.env['CXL_RUNS'] ?? 60);
const seed = Number(process.env['CXL_SEED'] ?? Date.now() % 2 ** 31);
const flavor = target.has.has('guest') ? 'guest' : 'bare-metal';

async function agree(sequence: readonly Operation[]): Promise<void> {
  const expected = await runSequence(
    await mockTarget({ flavor, pageSize: target.system.pageSize }),
    sequence,
  );
  const actual = await runSequence(target, sequence, expected);
  expect(actual).toEqual(expected);
}

describe('the mock behaves as this target', () => {
  test(
    `${runs} random sequences from seed ${seed}`,
    ['injection', 'native'],
    async () => {
      const sequences = operations({
        dedicated: target.has.has('dedicated'),
        sysfs: target.has.has('device-side'),
        enable: target.has.has('device-side') && target.has.has('bare-metal'),
      });
      await fc.assert(fc.asyncProperty(sequences, agree), {
        numRuns: runs,
        seed,
        endOnFailure: false,
      });
    },
    Math.max(300_000, runs * 1000),
  );

  const found: Record<string, Operation[]> = {
    'a fault of one context does not end the wait of another': [
      { do: 'open', slot: 0, kind: 'slave' },
      { do: 'attach', slot: 0, interrupts: 4, errFf: false },
      { do: 'open', slot: 2, kind: 'slave' },
      { do: 'attach', slot: 2, interrupts: 4, errFf: false },
      { do: 'map', slot: 2, pages: 0 },
      { do: 'dataStorage', slot: 2, address: 0x40n },
      { do: 'wait', slot: 0 },
      { do: 'close', slot: 0 },
      { do: 'wait', slot: 2 },
    ],
    'the whole area of a dedicated context can be mapped': [
      { do: 'open', slot: 2, kind: 'dedicated' },
      { do: 'attach', slot: 2, interrupts: 4, errFf: false },
      { do: 'map', slot: 2, pages: 0 },
      { do: 'map', slot: 2, pages: 10_000 },
    ],
  };
  for (const [title, sequence] of Object.entries(found)) {
    const needs: Need[] = sequence.some((one) => one.do === 'open' && one.kind === 'dedicated')
      ? ['injection', 'native', 'dedicated']
      : ['injection', 'native'];
    test(title, needs, () => agree(sequence));
  }
});
