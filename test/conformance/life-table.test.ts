/** Each call in each state of a context (OPENED, STARTED, CLOSED), with the errno it fails with. */
import { type Context, CxlError } from 'node-cxl';
import { afterEach, describe, expect } from 'vitest';
import { ALL_ONES_32, ALL_ONES_64 } from '../../lib/shared/all-ones';
import { codeOf, failure } from './support/errors';
import { inject, injectAndWait, mappingGone } from './support/injection';
import { type Job, startJob, until, WorkQueue } from './support/work-queue';
import { target, test } from './target';

const { system, afu } = target;
const slave = `/dev/cxl/${afu}s`;
const open: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const context of open.splice(0)) await context.close();
});

async function opened(path = slave): Promise<Context> {
  const context = await system.open(path);
  open.push(context);
  return context;
}

async function started(options?: Parameters<typeof startJob>[2], path = slave): Promise<Job> {
  const job = await startJob(system, path, options);
  open.push(job.context);
  return job;
}

describe('open', () => {
  test('gives a context that is neither attached nor closed', [], async () => {
    const context = await opened();
    expect(context.path).toBe(slave);
    expect(context.fd).toBeGreaterThan(2);
    expect(context.attached).toBe(false);
    expect(context.closed).toBe(false);
  });

  test('takes a name instead of a path', [], async () => {
    const context = await system.open(`${afu}s`);
    open.push(context);
    expect(context.path).toBe(slave);
  });

  test('ENOENT: no such node, with a hint in the message', [], async () => {
    const error = await failure(() => system.open('/dev/cxl/afu77.0s'));
    expect(error).toBeInstanceOf(CxlError);
    expect(error.code).toBe('ENOENT');
    expect(error.errno).toBe(-2);
    expect(error.syscall).toBe('open');
    expect(error.path).toBe('/dev/cxl/afu77.0s');
    expect(error.message).toContain('Linux 3.18 to 6.14');
    expect(error.stack).toContain('life-table.test');
  });

  test('ERR_INVALID_ARG_VALUE: a path that is not an AFU’s is not opened', ['native'], async () => {
    expect(await codeOf(() => system.open('/dev/null'))).toBe('ERR_INVALID_ARG_VALUE');
    expect(await codeOf(() => system.open('/'))).toBe('ERR_INVALID_ARG_VALUE');
  });

  test('without the letter: the slave of an AFU in directed mode', [], async () => {
    const context = await opened(`/dev/cxl/${afu}`);
    expect(context.path).toBe(slave);
  });

  test(
    'without the letter: the dedicated node of an AFU in dedicated mode',
    ['dedicated'],
    async () => {
      const context = await opened(`/dev/cxl/${target.dedicatedAfu}`);
      expect(context.path).toBe(`/dev/cxl/${target.dedicatedAfu}d`);
    },
  );

  test('ENOSPC: a second context in dedicated mode', ['dedicated'], async () => {
    await opened(`/dev/cxl/${target.dedicatedAfu}d`);
    const error = await failure(() => system.open(`/dev/cxl/${target.dedicatedAfu}d`));
    expect(error.code).toBe('ENOSPC');
    expect(error.syscall).toBe('open');
  });

  test('ENOSPC: every process element taken; closing one frees it', ['few-processes'], async () => {
    const all: Context[] = [];
    for (let taken = 0; taken < target.processes; taken += 1) all.push(await opened());
    expect(await codeOf(() => system.open(slave))).toBe('ENOSPC');
    await all[0]?.close();
    await opened();
  });

  test(
    'EIO while the link is down, ENOENT once the driver has removed the nodes',
    ['device-side'],
    async () => {
      await target.device.linkDown(0);
      try {
        expect(['EIO', 'ENOENT']).toContain(await codeOf(() => system.open(slave)));
      } finally {
        await target.device.linkUp(0);
      }
    },
  );
});

