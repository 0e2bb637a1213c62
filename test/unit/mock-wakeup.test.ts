/** POWER9: an AFU wakes the thread that called attachSync({ tid: true }). */
import type { Memory } from 'node-cxl';
import { type AfuModel, type AfuProcess, createMockCxl } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { codeOf, thrownCode } from './mock-support';

/**
 * Stores 1 at the address written to register 0x08 and wakes the thread whose id was written to
 * register 0x00, some steps later.
 */
const wakingAfu: AfuModel = {
  name: 'waking',
  descriptor: {
    processes: 4,
    interruptsMinimum: 1,
    modes: ['directed'],
    problemStateSize: 0x10000 * 5,
    perProcess: { offset: 0x10000, size: 0x10000 },
  },
  powerOn: () => ({
    attach: (process: AfuProcess) => {
      let [tid, address, steps, refused] = [0n, 0n, 0, 0n];
      return {
        mmioRead: () => refused,
        mmioWrite(offset, _width, value) {
          if (offset === 0) tid = value;
          else address = value;
          steps = 5;
        },
        step() {
          if (steps === 0) return false;
          steps -= 1;
          if (steps > 0) return true;
          const word = address === 0n ? undefined : process.access(address, 8, 'write');
          if (word !== undefined) word[7] = 1;
          if (!process.wakeThread(Number(tid))) refused += 1n;
          return false;
        },
      };
    },
  }),
};

async function setUp(caiaVersion = '2.0', flavor?: 'guest') {
  const system = createMockCxl({
    cards: [{ afus: [{ model: wakingAfu }], caiaVersion }],
    ...(flavor === undefined ? {} : { flavor }),
  });
  const context = await system.open('/dev/cxl/afu0.0s');
  const memory: Memory = system.allocate(4096);
  const { tid } = context.attachSync({ wed: 0n, tid: true, holds: [memory] });
  return { system, context, memory, tid, registers: context.mapProblemState() };
}

describe('waitForWakeup()', () => {
  it('returns when the AFU wakes the thread', async () => {
    const { context, registers, tid } = await setUp();
    registers.write64(0, BigInt(tid ?? 0));
    context.waitForWakeup({ timeout: 10_000 });
    expect(registers.read64(0)).toBe(0n);
    // One wake-up ends one wait.
    expect(thrownCode(() => context.waitForWakeup({ timeout: 5 }))).toBe('ETIMEDOUT');
    await context.close();
  });

  it('returns when the word that the AFU stores is not 0', async () => {
    const { context, registers, tid, memory } = await setUp();
    registers.write64(8, memory.address + 24n);
    registers.write64(0, BigInt(tid ?? 0));
    context.waitForWakeup({ memory, offset: 24, timeout: 10_000 });
    expect(memory.load64(24)).not.toBe(0n);
    context.waitForWakeup({ memory, offset: 24, timeout: 0 });
    expect(thrownCode(() => context.waitForWakeup({ memory, offset: 32, timeout: 0 }))).toBe(
      'ETIMEDOUT',
    );
    await context.close();
  });

  it('times out, in time, when the AFU names another thread', async () => {
    const { context, registers, tid } = await setUp();
    registers.write64(0, BigInt(tid ?? 0) + 1n);
    const start = performance.now();
    expect(thrownCode(() => context.waitForWakeup({ timeout: 60 }))).toBe('ETIMEDOUT');
    expect(performance.now() - start).toBeGreaterThan(55);
    // The AFU was refused, on a busy machine not within this time.
    while (registers.read64(0) !== 1n) await new Promise(setImmediate);
    await context.close();
  });

  it('is EOPNOTSUPP on POWER8 and in a guest, which give no thread id', async () => {
    for (const one of [await setUp('1.0'), await setUp('2.0', 'guest')]) {
      expect(one.tid).toBe(0);
      expect(thrownCode(() => one.context.waitForWakeup({ timeout: 5 }))).toBe('EOPNOTSUPP');
      await one.context.close();
    }
  });

  it('needs attachSync({ tid: true }), an open context and valid options', async () => {
    const { system, context, memory } = await setUp();
    const other = await system.open('/dev/cxl/afu0.0s');
    await other.attach({ wed: 0n });
    expect(thrownCode(() => other.waitForWakeup())).toBe('ERR_INVALID_STATE');
    const wrong = (options: object) => thrownCode(() => context.waitForWakeup(options));
    expect(wrong({ offset: 4, memory })).toBe('ERR_OUT_OF_RANGE');
    expect(wrong({ offset: 4096, memory })).toBe('ERR_OUT_OF_RANGE');
    expect(wrong({ memory: memory.buffer })).toBe('ERR_INVALID_ARG_TYPE');
    expect(wrong({ timeout: -1 })).toBe('ERR_OUT_OF_RANGE');
    expect(wrong({ timeOut: 1 })).toBe('ERR_INVALID_ARG_VALUE');
    await context.close();
    expect(thrownCode(() => context.waitForWakeup({ timeout: 1 }))).toBe('ERR_INVALID_STATE');
    expect(await codeOf(other.close())).toBe(undefined);
  });
});
