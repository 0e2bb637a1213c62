/** close() leaves nothing open; adopted descriptors; invalid arguments of open() and attach(). */
import { closeSync, openSync, readdirSync } from 'node:fs';
import { AbortError, Context } from 'node-cxl';
import { describe, expect } from 'vitest';
import { codeOf, failure } from './support/errors';
import { inject, interrupts } from './support/injection';
import { startJob } from './support/work-queue';
import { target, test } from './target';

const { system, afu, device } = target;
const slave = `/dev/cxl/${afu}s`;

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('close() leaves nothing open', () => {
  test('after whole jobs', ['device-side', 'injection'], async () => {
    const before = await device.usage();
    for (let n = 0; n < 20; n += 1) {
      const job = await startJob(system, slave, { interrupts: 4 });
      const wait = job.context.waitForInterrupt(1, { timeout: 15_000 });
      inject(job.regs, 'interrupt', { argument: interrupts(1) });
      await wait;
      await job.end();
    }
    expect(await device.usage()).toEqual(before);
  });

  test('after calls that failed', ['device-side'], async () => {
    const before = await device.usage();
    for (let n = 0; n < 20; n += 1) {
      const context = await system.open(slave);
      expect(await codeOf(() => context.mapProblemState())).toBe('EIO');
      expect(await codeOf(() => context.attach({ wed: 0n, interrupts: 0x7fff }))).toBe('EINVAL');
      expect(await codeOf(() => context.attach({ wed: -1n }))).toBe('ERR_OUT_OF_RANGE');
      expect(await codeOf(() => system.open('/dev/cxl/afu77.0s'))).toBe('ENOENT');
      await context.close();
    }
    expect(await device.usage()).toEqual(before);
  });

  test('among the descriptors of the process', ['native'], async () => {
    const round = async () => {
      const job = await startJob(system, slave);
      expect(await codeOf(() => job.context.waitForEvent({ timeout: 1 }))).toBe('ETIMEDOUT');
      await job.end();
    };
    // The first attach and the first wait start threads, which keep descriptors open.
    await round();
    const before = openDescriptors();
    for (let n = 0; n < 20; n += 1) await round();
    expect(openDescriptors()).toBe(before);
  });

  test('an attach() called before close() runs before it', [], async () => {
    const context = await system.open(slave);
    const attaching = context.attach({ wed: 0n });
    const closing = context.close();
    expect(await attaching).toBe(undefined);
    expect(context.attached).toBe(false);
    await closing;
  });

  test('during open(), attach() and waits', [], async () => {
    for (let n = 0; n < 10; n += 1) {
      const context = await system.open(slave);
      const attaching = context.attach({ wed: 0n }).catch(() => {});
      const closing = context.close();
      await Promise.all([attaching, closing]);
    }
    const many = await Promise.all(Array.from({ length: 8 }, () => system.open(slave)));
    await Promise.all(many.map((context) => context.close()));
  });

  test('await using closes', [], async () => {
    const context = await system.open(slave);
    await context[Symbol.asyncDispose]();
    expect(context.closed).toBe(true);
  });
});

describe('an abort', () => {
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  test('before open() or attach() begins nothing', ['device-side'], async () => {
    const before = await device.usage();
    const signal = AbortSignal.abort('no');
    const error = await failure(() => system.open(slave, { signal }));
    expect(error).toBeInstanceOf(AbortError);
    expect(error.cause).toBe('no');
    const context = await system.open(slave);
    expect(await failure(() => context.attach({ wed: 0n, signal }))).toBeInstanceOf(AbortError);
    await context.attach({ wed: 0n, signal: undefined });
    await context.close();
    expect(await device.usage()).toEqual(before);
  });

  test('at any step of open() leaves nothing open', ['device-side'], async () => {
    const before = await device.usage();
    let aborted = 0;
    for (let turns = 0, opened = false; !opened; turns += 1) {
      const controller = new AbortController();
      const opening = system.open(slave, { signal: controller.signal }).catch((error) => error);
      for (let n = 0; n < turns; n += 1) await turn();
      controller.abort();
      const outcome: unknown = await opening;
      if (outcome instanceof Context) {
        opened = true;
        await outcome.close();
      } else {
        aborted += 1;
        expect(outcome).toBeInstanceOf(AbortError);
      }
    }
    expect(aborted).toBeGreaterThan(0);
    // What was being opened is closed in the background.
    const deadline = Date.now() + 10_000;
    while ((await device.usage()).files > before.files && Date.now() < deadline) await turn();
    expect(await device.usage()).toEqual(before);
  });

  test(
    'while START_WORK is in progress ends attach() at once, and closes the context',
    ['injection', 'master', 'device-side'],
    async () => {
      const master = await startJob(system, `/dev/cxl/${afu}m`);
      const before = await device.usage();
      const armed = master.regs.read64(0x1018);
      inject(master.regs, 'slowAttach', { argument: 500n });
      while (master.regs.read64(0x1018) === armed) await turn();
      const context = await system.open(slave);
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 50);
      const begin = Date.now();
      const held = new Uint8Array(64);
      const options = { wed: 0n, holds: [held], signal: controller.signal };
      expect(await failure(() => context.attach(options))).toBeInstanceOf(AbortError);
      expect(Date.now() - begin).toBeLessThan(400);
      expect([context.closed, context.attached, context.fd]).toEqual([true, false, -1]);
      // Resolves when the background close has.
      await context.close();
      expect(await device.usage()).toEqual(before);
      await master.end();
    },
  );
});

