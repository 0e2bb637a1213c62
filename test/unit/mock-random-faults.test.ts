/** Faults and latencies that are random: the same from the same seed, on every platform. */
import type { MockOptions, SlowCall } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { Faults } from '../../dist/mock/kernel/faults';
import { codeOf, oneCard, slave } from './mock-support';

/** The first numbers of each seed, times 10^8, from another implementation of the generator. */
const MULBERRY32 = {
  0: [26642920, 32974, 22327202],
  12345: [97972826, 30675226, 48420542],
  4294967295: [89642261, 18947825, 71565267],
} as const;

/** What is printed to standard error while a mock with these options is made, and its seed. */
function printedBy(options: MockOptions) {
  const lines: string[] = [];
  const print = process.stderr.write;
  process.stderr.write = (line: string | Uint8Array) => lines.push(String(line)) > 0;
  try {
    return { seed: oneCard(options).seed, lines };
  } finally {
    process.stderr.write = print;
  }
}

describe('a random fault', () => {
  const run = async (seed: number, probability = 0.5) => {
    const mock = oneCard({ seed, faults: [{ name: 'open', probability }] });
    const outcomes: string[] = [];
    for (let count = 0; count < 40; count++) {
      outcomes.push((await codeOf(mock.open(slave))) === undefined ? '-' : 'x');
    }
    return outcomes.join('');
  };

  it('happens at the same operations for the same seed, and at others for another', async () => {
    const first = await run(12345);
    expect(await run(12345)).toBe(first);
    expect(await run(54321)).not.toBe(first);
  });

  it('never happens with probability 0, and always with 1', async () => {
    expect(await run(1, 0)).toBe('-'.repeat(40));
    expect(await run(1, 1)).toBe('x'.repeat(40));
  });

  it('can be limited in number', async () => {
    const mock = oneCard({ seed: 1, faults: [{ name: 'open', probability: 1, times: 2 }] });
    const codes: (string | undefined)[] = [];
    for (let count = 0; count < 3; count++) codes.push(await codeOf(mock.open(slave)));
    expect(codes).toEqual(['EIO', 'EIO', undefined]);
  });
});

describe('a random latency', () => {
  /** The random numbers of a seed, as eight digits after the point. */
  const numbers = (seed: number) => {
    const faults = new Faults({ seed, latency: { open: [0, 100_000_000] } });
    return [0, 0, 0].map(() => Math.floor(faults.delay('open')));
  };

  it('comes from the mulberry32 generator, as on every other platform', () => {
    expect(numbers(0)).toEqual(MULBERRY32[0]);
    expect(numbers(12345)).toEqual(MULBERRY32[12345]);
    expect(numbers(2 ** 32 - 1)).toEqual(MULBERRY32[4294967295]);
  });

  it('does not depend on faults that are not random', () => {
    const faults = new Faults({
      seed: 0,
      latency: { open: [0, 100_000_000] },
      faults: [{ name: 'open' }],
    });
    expect(faults.refusal('open')).toBe(-5);
    expect(Math.floor(faults.delay('open'))).toBe(MULBERRY32[0][0]);
  });

  it('is within its range; a number is itself, and a call without one takes no time', () => {
    const faults = new Faults({ seed: 3, latency: { open: [10, 12], close: 7 } });
    const delays = Array.from({ length: 200 }, () => faults.delay('open'));
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(10);
    expect(Math.min(...delays)).toBeLessThan(10.1);
    expect(Math.max(...delays)).toBeGreaterThan(11.9);
    expect(Math.max(...delays)).toBeLessThanOrEqual(12);
    expect([faults.delay('close'), faults.delay('sysfs-read')]).toEqual([7, 0]);
  });

  it('can be of each call that can be slow, up to 2^31 - 1 ms', () => {
    const calls: readonly SlowCall[] = [
      'open',
      'open-card',
      'start-work',
      'close',
      'sysfs-read',
      'sysfs-write',
      'image-transfer',
    ];
    for (const call of calls) {
      expect(new Faults({ latency: { [call]: 2 ** 31 - 1 } }).delay(call)).toBe(2 ** 31 - 1);
      expect(new Faults({ latency: { [call]: undefined } }).delay(call)).toBe(0);
    }
  });
});

describe('the seed', () => {
  it('is printed when it is random and something depends on it', () => {
    for (const options of [
      { faults: [{ name: 'open', probability: 0.1 }] },
      { faults: [{ name: 'close' }, { name: 'open', probability: 1 }] },
      { latency: { open: [1, 2], close: 3 } },
    ] as const) {
      const { seed, lines } = printedBy(options);
      expect(lines).toEqual([`node-cxl mock: seed ${seed} repeats this run's faults\n`]);
      expect(printedBy({ ...options, seed: 5 })).toEqual({ seed: 5, lines: [] });
    }
  });

  it('is not printed when nothing is random', () => {
    expect(printedBy({ faults: [{ name: 'open' }], latency: { open: 1 } }).lines).toEqual([]);
    expect(printedBy({}).lines).toEqual([]);
  });

  it('is another for each mock unless it is given', () => {
    const seeds = [0, 0, 0, 0].map(() => oneCard().seed);
    for (const seed of seeds)
      expect(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32).toBe(true);
    expect(Math.max(...seeds)).toBeGreaterThan(2 ** 16);
    expect(new Set(seeds).size).toBe(4);
  });
});
