/**
 * Rules of the driver that programs seldom meet. Each names the function of drivers/misc/cxl (Linux
 * 6.1) that it is from.
 */
import type { Adapter, Afu, Context } from 'node-cxl';
import { describe, expect } from 'vitest';
import { ALL_ONES_64 } from '../../lib/shared/all-ones';
import { codeOf } from './support/errors';
import { inject, injectAndWait, mappingGone } from './support/injection';
import { until } from './support/work-queue';
import { target, test } from './target';

const { system, device, afu: name } = target;

async function adapter(): Promise<Adapter> {
  return (await system.adapters())[0]!;
}

async function afu(): Promise<Afu> {
  return (await system.afus()).find((one) => one.name === name)!;
}

async function attached(options: { errFf?: boolean } = {}): Promise<Context> {
  const context = await system.open(`/dev/cxl/${name}s`);
  await context.attach({ wed: 0n, ...options });
  return context;
}

describe('a reset of an AFU', () => {
  test(
    'is EIO while the link is down (native.c, afu_control)',
    ['device-side', 'bare-metal'],
    async () => {
      const one = await afu();
      await one.reset();
      await device.freeze(0);
      try {
        expect(await codeOf(() => one.reset())).toBe('EIO');
      } finally {
        await device.linkUp(0);
      }
      await (await attached()).close();
    },
  );

  test(
    'is left to the hypervisor in a guest (guest.c, guest_afu_reset)',
    ['device-side', 'guest'],
    async () => {
      const one = await afu();
      await device.freeze(0);
      try {
        await one.reset();
      } finally {
        await device.linkUp(0);
      }
    },
  );
});

describe('a read of events', () => {
  test('is EIO while the link is down (file.c, afu_read)', ['device-side'], async () => {
    const context = await attached();
    await device.freeze(0);
    try {
      expect(await codeOf(() => context.waitForEvent({ timeout: 0 }))).toBe('EIO');
      expect(await codeOf(() => context.waitForEvent({ timeout: 5 }))).toBe('EIO');
      expect(await codeOf(() => context.waitForEventSync({ timeout: 5 }))).toBe('EIO');
    } finally {
      await context.close();
      await device.linkUp(0);
    }
  });
});

describe('numbers written to attributes (sscanf with %i, lib/vsprintf.c)', () => {
  test('may have a minus, a base, and anything after them', ['device-side'], async () => {
    const one = await afu();
    const before = await one.irqsMax();
    const write = (text: string) => device.writeAttribute(`${one.path}/irqs_max`, text);
    try {
      for (const [text, value] of [
        ['7', 7],
        [' 8\n', 8],
        ['0x1F', 31],
        ['012', 10],
        ['9 and more', 9],
        ['08', undefined],
        ['0x', undefined],
        ['4294967303', 7],
      ] as const) {
        expect(`${text}: ${await write(text)}`).toBe(
          `${text}: ${value === undefined ? 'EINVAL' : undefined}`,
        );
        if (value !== undefined) expect(await one.irqsMax()).toBe(value);
      }
    } finally {
      await one.setIrqsMax(before!);
    }
  });

  test('may have no plus', ['device-side'], async () => {
    const one = await afu();
    const before = await one.irqsMax();
    for (const text of ['+7', '-+7', '+', '-', '- 7', 'x']) {
      expect(`${text}: ${await device.writeAttribute(`${one.path}/irqs_max`, text)}`).toBe(
        `${text}: EINVAL`,
      );
    }
    expect(await one.irqsMax()).toBe(before);
    const { path } = await adapter();
    expect(await device.writeAttribute(`${path}/reset`, '+1')).toBe('EINVAL');
  });
});

describe('irqs_max', () => {
  test(
    'has the limit of the AFU in a guest, not that of the card (of.c, cxl_of_read_afu_properties; sysfs.c, irqs_max_store)',
    ['device-side', 'guest'],
    async () => {
      const one = await afu();
      const most = (await one.irqsMax())!;
      try {
        await one.setIrqsMax(most - 1);
        await one.setIrqsMax(most);
        expect(await codeOf(() => one.setIrqsMax(most + 1))).toBe('EINVAL');
        expect(await one.irqsMax()).toBe(most);
      } finally {
        await one.setIrqsMax(most);
      }
    },
  );
});

