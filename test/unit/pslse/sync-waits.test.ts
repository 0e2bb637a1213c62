/** Waits that block the thread: what comes meanwhile is taken, and memory is served. */
import type { Context, ProblemState } from 'node-cxl';
import { afterEach, describe, expect, it } from 'vitest';
import { type FakeDaemon, type FakeOptions, fakeDaemon, settled, UNHARMED } from './support';

/** Registers of the fake AFU by which it does something later. */
const LATER = { interrupt: 0x160, readThenInterrupt: 0x168, end: 0x170, read: 0x178 };
const LONG = { timeout: 15_000 };
let daemon: FakeDaemon;

afterEach(async () => {
  const { violations, connections, left } = await settled(daemon);
  await daemon.stop();
  expect({ violations, connections, left }).toEqual(UNHARMED);
});

async function attached(options?: FakeOptions) {
  daemon = await fakeDaemon(options);
  return another();
}

async function another(): Promise<{ context: Context; registers: ProblemState }> {
  const context = await daemon.system.open('afu0.0');
  await context.attach({ wed: 0n, interrupts: 8 });
  return { context, registers: context.mapProblemState({ endian: 'big' }) };
}

const coded = (code: string) => expect.objectContaining({ code });

describe('a wait that blocks the thread', () => {
  it('returns when the interrupt comes, be it before or during the wait', async () => {
    const { context, registers } = await attached();
    registers.write64(0x120, 2n);
    expect(context.waitForInterruptSync(2, LONG)).toBe(undefined);
    for (const irq of [3, 4]) {
      registers.write64(LATER.interrupt, BigInt(irq));
      context.waitForInterruptSync(irq, { ...LONG, spin: 100 });
    }
    registers.write64(LATER.interrupt, 5n);
    expect(context.waitForEventSync(LONG)).toMatchObject({ type: 'afu-interrupt', irq: 5 });
    registers.write64(LATER.interrupt, 6n);
    await context.waitForInterrupt(6, LONG);
    await context.close();
  });

  it('serves the memory that the AFU needs first', async () => {
    const { context, registers } = await attached();
    const memory = context.allocate(4096, { endian: 'big' });
    memory.store64(0, 77n);
    registers.write64(LATER.readThenInterrupt, memory.address);
    context.waitForInterruptSync(2, LONG);
    expect(registers.read64(0x108)).toBe(77n);
    await context.close();
  });

  it('keeps what comes to other contexts', async () => {
    const [one, two] = [await attached({ mode: 'directed', contexts: 2 }), await another()];
    two.registers.write64(0x120, 3n);
    one.registers.write64(LATER.interrupt, 1n);
    one.context.waitForInterruptSync(1, LONG);
    two.context.waitForInterruptSync(3, { timeout: 0 });
    await Promise.all([one.context.close(), two.context.close()]);
  });

  it('ends with ETIMEDOUT, not before its time', async () => {
    const { context } = await attached();
    for (const timeout of [0, 1, 60]) {
      const start = performance.now();
      expect(() => context.waitForInterruptSync(1, { timeout })).toThrow(coded('ETIMEDOUT'));
      expect(performance.now() - start).toBeGreaterThanOrEqual(timeout - 1);
    }
    await context.close();
  });

  it('ends with a fault, and with an AFU error', async () => {
    const { context, registers } = await attached();
    registers.write64(LATER.read, 0x80n);
    expect(() => context.waitForInterruptSync(1, LONG)).toThrow(
      expect.objectContaining({
        code: 'EFAULT',
        event: expect.objectContaining({ address: 0x80n }),
      }),
    );
    registers.write64(0x128, 0xbadn);
    expect(() => context.waitForInterruptSync(1, LONG)).toThrow(coded('EREMOTEIO'));
    await context.close();
  });

  it('ends with EIO when the daemon does, after what came before', async () => {
    const { context, registers } = await attached();
    registers.write64(0x120, 3n);
    registers.write64(LATER.end, 1n);
    context.waitForInterruptSync(3, LONG);
    expect(() => context.waitForInterruptSync(1, LONG)).toThrow(coded('EIO'));
    expect(context.linkState()).toBe('down');
    expect(() => context.waitForEventSync(LONG)).toThrow(coded('EIO'));
    await context.close();
  });
});