describe('START_WORK', () => {
  test('starts the context', [], async () => {
    const { context } = await started();
    expect(context.attached).toBe(true);
    expect(context.linkState()).toBe('up');
  });

  test('EIO: a second start', [], async () => {
    const { context, queue } = await started();
    const error = await failure(() => context.attach({ wed: queue.wed }));
    expect(error.code).toBe('EIO');
    expect(error.syscall).toBe('ioctl(START_WORK)');
    expect(error.path).toBe(slave);
  });

  test('EINVAL: more interrupts than irqs_max', [], async () => {
    const [adapterAfu] = (await system.afus()).filter((one) => one.name === afu);
    const most = (await adapterAfu?.irqsMax()) ?? 0;
    const context = await opened();
    expect(await codeOf(() => context.attach({ wed: 0n, interrupts: most + 1 }))).toBe('EINVAL');
  });

  test('EINVAL: fewer interrupts than irqs_min', [], async () => {
    const [adapterAfu] = (await system.afus()).filter((one) => one.name === afu);
    const least = (await adapterAfu?.irqsMin()) ?? 0;
    const context = await opened();
    if (least === 0) {
      // There is no smaller number: attach with the least one then.
      await context.attach({ wed: 0n, interrupts: 0 });
      return;
    }
    expect(await codeOf(() => context.attach({ wed: 0n, interrupts: least - 1 }))).toBe('EINVAL');
  });

  test('after a failed start the context can be started', [], async () => {
    const context = await opened();
    const queue = new WorkQueue(system);
    expect(await codeOf(() => context.attach({ wed: queue.wed, interrupts: 0x7fff }))).toBe(
      'EINVAL',
    );
    expect(context.attached).toBe(false);
    await context.attach({ wed: queue.wed, holds: [queue.memory] });
    await context.close();
    queue.memory.free();
  });

  test('attachSync attaches on the calling thread; tid only when asked for', [], async () => {
    const context = await opened();
    const queue = new WorkQueue(system);
    expect(context.attachSync({ wed: queue.wed, holds: [queue.memory] })).toEqual({
      tid: undefined,
    });
    expect(context.attached).toBe(true);
    await context.close();
    queue.memory.free();
  });

  test('TID on POWER8 and in guests, which cannot wake threads: 0, or ENODEV', [], async () => {
    const context = await opened();
    let tid: number | undefined;
    try {
      tid = context.attachSync({ wed: 0n, tid: true }).tid;
    } catch (error) {
      expect((error as CxlError).code).toBe('ENODEV');
      return;
    }
    expect(tid).toBeGreaterThanOrEqual(0);
  });

  test('EIO: the link is down', ['device-side'], async () => {
    const context = await opened();
    await target.device.linkDown(0);
    try {
      expect(await codeOf(() => context.attach({ wed: 0n }))).toBe('EIO');
      expect(context.linkState()).toBe('down');
    } finally {
      await target.device.linkUp(0);
    }
  });

  test('can take long, and does not block the event loop', ['injection', 'master'], async () => {
    const master = await started({}, `/dev/cxl/${afu}m`);
    const before = master.regs.read64(0x1018);
    inject(master.regs, 'slowAttach', { argument: 300n });
    await until(() => master.regs.read64(0x1018) !== before, 'slow attach armed');
    let ticks = 0;
    const clock = setInterval(() => {
      ticks += 1;
    }, 10);
    const context = await opened();
    const begin = Date.now();
    await context.attach({ wed: 0n });
    clearInterval(clock);
    expect(Date.now() - begin).toBeGreaterThan(200);
    expect(ticks).toBeGreaterThan(3);
  });
});

describe('GET_PROCESS_ELEMENT', () => {
  test('is known from open on bare metal', ['bare-metal'], async () => {
    const first = await opened();
    const second = await opened();
    expect(first.processElement).toBeTypeOf('number');
    expect(second.processElement).not.toBe(first.processElement);
  });

  test('is undefined before attach in a guest, then the hypervisor’s', ['guest'], async () => {
    const context = await opened();
    expect(context.processElement).toBeUndefined();
    const { context: attached } = await started();
    expect(attached.processElement).toBeTypeOf('number');
  });
});