describe('tunneled operations', () => {
  test(
    'are supported on bare metal of POWER9 only (pci.c, cxl_configure_adapter)',
    ['device-side'],
    async () => {
      const expected = target.has.has('bare-metal') && target.has.has('caia-2');
      for (const one of await system.adapters()) {
        expect(await one.tunneledOpsSupported()).toBe(expected);
      }
    },
  );
});

describe('an adapter image', () => {
  test(
    'is downloaded after another download has ended (flash.c, device_open)',
    ['device-side', 'guest'],
    async () => {
      const one = await adapter();
      const image = Buffer.alloc(3 << 20, 7);
      const order: string[] = [];
      const download = (who: string) =>
        one.downloadImage(image, { onProgress: ({ phase }) => order.push(`${who} ${phase}`) });
      await Promise.all([download('first'), download('second')]);
      const times = (text: string) => Array.from({ length: 3 }, () => text);
      expect(order).toEqual(
        ['first', 'second'].flatMap((who) => [
          ...times(`${who} download`),
          ...times(`${who} validate`),
        ]),
      );
    },
  );

  test('that waits for another can be aborted', ['device-side', 'guest'], async () => {
    const one = await adapter();
    const image = Buffer.alloc(3 << 20, 7);
    const controller = new AbortController();
    const first = one.downloadImage(image);
    const second = codeOf(() => one.downloadImage(image, { signal: controller.signal }));
    controller.abort();
    expect(await second).toBe('ABORT_ERR');
    await first;
    await one.downloadImage(image);
  });
});

describe('START_WORK', () => {
  test(
    'fails with EBUSY after 5 seconds, and can be made again (native.c, do_process_element_cmd)',
    ['injection', 'bare-metal'],
    async () => {
      const helper = await attached();
      const context = await system.open(`/dev/cxl/${name}s`);
      try {
        await injectAndWait(helper.mapProblemState(), 'slowAttach', { argument: 30_000n });
        const start = performance.now();
        expect(await codeOf(() => context.attach({ wed: 0n }))).toBe('EBUSY');
        expect(performance.now() - start).toBeGreaterThan(4_900);
        expect(performance.now() - start).toBeLessThan(20_000);
        await context.attach({ wed: 0n });
      } finally {
        await context.close();
        await helper.close();
      }
    },
    40_000,
  );
});

describe('a mapping', () => {
  test(
    'with ERR_FF has one page behind all its pages after a detach (context.c, cxl_mmap_fault)',
    ['injection'],
    async () => {
      const context = await attached({ errFf: true });
      const regs = context.mapProblemState();
      const other = context.mapProblemState();
      const pages = Math.min(regs.length / system.pageSize, 16);
      inject(regs, 'detachAll');
      await until(() => context.linkState() === 'down', 'the detach');
      await mappingGone(regs);
      await mappingGone(other);
      expect(other.read64(0x40)).toBe(ALL_ONES_64);
      regs.write64(0x40, 5n);
      for (let page = 0; page < pages; page++) {
        expect(regs.read64(page * system.pageSize + 0x40)).toBe(5n);
        expect(other.read64(page * system.pageSize + 0x40)).toBe(5n);
        expect(regs.read64(page * system.pageSize + 0x48)).toBe(ALL_ONES_64);
      }
      await context.close();
    },
  );

  test('with ERR_FF of a master has that page too', ['injection', 'master'], async () => {
    const context = await system.open(`/dev/cxl/${name}m`);
    await context.attach({ wed: 0n, errFf: true });
    const regs = context.mapProblemState();
    inject(regs, 'detachAll');
    await until(() => context.linkState() === 'down', 'the detach');
    await mappingGone(regs);
    regs.write64(0x40, 5n);
    for (let page = 0; page < 8; page++) {
      expect(regs.read64(page * system.pageSize + 0x40)).toBe(5n);
    }
    expect(regs.read64(regs.length - 8)).toBe(ALL_ONES_64);
    await context.close();
  });

  test(
    'is EBUSY while the AFU is not enabled (context.c, cxl_context_iomap)',
    ['device-side', 'bare-metal'],
    async () => {
      const context = await attached();
      await device.setEnabled(name, false);
      try {
        expect(await codeOf(() => context.mapProblemState())).toBe('EBUSY');
        // The length is checked first.
        expect(await codeOf(() => context.mapProblemState({ length: 2 ** 40 }))).toBe('EINVAL');
      } finally {
        await device.setEnabled(name, true);
      }
      expect(context.mapProblemState().length).toBeGreaterThan(0);
      await context.close();
    },
  );
});
