/** Waits that block the calling thread: waitForInterruptSync(), waitForEventSync(), and `spin`. */
import type { Context, ProblemState } from 'node-cxl';
import { afterEach, describe, expect } from 'vitest';
import { codeOf, failure } from './support/errors';
import { inject, injectAndWait, interrupts } from './support/injection';
import { type Job, startJob } from './support/work-queue';
import { target, test } from './target';

const { system, afu } = target;
const LONG = { timeout: 15_000 };
const jobs: Job[] = [];

afterEach(async () => {
  for (const { context } of jobs.splice(0)) await context.close();
});

async function started(): Promise<Job> {
  const job = await startJob(system, `/dev/cxl/${afu}s`, { interrupts: 4 });
  jobs.push(job);
  return job;
}

function raise(regs: ProblemState, ...irqs: number[]): void {
  inject(regs, 'interrupt', { argument: interrupts(...irqs) });
}

describe('a wait that blocks the thread', () => {
  test('returns when the interrupt comes, again and again', ['injection'], async () => {
    const { context, regs } = await started();
    for (let round = 0; round < 20; round += 1) {
      const irq = 1 + (round % 4);
      raise(regs, irq);
      expect(context.waitForInterruptSync(irq, LONG)).toBeUndefined();
    }
    expect(await codeOf(() => context.waitForInterruptSync(1, { timeout: 0 }))).toBe('ETIMEDOUT');
  });

  test('returns the event, and leaves others pending', ['injection'], async () => {
    const { context, regs } = await started();
    await injectAndWait(regs, 'interrupt', { argument: interrupts(1, 3) });
    context.waitForInterruptSync(3, LONG);
    expect(context.waitForEventSync(LONG)).toMatchObject({ type: 'afu-interrupt', irq: 1 });
    raise(regs, 2);
    expect(await context.waitForEvent(LONG)).toMatchObject({ irq: 2 });
    raise(regs, 4);
    expect(context.waitForEventSync({ ...LONG, types: ['afu-interrupt'] }).irq).toBe(4);
  });

  test(
    'takes what an asynchronous wait left, and the other way around',
    ['injection'],
    async () => {
      const { context, regs } = await started();
      for (let round = 0; round < 10; round += 1) {
        const wait = context.waitForInterrupt(1, LONG);
        raise(regs, 1);
        await wait;
        raise(regs, 2);
        context.waitForInterruptSync(2, LONG);
      }
    },
  );

  test('ends with ETIMEDOUT, not before its time', [], async () => {
    const { context } = await started();
    for (const timeout of [0, 1, 60]) {
      const start = performance.now();
      const error = await failure(() => context.waitForEventSync({ timeout }));
      expect(error).toMatchObject({ code: 'ETIMEDOUT', syscall: 'waitForEventSync' });
      const asynchronous = await failure(() => context.waitForEvent({ timeout }));
      expect(error.message.replace('Sync', '')).toBe(asynchronous.message);
      expect(performance.now() - start).toBeGreaterThanOrEqual(2 * timeout - 1);
    }
  });

  test('ends with a fault, as its error, and with an AFU error', ['injection'], async () => {
    const { context, regs } = await started();
    inject(regs, 'dataStorage', { value: 0x40n });
    const fault = await failure(() => context.waitForInterruptSync(1, LONG));
    expect(fault).toMatchObject({ code: 'EFAULT', syscall: 'waitForInterruptSync' });
    expect(fault.event).toMatchObject({ type: 'data-storage', address: 0x40n });
    inject(regs, 'afuError', { value: 7n });
    const error = await failure(() =>
      context.waitForEventSync({ ...LONG, types: ['afu-interrupt'] }),
    );
    expect(error).toMatchObject({ code: 'EREMOTEIO', event: { error: 7n } });
    inject(regs, 'afuError', { value: 8n });
    expect(context.waitForEventSync(LONG)).toMatchObject({ type: 'afu-error', error: 8n });
  });

  test('ends with EIO when the context is detached', ['injection'], async () => {
    const { context, regs } = await started();
    inject(regs, 'detachAll');
    expect(await codeOf(() => context.waitForInterruptSync(1, LONG))).toBe('EIO');
    expect(await codeOf(() => context.waitForInterruptSync(1, LONG))).toBe('EIO');
    expect(await codeOf(() => context.waitForInterrupt(1, LONG))).toBe('EIO');
  });

  test('delivers what was pending before EIO', ['injection'], async () => {
    const { context, regs } = await started();
    await injectAndWait(regs, 'afuError', { value: 5n });
    inject(regs, 'detachAll');
    expect(context.waitForEventSync(LONG)).toMatchObject({ type: 'afu-error', error: 5n });
    expect(await codeOf(() => context.waitForEventSync(LONG))).toBe('EIO');
  });

  test('is refused while another call waits, before attach and after close', [], async () => {
    const context = await system.open(`/dev/cxl/${afu}s`);
    const sync: Record<string, (context: Context) => unknown> = {
      interrupt: (one) => one.waitForInterruptSync(1, LONG),
      event: (one) => one.waitForEventSync(LONG),
    };
    const refused = async (one: Context, message: RegExp) => {
      for (const wait of Object.values(sync)) {
        const error = await failure(() => wait(one));
        expect(error).toMatchObject({ code: 'ERR_INVALID_STATE' });
        expect(error.message).toMatch(message);
      }
    };
    await refused(context, /before attach/);
    await context.close();
    await refused(context, /closed/);
    const { context: waited } = await started();
    const wait = waited.waitForInterrupt(1, { timeout: 200 });
    const message = await failure(() => waited.waitForInterrupt(1)).then((error) => error.message);
    await refused(waited, /one reader at a time/);
    expect((await failure(() => waited.waitForEventSync())).message).toBe(message);
    expect(await codeOf(() => wait)).toBe('ETIMEDOUT');
    expect(await codeOf(() => waited.waitForEventSync({ timeout: 0 }))).toBe('ETIMEDOUT');
  });

  test('checks its arguments', [], async () => {
    const { context } = await started();
    const codes = [
      () => context.waitForInterruptSync(0),
      () => context.waitForInterruptSync(5),
      () => context.waitForInterruptSync(1, { timeout: -1 }),
      () => context.waitForInterruptSync(1, { spin: -1 }),
      () => context.waitForEventSync({ spin: 2 ** 31 }),
      () => context.waitForEventSync({ types: [] }),
      () => context.waitForEventSync({ signal: new AbortController().signal } as object),
      () => context.waitForInterruptSync(1, { spins: 1 } as object),
    ].map((call) => codeOf(call));
    expect(await Promise.all(codes)).toEqual([
      ...Array(5).fill('ERR_OUT_OF_RANGE'),
      'ERR_INVALID_ARG_VALUE',
      'ERR_INVALID_ARG_VALUE',
      'ERR_INVALID_ARG_VALUE',
    ]);
  });
});