describe('GET_AFU_ID', () => {
  test('names adapter, slice, mode, and slave or master', ['master'], async () => {
    const numbers = /^afu(\d+)\.(\d+)$/.exec(afu);
    const id = (await opened()).afuId();
    expect(id).toEqual({
      slave: true,
      adapterNumber: Number(numbers?.[1]),
      slice: Number(numbers?.[2]),
      mode: 'afu_directed',
    });
    expect((await opened(`/dev/cxl/${afu}m`)).afuId().slave).toBe(false);
  });

  test('says dedicated mode', ['dedicated'], async () => {
    const id = (await opened(`/dev/cxl/${target.dedicatedAfu}d`)).afuId();
    expect(id.mode).toBe('dedicated_process');
    expect(id.slave).toBe(false);
  });
});

describe('name and afu()', () => {
  test('lead from a context to its AFU and the attributes', ['master'], async () => {
    for (const letter of ['s', 'm']) {
      const context = await opened(`/dev/cxl/${afu}${letter}`);
      expect(context.name).toBe(`${afu}${letter}`);
      const its = await context.afu();
      expect(its.name).toBe(afu);
      const [one] = (await system.afus()).filter(({ name }) => name === afu);
      expect(await its.attributes()).toEqual(await one?.attributes());
      expect(its.pciPath).toBe(one?.pciPath);
    }
  });

  test('of a dedicated context', ['dedicated'], async () => {
    const context = await opened(`/dev/cxl/${target.dedicatedAfu}d`);
    expect(context.name).toBe(`${target.dedicatedAfu}d`);
    const adopted = system.adopt(context.fd);
    expect(adopted.name).toBe(context.name);
    expect((await adopted.afu()).name).toBe(target.dedicatedAfu);
    await adopted.close();
  });

  test('of an adopted descriptor, too', ['descriptors'], async () => {
    const { context } = await started();
    const adopted = system.adopt(context.fd);
    expect(adopted.name).toBe(`${afu}s`);
    expect((await adopted.afu()).name).toBe(afu);
    await adopted.close();
    // They are the names of what it was.
    expect(adopted.name).toBe(`${afu}s`);
    expect((await adopted.afu()).name).toBe(afu);
  });

  test('remain when the context is detached', ['injection'], async () => {
    const { context, regs } = await started();
    inject(regs, 'detachAll');
    expect(await codeOf(() => context.waitForEvent({ timeout: 15_000 }))).toBe('EIO');
    expect((await context.afu()).name).toBe(afu);
  });
});

describe('mmap', () => {
  test('EIO: before attach', [], async () => {
    const context = await opened();
    const error = await failure(() => context.mapProblemState());
    expect(error.code).toBe('EIO');
    expect(error.syscall).toBe('mmap');
    expect(error.message).toContain('attach');
  });

  test('maps the area, whose size is in sysfs', [], async () => {
    const { context, regs } = await started();
    const size = await (await system.afus()).find((one) => one.name === afu)?.mmioSize();
    expect(regs.length).toBe(size);
    const again = context.mapProblemState({ length: system.pageSize });
    expect(again.length).toBe(system.pageSize);
  });

  test('EINVAL: past the end of the area', [], async () => {
    const { context, regs } = await started();
    expect(await codeOf(() => context.mapProblemState({ length: regs.length + 65536 }))).toBe(
      'EINVAL',
    );
    expect(
      await codeOf(() => context.mapProblemState({ offset: regs.length, length: 65536 })),
    ).toBe('EINVAL');
  });

  test('of a master is the whole area', ['master'], async () => {
    const { regs } = await started({}, `/dev/cxl/${afu}m`);
    const size = await (await system.afus()).find((one) => one.name === afu)?.masterMmioSize();
    expect(regs.length).toBe(size);
  });
});

