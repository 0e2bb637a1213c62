/** Events: their order, contents and decoding, and waiting for them. */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { CxlEvent } from 'node-cxl';
import { afterEach, describe, expect } from 'vitest';
import { codeOf, failure } from './support/errors';
import { inject, injectAndWait, interrupts } from './support/injection';
import { type Job, startJob } from './support/work-queue';
import { slowness, target, test } from './target';

const { system, afu } = target;
const LONG_WAIT = { timeout: slowness * 15_000 };
const jobs: Job[] = [];

afterEach(async () => {
  for (const { context } of jobs.splice(0)) await context.close();
});

async function started(): Promise<Job> {
  const job = await startJob(system, `/dev/cxl/${afu}s`, { interrupts: 4 });
  jobs.push(job);
  return job;
}

describe('delivery', () => {
  test('an interrupt event has the number of the interrupt', ['event-injection'], async () => {
    const { context, regs } = await started();
    await injectAndWait(regs, 'interrupt', { argument: interrupts(2) });
    const event = await context.waitForEvent(LONG_WAIT);
    expect(event).toMatchObject({ type: 'afu-interrupt', irq: 2, flags: 0 });
    expect(event.processElement).toBeTypeOf('number');
  });

  test('pending interrupts come lowest number first', ['event-injection'], async () => {
    const { context, regs } = await started();
    await injectAndWait(regs, 'interrupt', { argument: interrupts(3) });
    await injectAndWait(regs, 'interrupt', { argument: interrupts(1, 4) });
    const irqs: number[] = [];
    for (let n = 0; n < 3; n += 1) {
      const event = await context.waitForEvent(LONG_WAIT);
      if (event.type === 'afu-interrupt') irqs.push(event.irq);
    }
    expect(irqs).toEqual([1, 3, 4]);
  });

  test(
    'an interrupt raised several times before it is read is one event',
    ['event-injection'],
    async () => {
      const { context, regs } = await started();
      await injectAndWait(regs, 'interrupt', { argument: interrupts(1), count: 5n });
      await injectAndWait(regs, 'interrupt', { argument: interrupts(2) });
      expect(await context.waitForEvent(LONG_WAIT)).toMatchObject({ irq: 1 });
      expect(await context.waitForEvent(LONG_WAIT)).toMatchObject({ irq: 2 });
      expect(await codeOf(() => context.waitForEvent({ timeout: 100 }))).toBe('ETIMEDOUT');
    },
  );

  test('interrupts, then the fault, then the AFU error', ['injection'], async () => {
    const { context, regs } = await started();
    await injectAndWait(regs, 'afuError', { value: 0x1234n });
    await injectAndWait(regs, 'dataStorage', { value: 0x40n });
    await injectAndWait(regs, 'interrupt', { argument: interrupts(1) });
    const types: string[] = [];
    for (let n = 0; n < 3; n += 1) types.push((await context.waitForEvent(LONG_WAIT)).type);
    expect(types).toEqual(['afu-interrupt', 'data-storage', 'afu-error']);
  });

  test('a data storage fault has the address', ['event-injection'], async () => {
    const { context, regs } = await started();
    await injectAndWait(regs, 'dataStorage', { value: 0x1230n });
    const event = await context.waitForEvent(LONG_WAIT);
    expect(event).toMatchObject({ type: 'data-storage', address: 0x1230n });
  });

  test('an AFU error has its value', ['injection'], async () => {
    const { context, regs } = await started();
    await injectAndWait(regs, 'afuError', { value: 0xfeed_0000_0000_beefn });
    expect(await context.waitForEvent(LONG_WAIT)).toMatchObject({
      type: 'afu-error',
      error: 0xfeed_0000_0000_beefn,
    });
  });

  test('a second AFU error before the first is read is dropped', ['injection'], async () => {
    const { context, regs } = await started();
    await injectAndWait(regs, 'afuError', { value: 1n });
    await injectAndWait(regs, 'afuError', { value: 2n });
    expect(await context.waitForEvent(LONG_WAIT)).toMatchObject({ type: 'afu-error', error: 1n });
    expect(await codeOf(() => context.waitForEvent({ timeout: 100 }))).toBe('ETIMEDOUT');
  });

  test('a context gets only its own events', ['event-injection'], async () => {
    const [one, two] = [await started(), await started()];
    await injectAndWait(two.regs, 'interrupt', { argument: interrupts(2) });
    expect(await two.context.waitForEvent(LONG_WAIT)).toMatchObject({ irq: 2 });
    expect(await codeOf(() => one.context.waitForEvent({ timeout: 100 }))).toBe('ETIMEDOUT');
  });

  test('a slice error is no event: the driver handles it', ['injection'], async () => {
    const { context, regs } = await started();
    await injectAndWait(regs, 'sliceError', { value: 1n });
    expect(await codeOf(() => context.waitForEvent({ timeout: 200 }))).toBe('ETIMEDOUT');
  });

  test(
    'a hundred rounds of raise and wait lose no event',
    ['injection'],
    async () => {
      const { context, regs } = await started();
      for (let round = 0; round < 100; round += 1) {
        const irq = 1 + (round % 4);
        const wait = context.waitForEvent(LONG_WAIT);
        inject(regs, 'interrupt', { argument: interrupts(irq) });
        expect(await wait).toMatchObject({ type: 'afu-interrupt', irq });
      }
    },
    60_000,
  );
});

