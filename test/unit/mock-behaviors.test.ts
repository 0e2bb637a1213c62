import {
  type AfuDescription,
  answers,
  type Behavior,
  composeAfu,
  copies,
  countsStores,
  createMockCxl,
  failsEvery,
  onStore,
  raisesInterrupt,
  register,
} from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { until } from './mock-support';

const [A, B, SUM, DONE, COUNT] = [0x00, 0x08, 0x10, 0x18, 0x20] as const;

async function attached(description: Partial<AfuDescription>, ...behaviors: Behavior[]) {
  const model = composeAfu({ name: 'own', ...description }, ...behaviors);
  const system = createMockCxl({ cards: [{ afus: [{ model }] }] });
  const context = await system.open('afu0.0s');
  await context.attach({ wed: 0x1000n });
  return {
    system,
    context,
    area: context.mapProblemState({ endian: model.descriptor.endian ?? 'big' }),
  };
}

describe('composeAfu', () => {
  it('makes a card in ten lines', async () => {
    const { context, area } = await attached(
      {},
      register(A),
      register(B, (process) => process.wed),
      answers(SUM, (_, values) => values.get(A) + values.get(B)),
      countsStores(COUNT, A),
      raisesInterrupt(1, DONE),
    );
    area.write64(A, 5n);
    expect(area.read64(SUM)).toBe(0x1005n);
    area.write64(SUM, 1n);
    expect(area.read64(SUM)).toBe(0x1005n);
    area.write64(B, 2n ** 64n - 1n);
    expect(area.read64(B)).toBe(2n ** 64n - 1n);
    area.write32(A + 4, 6);
    expect(area.read64(A)).toBe(6n);
    expect(area.read64(COUNT)).toBe(2n);
    area.write64(DONE, 0n);
    await context.waitForInterrupt(1);
    await context.close();
  });

  it('gives each process registers of its own, and new ones at each attach', async () => {
    const model = composeAfu({ name: 'own', processes: 2 }, register(A));
    const system = createMockCxl({ cards: [{ afus: [{ model }] }] });
    const contexts = [await system.open('afu0.0s'), await system.open('afu0.0s')];
    for (const [index, context] of contexts.entries()) {
      await context.attach({ wed: 0n });
      const area = context.mapProblemState();
      expect(area.read64(A)).toBe(0n);
      area.write64(A, BigInt(index + 1));
    }
    await contexts[0]!.close();
    const again = await system.open('afu0.0s');
    await again.attach({ wed: 0n });
    expect(again.mapProblemState().read64(A)).toBe(0n);
    expect(contexts[1]!.mapProblemState().read64(A)).toBe(2n);
    for (const context of [again, contexts[1]!]) await context.close();
  });

  it('takes every field of a descriptor', async () => {
    const { system, context, area } = await attached(
      { endian: 'little', processes: 3, interruptsMinimum: 2, modes: ['dedicated', 'directed'] },
      register(A, 0x0102n),
    );
    expect(area.read32(A)).toBe(0x0102);
    const [afu] = await system.afus();
    expect(await afu!.irqsMin()).toBe(2);
    await context.close();
    expect(() => composeAfu({ name: 'own', processes: 0 })).toThrow(
      expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }),
    );
    expect(() => composeAfu({ name: 'own' }, 5 as unknown as Behavior)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
    );
  });

  it('calls the steps and the detach of each behavior', async () => {
    const seen: string[] = [];
    let work = 3;
    const { context, area } = await attached(
      {},
      () => ({
        step() {
          if (work === 0) return false;
          work -= 1;
          return true;
        },
        detach: () => seen.push('first'),
      }),
      () => ({ detach: () => seen.push('second') }),
    );
    area.read64(A);
    await until(() => work === 0);
    await context.close();
    expect(seen).toEqual(['first', 'second']);
  });
});

describe('copies', () => {
  const registers = { source: 0x00, target: 0x08, length: 0x10, start: 0x18, interrupt: 1 };

  it('copies memory of the process, and raises its interrupt', async () => {
    const { system, context, area } = await attached({}, copies(registers));
    const size = 200_000;
    const [from, to] = [system.allocate(size), system.allocate(size)];
    context.hold(from);
    context.hold(to);
    new Uint8Array(from.buffer).forEach((_, index, bytes) => {
      bytes[index] = index * 7;
    });
    area.write64(registers.source, from.address);
    area.write64(registers.target, to.address);
    area.write64(registers.length, BigInt(size));
    area.write64(registers.start, 1n);
    await context.waitForInterrupt(1, { timeout: 5000 });
    expect(Buffer.compare(Buffer.from(to.buffer), Buffer.from(from.buffer))).toBe(0);
    area.write64(registers.length, 0n);
    area.write64(registers.start, 1n);
    await context.waitForInterrupt(1, { timeout: 5000 });
    await context.close();
  });

  it('ends with a data storage fault at an address that is not mapped', async () => {
    const { context, area } = await attached({}, copies(registers));
    area.write64(registers.source, 0x10n);
    area.write64(registers.length, 64n);
    area.write64(registers.start, 1n);
    await expect(context.waitForInterrupt(1, { timeout: 5000 })).rejects.toMatchObject({
      code: 'EFAULT',
    });
    await context.close();
  });

  it('refuses registers that there are not', () => {
    expect(() => copies({ ...registers, begin: 0x20 } as never)).toThrow(/'?begin/);
    expect(() => copies({ ...registers, source: 4 })).toThrow(/multiple of 8/);
    expect(() => copies({ ...registers, interrupt: 0 })).toThrow(/interrupt/);
  });
});

describe('failsEvery', () => {
  it('makes every third command fail with an AFU error', async () => {
    const done: bigint[] = [];
    const { context, area } = await attached(
      { interruptsMinimum: 1 },
      failsEvery(
        3,
        A,
        onStore(A, (value) => void done.push(value)),
      ),
    );
    for (let command = 1n; command <= 7n; command += 1n) area.write64(A, command);
    expect(done).toEqual([1n, 2n, 4n, 5n, 7n]);
    expect(await context.waitForEvent({ timeout: 5000 })).toMatchObject({
      type: 'afu-error',
      error: 1n,
    });
    await context.close();
  });

  it("leaves the other registers of the behavior as they are, and calls a failure of one's own", async () => {
    let failures = 0;
    const { context, area } = await attached(
      {},
      failsEvery(1, A, register(A, 8n), () => {
        failures += 1;
      }),
      register(B, 9n),
    );
    area.write64(A, 1n);
    expect([area.read64(A), area.read64(B), failures]).toEqual([8n, 9n, 1]);
    await context.close();
  });
});