describe('a detach by the kernel', () => {
  test('EIO from every ioctl and from mmap, and the link is down', ['injection'], async () => {
    const { context, regs, queue } = await started();
    inject(regs, 'detachAll');
    await until(() => context.linkState() === 'down', 'the detach');
    expect(await codeOf(() => context.afuId())).toBe('EIO');
    expect(await codeOf(() => context.attach({ wed: queue.wed }))).toBe('EIO');
    expect(await codeOf(() => context.mapProblemState({ length: system.pageSize }))).toBe('EIO');
    expect(context.processElement).toBeUndefined();
  });

  test('EIO from an access to the mapping', ['injection'], async () => {
    const { context, regs } = await started();
    inject(regs, 'detachAll');
    await until(() => context.linkState() === 'down', 'the detach');
    await mappingGone(regs);
    const error = await failure(() => regs.read64(0));
    expect(error.code).toBe('EIO');
    expect(error.syscall).toBe('mmio');
    expect(await codeOf(() => regs.write32(0, 1))).toBe('EIO');
    expect(await codeOf(() => regs.readBlock(0, new Uint32Array(4)))).toBe('EIO');
  });

  test('with ERR_FF: reads all ones, and then what is written', ['injection'], async () => {
    const { context, regs } = await started({ errFf: true });
    inject(regs, 'detachAll');
    await until(() => context.linkState() === 'down', 'the detach');
    await mappingGone(regs);
    expect(regs.read64(0x10)).toBe(ALL_ONES_64);
    regs.write64(0x10, 5n);
    expect(regs.read64(0x10)).toBe(5n);
  });

  test('ends waits with EIO, after the pending events', ['injection'], async () => {
    const { context, regs } = await started({ interrupts: 4 });
    await injectAndWait(regs, 'interrupt', { argument: 1n });
    inject(regs, 'detachAll');
    await until(() => context.linkState() === 'down', 'the detach');
    expect(await context.waitForEvent({ timeout: 15_000 })).toMatchObject({
      type: 'afu-interrupt',
      irq: 1,
    });
    expect(await codeOf(() => context.waitForEvent({ timeout: 15_000 }))).toBe('EIO');
    expect(await codeOf(() => context.waitForEvent({ timeout: 15_000 }))).toBe('EIO');
  });
});

describe('a card in error (EEH)', () => {
  test('reads are all ones and do not throw', ['device-side', 'bare-metal'], async () => {
    const { context, regs } = await started();
    await target.device.freeze(0);
    try {
      expect(regs.read64(0x08)).toBe(ALL_ONES_64);
      expect(regs.read32(0x08)).toBe(ALL_ONES_32);
      await target.device.linkDown(0);
      expect(context.linkState()).toBe('down');
      expect(await codeOf(() => context.waitForEvent({ timeout: 15_000 }))).toBe('EIO');
    } finally {
      await context.close();
      await target.device.linkUp(0);
    }
    const again = await opened();
    expect(again.linkState()).toBe('up');
  });
});

describe('close', () => {
  test('is idempotent, and everything after it is ERR_INVALID_STATE', [], async () => {
    const { context, regs } = await started();
    const closing = context.close();
    expect(context.close()).toBe(closing);
    await closing;
    expect(context.fd).toBe(-1);
    expect(context.closed).toBe(true);
    expect(regs.mapped).toBe(false);
    expect(context.processElement).toBeUndefined();
    for (const call of [
      () => context.attach({ wed: 0n }),
      () => context.attachSync({ wed: 0n }),
      () => context.mapProblemState(),
      () => context.afuId(),
      () => context.linkState(),
      () => context.waitForEvent(),
      () => context.waitForInterrupt(1),
      () => context.events().next(),
      () => context.hold(new Uint8Array(8)),
      () => regs.read64(0),
      () => regs.write64(0, 0n),
    ]) {
      expect(await codeOf(call)).toBe('ERR_INVALID_STATE');
    }
  });

  test('frees the process element', ['dedicated'], async () => {
    for (let round = 0; round < 3; round += 1) {
      const context = await system.open(`/dev/cxl/${target.dedicatedAfu}d`);
      await context.attach({ wed: 0n });
      context.mapProblemState();
      await context.close();
    }
  });
});