describe('raw bytes', () => {
  async function inject(job: Job, bytes: Uint8Array): Promise<void> {
    // The driver's index of the context: only its events have it.
    await injectAndWait(job.regs, 'interrupt', { argument: interrupts(1) });
    const { processElement } = await job.context.waitForEvent(LONG_WAIT);
    await target.device.injectEventBytes(afu, processElement, bytes);
  }

  /** An event as the kernel lays it out, native-endian. */
  function event(type: number, size: number, body: Uint8Array = new Uint8Array(0)): Uint8Array {
    const bytes = new Uint8Array(8 + body.length);
    new Uint16Array(bytes.buffer, 0, 4).set([type, size, 7, 0]);
    bytes.set(body, 8);
    return bytes;
  }

  test('an event of unknown type has its bytes', ['device-side'], async () => {
    const job = await started();
    await inject(job, event(99, 12, Uint8Array.of(1, 2, 3, 4)));
    expect(await job.context.waitForEvent(LONG_WAIT)).toEqual({
      type: 'unknown',
      processElement: 7,
      rawType: 99,
      data: Uint8Array.of(1, 2, 3, 4),
    });
  });

  test('several events of one read are returned one by one', ['device-side'], async () => {
    const job = await started();
    const one = event(98, 8);
    await inject(job, Buffer.concat([one, event(97, 9, Uint8Array.of(5)), one]));
    const types: number[] = [];
    for (let n = 0; n < 3; n += 1) {
      const event = await job.context.waitForEvent(LONG_WAIT);
      if (event.type === 'unknown') types.push(event.rawType);
    }
    expect(types).toEqual([98, 97, 98]);
  });

  test(
    'EBADMSG: truncated, oversized and impossible sizes; later events still arrive',
    ['device-side'],
    async () => {
      const job = await started();
      const bad = [
        Uint8Array.of(1, 0, 16),
        event(1, 16),
        event(1, 8),
        event(2, 16, new Uint8Array(8)),
        event(3, 8),
        event(50, 5000, new Uint8Array(16)),
        event(50, 0),
      ];
      for (const bytes of bad) {
        await inject(job, bytes);
        const error = await failure(() => job.context.waitForEvent(LONG_WAIT));
        expect(error.code).toBe('EBADMSG');
        expect(error.syscall).toBe('read');
      }
      await inject(job, Buffer.concat([event(98, 8), event(1, 8)]));
      expect(await job.context.waitForEvent(LONG_WAIT)).toMatchObject({ rawType: 98 });
      expect(await codeOf(() => job.context.waitForEvent(LONG_WAIT))).toBe('EBADMSG');
      await inject(job, event(98, 8));
      expect(await job.context.waitForEvent(LONG_WAIT)).toMatchObject({ rawType: 98 });
    },
  );
});