describe('spin', () => {
  test('finds an event without sleep, on each kind of wait', ['injection'], async () => {
    const { context, regs } = await started();
    // Longer than the wait: the thread never sleeps.
    const options = { timeout: 10_000, spin: 10_000_000 };
    raise(regs, 1);
    context.waitForInterruptSync(1, options);
    raise(regs, 2);
    expect(context.waitForEventSync(options)).toMatchObject({ irq: 2 });
    raise(regs, 3);
    await context.waitForInterrupt(3, options);
    raise(regs, 4);
    expect(await context.waitForEvent(options)).toMatchObject({ irq: 4 });
    raise(regs, 1);
    for await (const event of context.events({ spin: 10_000_000 })) {
      expect(event).toMatchObject({ irq: 1 });
      break;
    }
  });

  test('is a part of the time-out, and goes over into a wait', ['injection'], async () => {
    const { context, regs } = await started();
    for (const spin of [20, 5000, 1_000_000]) {
      const start = performance.now();
      const wait = { timeout: 30, spin };
      expect(await codeOf(() => context.waitForEventSync(wait))).toBe('ETIMEDOUT');
      expect(await codeOf(() => context.waitForEvent(wait))).toBe('ETIMEDOUT');
      const elapsed = performance.now() - start;
      expect(elapsed).toBeGreaterThanOrEqual(58);
    }
    const wait = context.waitForInterrupt(1, { ...LONG, spin: 10 });
    raise(regs, 1);
    await wait;
  });

  test('blocks the event loop of the asynchronous wait, and no longer', ['real-time'], async () => {
    const { context } = await started();
    let turns = 0;
    const count = setInterval(() => {
      turns += 1;
    }, 1);
    const waiting = context.waitForEvent({ timeout: 150, spin: 50_000 });
    expect(turns).toBe(0);
    expect(await codeOf(() => waiting)).toBe('ETIMEDOUT');
    clearInterval(count);
    expect(turns).toBeGreaterThan(0);
  });
});