describe('adopt', () => {
  test('EBADF: no such descriptor', ['descriptors'], async () => {
    expect(await codeOf(() => system.adopt(99_999))).toBe('EBADF');
  });

  test('ENODEV: a descriptor of something else', ['native'], async () => {
    const fd = openSync('/dev/null', 'r+');
    try {
      expect(await codeOf(() => system.adopt(fd, { owned: true }))).toBe('ENODEV');
      // It was not adopted, so adopt() must not have closed it.
    } finally {
      closeSync(fd);
    }
  });

  test('ENODEV: a node’s descriptor whose context was detached', ['injection'], async () => {
    const job = await startJob(system, slave);
    inject(job.regs, 'detachAll');
    expect(await codeOf(() => job.context.waitForEvent({ timeout: 15_000 }))).toBe('EIO');
    expect(await codeOf(() => system.adopt(job.context.fd))).toBe('ENODEV');
    await job.context.close();
  });

  test('a descriptor that is not owned stays open', ['descriptors'], async () => {
    const job = await startJob(system, slave);
    const adopted = system.adopt(job.context.fd);
    expect(adopted.attached).toBe(true);
    expect(adopted.afuId()).toEqual(job.context.afuId());
    const regs = adopted.mapProblemState({ endian: 'big' });
    expect(regs.read64(0)).toBe(job.queue.wed);
    await adopted.close();
    expect(regs.mapped).toBe(false);
    expect(job.context.linkState()).toBe('up');
    expect(job.regs.read64(0)).toBe(job.queue.wed);
    await job.end();
  });

  test('an adopted context gets events', ['injection'], async () => {
    const job = await startJob(system, slave, { interrupts: 4 });
    const adopted = system.adopt(job.context.fd);
    const wait = adopted.waitForInterrupt(2, { timeout: 15_000 });
    inject(job.regs, 'interrupt', { argument: interrupts(2) });
    await wait;
    await adopted.close();
    await job.end();
  });

  test('refuses invalid arguments', [], async () => {
    expect(await codeOf(() => system.adopt(-1))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => system.adopt('1' as never))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await codeOf(() => system.adopt(1, { owned: 1 as never }))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await codeOf(() => system.adopt(1, { mmioSize: 0 }))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(() => system.adopt(1, null as never))).toBe('ERR_INVALID_ARG_TYPE');
  });
});

describe('bad arguments of open and attach', () => {
  test('are refused before any system call', [], async () => {
    expect(await codeOf(() => system.open(1 as never))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await codeOf(() => system.open(`${slave}\0`))).toBe('ERR_INVALID_ARG_VALUE');
    const [one] = await system.afus();
    expect(await codeOf(() => one?.open('toString' as never))).toBe('ERR_INVALID_ARG_VALUE');
    const context = await system.open(slave);
    const attach = (options: unknown) => codeOf(() => context.attach(options as never));
    expect(await attach(undefined)).toBe('ERR_INVALID_ARG_TYPE');
    expect(await attach({})).toBe('ERR_INVALID_ARG_TYPE');
    expect(await attach({ wed: 1 })).toBe('ERR_INVALID_ARG_TYPE');
    expect(await attach({ wed: 1n << 64n })).toBe('ERR_OUT_OF_RANGE');
    expect(await attach({ wed: 0n, interrupts: -1 })).toBe('ERR_OUT_OF_RANGE');
    expect(await attach({ wed: 0n, interrupts: 0x8000 })).toBe('ERR_OUT_OF_RANGE');
    expect(await attach({ wed: 0n, amr: 1 })).toBe('ERR_INVALID_ARG_TYPE');
    expect(await attach({ wed: 0n, errFf: 1 })).toBe('ERR_INVALID_ARG_TYPE');
    expect(await attach({ wed: 0n, holds: {} })).toBe('ERR_INVALID_ARG_TYPE');
    expect(await attach({ wed: 0n, holds: [1] })).toBe('ERR_INVALID_ARG_TYPE');
    const tid = { wed: 0n, tid: 'yes' as never };
    expect(await codeOf(() => context.attachSync(tid))).toBe('ERR_INVALID_ARG_TYPE');
    expect(context.attached).toBe(false);
    await context.close();
  });
});