describe('waiting', () => {
  test('before attach is refused', [], async () => {
    const context = await system.open(`/dev/cxl/${afu}s`);
    try {
      expect(await codeOf(() => context.waitForEvent())).toBe('ERR_INVALID_STATE');
      expect(await codeOf(() => context.waitForInterrupt(1))).toBe('ERR_INVALID_STATE');
      expect(await codeOf(() => context.events().next())).toBe('ERR_INVALID_STATE');
    } finally {
      await context.close();
    }
  });

  test('is for one reader at a time', ['event-injection'], async () => {
    const { context, regs } = await started();
    const first = context.waitForEvent(LONG_WAIT);
    expect(await codeOf(() => context.waitForEvent())).toBe('ERR_INVALID_STATE');
    expect(await codeOf(() => context.events().next())).toBe('ERR_INVALID_STATE');
    inject(regs, 'interrupt', { argument: interrupts(1) });
    await first;
    const iterator = context.events();
    const next = iterator.next();
    expect(await codeOf(() => context.waitForEvent())).toBe('ERR_INVALID_STATE');
    expect(await codeOf(() => iterator.next())).toBe('ERR_INVALID_STATE');
    await iterator.return();
    expect((await next).done).toBe(true);
    expect(await codeOf(() => context.waitForEvent({ timeout: 1 }))).toBe('ETIMEDOUT');
  });

  test('ETIMEDOUT names the context and the time', [], async () => {
    const { context } = await started();
    const error = await failure(() => context.waitForInterrupt(1, { timeout: 20 }));
    expect(error.code).toBe('ETIMEDOUT');
    expect(error.errno).toBe(-110);
    expect(error.message).toContain('20 ms');
    expect(error.path).toBe(`/dev/cxl/${afu}s`);
  });

  test(
    'an abort rejects with AbortError and its cause, before or during the wait',
    [],
    async () => {
      const { context } = await started();
      const before = await failure(() => context.waitForEvent({ signal: AbortSignal.abort('no') }));
      expect(before.name).toBe('AbortError');
      expect(before.code).toBe('ABORT_ERR');
      expect(before.cause).toBe('no');
      const controller = new AbortController();
      const wait = failure(() => context.waitForEvent({ signal: controller.signal }));
      controller.abort();
      expect((await wait).name).toBe('AbortError');
    },
  );

  test(
    'an abort loses no event',
    ['event-injection'],
    async () => {
      const { context, regs } = await started();
      for (let round = 0; round < 50; round += 1) {
        const controller = new AbortController();
        const wait = context.waitForEvent({ signal: controller.signal }).then(
          (event) => event,
          () => undefined,
        );
        inject(regs, 'interrupt', { argument: interrupts(1) });
        if (round % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
        controller.abort();
        const event = (await wait) ?? (await context.waitForEvent(LONG_WAIT));
        expect(event).toMatchObject({ type: 'afu-interrupt', irq: 1 });
      }
    },
    60_000,
  );

  test('waitForInterrupt leaves other interrupts pending', ['event-injection'], async () => {
    const { context, regs } = await started();
    await injectAndWait(regs, 'interrupt', { argument: interrupts(1, 2, 3) });
    await context.waitForInterrupt(3, LONG_WAIT);
    await context.waitForInterrupt(1, LONG_WAIT);
    expect(await context.waitForEvent(LONG_WAIT)).toMatchObject({ irq: 2 });
  });

  test(
    'an interrupt that waitForInterrupt skips is one event, however often it was raised',
    ['event-injection'],
    async () => {
      const { context, regs } = await started();
      const wait = context.waitForInterrupt(1, LONG_WAIT);
      for (let round = 0; round < 50; round += 1) {
        await injectAndWait(regs, 'interrupt', { argument: interrupts(2) });
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      inject(regs, 'interrupt', { argument: interrupts(1) });
      await wait;
      const again = () =>
        context.waitForInterrupt(2, { timeout: 100 }).then(
          () => true,
          () => false,
        );
      await context.waitForInterrupt(2, LONG_WAIT);
      let more = 0;
      while (await again()) more += 1;
      // What the kernel may still have had pending.
      expect(more).toBeLessThanOrEqual(1);
    },
  );

  test(
    'waitForInterrupt rejects on a data storage fault; the error has the event',
    ['event-injection'],
    async () => {
      const { context, regs } = await started();
      const wait = failure(() => context.waitForInterrupt(1, LONG_WAIT));
      inject(regs, 'dataStorage', { value: 0x40n });
      const error = await wait;
      expect(error.code).toBe('EFAULT');
      expect(error.event).toMatchObject({ type: 'data-storage', address: 0x40n });
    },
  );

  test(
    'waitForInterrupt rejects on an AFU error; the error has the event',
    ['injection'],
    async () => {
      const { context, regs } = await started();
      const wait = failure(() => context.waitForInterrupt(1, LONG_WAIT));
      inject(regs, 'afuError', { value: 9n });
      const error = await wait;
      expect(error.code).toBe('EREMOTEIO');
      expect(error.event).toMatchObject({ type: 'afu-error', error: 9n });
    },
  );

  test('waitForInterrupt rejects on a detach', ['injection'], async () => {
    const { context, regs } = await started();
    const wait = failure(() => context.waitForInterrupt(1, LONG_WAIT));
    inject(regs, 'detachAll');
    expect((await wait).code).toBe('EIO');
  });

  test('close() ends waitForInterrupt with ECANCELED, and events() without error', [], async () => {
    const one = await started();
    const wait = failure(() => one.context.waitForInterrupt(1));
    await one.context.close();
    expect((await wait).code).toBe('ECANCELED');
    const two = await started();
    const seen: CxlEvent[] = [];
    const loop = (async () => {
      for await (const event of two.context.events()) seen.push(event);
    })();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await two.context.close();
    await loop;
    expect(seen).toEqual([]);
  });

  test('events() iterates; after break another call can wait', ['event-injection'], async () => {
    const { context, regs } = await started();
    inject(regs, 'interrupt', { argument: interrupts(1, 2, 3, 4) });
    const irqs: number[] = [];
    for await (const event of context.events()) {
      if (event.type === 'afu-interrupt') irqs.push(event.irq);
      if (irqs.length === 3) break;
    }
    expect(irqs).toEqual([1, 2, 3]);
    expect(await context.waitForEvent(LONG_WAIT)).toMatchObject({ irq: 4 });
  });

  test('events() ends with AbortError when its signal aborts', [], async () => {
    const { context } = await started();
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 20);
    const error = await failure(async () => {
      for await (const _ of context.events({ signal: controller.signal })) {
        throw new Error('no event was raised');
      }
    });
    expect(error.name).toBe('AbortError');
  });

  test(
    'fifty contexts wait at once',
    ['event-injection', 'many-processes'],
    async () => {
      const many: Job[] = [];
      for (let n = 0; n < 50; n += 1) many.push(await started());
      const waits = many.map(({ context }) => context.waitForInterrupt(1, LONG_WAIT));
      for (const { regs } of many) inject(regs, 'interrupt', { argument: interrupts(1) });
      await Promise.all(waits);
    },
    60_000,
  );

  test(
    'one signal ends the waits of twenty contexts, without a warning of Node about leaks',
    ['many-processes'],
    async () => {
      const warnings: string[] = [];
      const onWarning = (warning: Error) => warnings.push(warning.message);
      process.on('warning', onWarning);
      try {
        const controller = new AbortController();
        const { signal } = controller;
        const waits: Promise<{ name: string }>[] = [];
        for (let n = 0; n < 20; n += 1) {
          const { context } = await started();
          // A wait that has ended must not have removed the listener of the others.
          if (n % 5 === 0) await codeOf(() => context.waitForEvent({ signal, timeout: 1 }));
          waits.push(failure(() => context.waitForEvent({ signal })));
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
        controller.abort();
        expect(new Set((await Promise.all(waits)).map(({ name }) => name))).toEqual(
          new Set(['AbortError']),
        );
        expect(warnings).toEqual([]);
      } finally {
        process.off('warning', onWarning);
      }
    },
  );
});

describe('without a wait', () => {
  test(
    'takeEvent() returns what is pending now, in order, or undefined',
    ['injection'],
    async () => {
      const { context, regs } = await started();
      expect(context.takeEvent()).toBeUndefined();
      await injectAndWait(regs, 'afuError', { value: 9n });
      await injectAndWait(regs, 'interrupt', { argument: interrupts(2, 1) });
      expect(context.takeEvent()).toMatchObject({ type: 'afu-interrupt', irq: 1 });
      expect(context.takeEvent()).toMatchObject({ type: 'afu-interrupt', irq: 2 });
      expect(context.takeEvent()).toMatchObject({ type: 'afu-error', error: 9n });
      expect(context.takeEvent()).toBeUndefined();
      inject(regs, 'interrupt', { argument: interrupts(3) });
      await context.waitForInterrupt(3, LONG_WAIT);
      expect(context.takeEvent()).toBeUndefined();
    },
  );

  test('a program that only polls takeEvent() sees the event', ['event-injection'], async () => {
    const { context, regs } = await started();
    inject(regs, 'interrupt', { argument: interrupts(4) });
    const end = Date.now() + 15_000;
    let event = context.takeEvent();
    while (event === undefined && Date.now() < end) event = context.takeEvent();
    expect(event).toMatchObject({ irq: 4 });
  });

  test('takeEvent() of an adopted descriptor does not block', ['injection'], async () => {
    const { context, regs } = await started();
    const adopted = system.adopt(context.fd);
    expect(adopted.takeEvent()).toBeUndefined();
    await injectAndWait(regs, 'interrupt', { argument: interrupts(2) });
    expect(adopted.takeEvent()).toMatchObject({ irq: 2 });
    await adopted.close();
  });

  test('takeEvent() throws EIO once detached, after what was pending', ['injection'], async () => {
    const { context, regs } = await started();
    await injectAndWait(regs, 'interrupt', { argument: interrupts(1) });
    inject(regs, 'detachAll');
    let error: { code?: string; path?: string } | undefined;
    const types: string[] = [];
    for (const end = Date.now() + 15_000; error === undefined && Date.now() < end; ) {
      try {
        const event = context.takeEvent();
        if (event !== undefined) types.push(event.type);
      } catch (thrown) {
        error = thrown as typeof error;
      }
    }
    expect(types).toEqual(['afu-interrupt']);
    expect(error).toMatchObject({ code: 'EIO', path: `/dev/cxl/${afu}s` });
    expect(await codeOf(() => context.takeEvent())).toBe('EIO');
  });

  test('takeEvent() is refused before attach, once closed, and during a wait', [], async () => {
    const idle = await system.open(`/dev/cxl/${afu}s`);
    expect(await codeOf(() => idle.takeEvent())).toBe('ERR_INVALID_STATE');
    await idle.close();
    expect(await codeOf(() => idle.takeEvent())).toBe('ERR_INVALID_STATE');
    const { context } = await started();
    const wait = codeOf(() => context.waitForEvent());
    expect(await codeOf(() => context.takeEvent())).toBe('ERR_INVALID_STATE');
    await context.close();
    expect(await wait).toBe('ECANCELED');
  });

  test('takeEvent() loses nothing to a wait that was aborted', ['event-injection'], async () => {
    const { context, regs } = await started();
    for (let round = 0; round < 50; round += 1) {
      const controller = new AbortController();
      const wait = context.waitForEvent({ signal: controller.signal }).catch(() => undefined);
      inject(regs, 'interrupt', { argument: interrupts(1) });
      if (round % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
      controller.abort();
      let event = await wait;
      const end = Date.now() + 15_000;
      while (event === undefined && Date.now() < end) event = context.takeEvent();
      expect(event).toMatchObject({ irq: 1 });
    }
  });

  test(
    'a timeout of 0 never loses to an event that is there already',
    ['event-injection'],
    async () => {
      const { context, regs } = await started();
      let lost = 0;
      for (let round = 0; round < 200; round += 1) {
        await injectAndWait(regs, 'interrupt', { argument: interrupts(1 + (round % 4)) });
        if (round % 2 === 0) {
          await context.waitForEvent({ timeout: 0 }).catch(() => (lost += 1));
        } else {
          const wait = context.waitForInterrupt(1 + (round % 4), { timeout: 0 });
          await wait.catch(() => (lost += 1));
        }
      }
      expect(lost).toBe(0);
      const error = await failure(() => context.waitForEvent({ timeout: 0 }));
      expect(error.code).toBe('ETIMEDOUT');
      expect(error.message).toContain('nothing is pending');
    },
    60_000,
  );

  test(
    'nor does a time-out that is due when the event loop runs again',
    ['event-injection'],
    async () => {
      const { context, regs } = await started();
      for (let round = 0; round < 20; round += 1) {
        await injectAndWait(regs, 'interrupt', { argument: interrupts(1) });
        const wait = context.waitForEvent({ timeout: 1 });
        for (const end = performance.now() + 3; performance.now() < end; );
        expect(await wait).toMatchObject({ irq: 1 });
      }
    },
    60_000,
  );
});

describe('waiting for types of events', () => {
  test('leaves events of other types pending', ['device-side'], async () => {
    const job = await started();
    const { context } = job;
    await injectAndWait(job.regs, 'interrupt', { argument: interrupts(1) });
    const { processElement } = await context.waitForEvent(LONG_WAIT);
    const wait = context.waitForEvent({ types: ['unknown', 'unknown'], ...LONG_WAIT });
    await injectAndWait(job.regs, 'interrupt', { argument: interrupts(2) });
    const unknown = Uint8Array.from(new Uint8Array(Uint16Array.of(99, 8, 7, 0).buffer));
    await target.device.injectEventBytes(afu, processElement, unknown);
    expect((await wait).rawType).toBe(99);
    const next = await context.waitForEvent({
      types: ['afu-driver', 'afu-interrupt'],
      ...LONG_WAIT,
    });
    expect(next).toMatchObject({ type: 'afu-interrupt', irq: 2 });
    expect(await codeOf(() => context.waitForEvent({ types: ['unknown'], timeout: 20 }))).toBe(
      'ETIMEDOUT',
    );
  });

  test('rejects on a fault that was not waited for, with the event', ['injection'], async () => {
    const { context, regs } = await started();
    const types = ['afu-interrupt'] as const;
    let wait = failure(() => context.waitForEvent({ types, ...LONG_WAIT }));
    inject(regs, 'dataStorage', { value: 0x40n });
    let error = await wait;
    expect(error).toMatchObject({ code: 'EFAULT', syscall: 'waitForEvent' });
    expect(error.event).toMatchObject({ type: 'data-storage', address: 0x40n });
    wait = failure(() => context.waitForEvent({ types, ...LONG_WAIT }));
    inject(regs, 'afuError', { value: 9n });
    error = await wait;
    expect(error).toMatchObject({ code: 'EREMOTEIO', syscall: 'waitForEvent' });
    expect(error.event).toMatchObject({ type: 'afu-error', error: 9n });
  });

  test('returns a fault that was waited for', ['event-injection'], async () => {
    const { context, regs } = await started();
    await injectAndWait(regs, 'interrupt', { argument: interrupts(1) });
    await injectAndWait(regs, 'dataStorage', { value: 0x40n });
    const fault = await context.waitForEvent({ types: ['data-storage'], ...LONG_WAIT });
    expect(fault.address).toBe(0x40n);
    expect(context.takeEvent()).toMatchObject({ irq: 1 });
  });
});

describe('the error of a wait', () => {
  test('has the stack of its caller', ['injection'], async () => {
    const { context, regs } = await started();
    const ends: Record<string, () => Promise<unknown>> = {
      ETIMEDOUT: async function timedOut() {
        await context.waitForEvent({ timeout: 5 });
      },
      ABORT_ERR: async function aborted() {
        const controller = new AbortController();
        setTimeout(() => controller.abort(), 5);
        await context.waitForInterrupt(1, { signal: controller.signal });
      },
      EFAULT: async function faulted() {
        setTimeout(() => inject(regs, 'dataStorage', { value: 0x40n }), 5);
        await context.waitForInterrupt(1, LONG_WAIT);
      },
      EIO: async function detached() {
        setTimeout(() => inject(regs, 'detachAll'), 5);
        for await (const _ of context.events());
      },
    };
    for (const [code, wait] of Object.entries(ends)) {
      const error = await failure(wait);
      expect(error.code).toBe(code);
      expect(error.stack).toContain(wait.name);
    }
    const last = await started();
    const canceled = failure(async function closed() {
      await last.context.waitForEvent();
    });
    await last.context.close();
    expect((await canceled).stack).toContain('closed');
  });
});

describe('AsyncLocalStorage', () => {
  test('keeps its store across every wait and callback', ['event-injection'], async () => {
    const store = new AsyncLocalStorage<number>();
    const after: (number | undefined)[] = [];
    async function job(number: number): Promise<void> {
      const seen = () => after.push(store.getStore());
      const { context, regs } = await started();
      seen();
      const raise = () =>
        setTimeout(() => inject(regs, 'interrupt', { argument: interrupts(1) }), 5);
      raise();
      await context.waitForEvent(LONG_WAIT);
      seen();
      raise();
      await context.waitForInterrupt(1, LONG_WAIT);
      seen();
      await context.waitForEvent({ timeout: 5 }).catch(seen);
      const controller = new AbortController();
      store.exit(() => setTimeout(() => controller.abort(), 5));
      await context.waitForEvent({ signal: controller.signal }).catch(seen);
      raise();
      for await (const _ of context.events()) break;
      seen();
      await context.waitForEvent({ timeout: 0 }).catch(seen);
      const wait = context.waitForEvent().catch(seen);
      await store.exit(() => context.close());
      await wait;
      seen();
      expect(after.filter((one) => one === number)).toHaveLength(9);
    }
    // At once, so that one delivery brings the events of several.
    await Promise.all([1, 2, 3, 4].map((number) => store.run(number, () => job(number))));
    expect(store.getStore()).toBeUndefined();
    expect(after).toHaveLength(36);
  });
});

describe('bad arguments', () => {
  test('are refused before anything is waited for', [], async () => {
    const { context } = await started();
    const any = context as unknown as { [call: string]: (...args: unknown[]) => unknown };
    expect(await codeOf(() => any['waitForInterrupt']?.(0))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => any['waitForInterrupt']?.('1'))).toBe('ERR_INVALID_ARG_TYPE');
    // It was attached with four.
    expect(await codeOf(() => any['waitForInterrupt']?.(5))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => any['waitForEvent']?.(null))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await codeOf(() => any['events']?.(null))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await codeOf(() => any['waitForEvent']?.({ timeout: -1 }))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => any['waitForEvent']?.({ timeout: 1.5 }))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => any['waitForEvent']?.({ signal: {} }))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await codeOf(() => any['decodeDriverEvents']?.(1))).toBe('ERR_INVALID_ARG_TYPE');
    const types = (value: unknown) => codeOf(() => any['waitForEvent']?.({ types: value }));
    expect(await types('afu-error')).toBe('ERR_INVALID_ARG_TYPE');
    expect(await types([])).toBe('ERR_INVALID_ARG_VALUE');
    expect(await types(['afu-error', 'afu'])).toBe('ERR_INVALID_ARG_VALUE');
  });
});
