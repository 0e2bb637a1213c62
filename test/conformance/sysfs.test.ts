/** The attributes of adapters and AFUs: their values, absent ones, and invalid ones. */
import type { Adapter, Afu } from 'node-cxl';
import { describe, expect } from 'vitest';
import * as differences from './differences';
import { codeOf, failure } from './support/errors';
import { target, test } from './target';

const { system, device } = target;

async function adapter(): Promise<Adapter> {
  const [first] = await system.adapters();
  if (first === undefined) throw new Error('no adapter');
  return first;
}

async function afu(name = target.afu): Promise<Afu> {
  const found = (await system.afus()).find((one) => one.name === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

describe('adapters', () => {
  test('are listed with their AFUs', [], async () => {
    const first = await adapter();
    expect(first.name).toBe(`card${first.number}`);
    const afus = await first.afus();
    expect(afus.map((one) => one.name)).toContain(target.afu);
    for (const one of afus) expect(one.adapterNumber).toBe(first.number);
  });

  test('have every attribute of bare metal', ['bare-metal'], async () => {
    const first = await adapter();
    expect(await first.caiaVersion()).toMatch(/^[12]\.\d+$/);
    expect(await first.pslRevision()).toBeTypeOf('number');
    expect(await first.baseImage()).toBeTypeOf('number');
    expect(['user', 'factory']).toContain(await first.imageLoaded());
    expect(['none', 'user', 'factory']).toContain(await first.loadImageOnPerst());
    expect(await first.perstReloadsSameImage()).toBeTypeOf('boolean');
    expect(first.pciPath).toMatch(/[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/);
  });

  test('lack some attributes in a guest', ['guest'], async () => {
    const first = await adapter();
    expect(await first.caiaVersion()).toMatch(/^[12]\.\d+$/);
    expect(await first.baseImage()).toBeUndefined();
    expect(await first.imageLoaded()).toBeUndefined();
    expect(await first.loadImageOnPerst()).toBeUndefined();
    expect(await first.perstReloadsSameImage()).toBeUndefined();
  });

  test('attributes() returns every attribute', [], async () => {
    const first = await adapter();
    const all = await first.attributes();
    expect(all.caiaVersion).toBe(await first.caiaVersion());
    expect(Object.keys(all)).toHaveLength(8);
  });

  test('can be written', ['device-side', 'bare-metal'], async () => {
    const first = await adapter();
    for (const image of ['user', 'none', 'factory'] as const) {
      await first.setLoadImageOnPerst(image);
      expect(await first.loadImageOnPerst()).toBe(image);
    }
    await first.setPerstReloadsSameImage(true);
    expect(await first.perstReloadsSameImage()).toBe(true);
    const error = await failure(() => first.reset());
    expect(error.code).toBe('EINVAL');
    expect(error.syscall).toBe('write');
    expect(error.path).toBe(`${first.path}/reset`);
    await first.setPerstReloadsSameImage(false);
    const words = () => first.setPerstReloadsSameImage('false' as never);
    expect(await codeOf(words)).toBe('ERR_INVALID_ARG_TYPE');
    expect(await first.perstReloadsSameImage()).toBe(false);
    const force = () => first.reset({ force: 'no' as never });
    expect(await codeOf(force)).toBe('ERR_INVALID_ARG_TYPE');
    expect(await codeOf(() => first.setLoadImageOnPerst('both' as 'none'))).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
  });

  test('EBUSY: reset while a context is attached', ['device-side', 'bare-metal'], async () => {
    const context = await system.open(`/dev/cxl/${target.afu}s`);
    await context.attach({ wed: 0n });
    expect(await codeOf(async () => (await adapter()).reset())).toBe('EBUSY');
    await context.close();
  });
});

describe('AFUs', () => {
  test('have every attribute', [], async () => {
    const one = await afu();
    expect(await one.apiVersion()).toBeGreaterThanOrEqual(1);
    expect(await one.apiVersionCompatible()).toBe(1);
    const [least, most] = [await one.irqsMin(), await one.irqsMax()];
    expect(least).toBeLessThanOrEqual(most ?? -1);
    expect(await one.mmioSize()).toBeGreaterThan(0);
    expect(await one.mode()).toBe('afu_directed');
    expect(await one.modesSupported()).toContain('afu_directed');
    expect(['none', 'work_element_descriptor', 'all']).toContain(await one.prefaultMode());
    expect(Object.keys(await one.attributes())).toHaveLength(11);
    expect(await one.contextKinds()).toEqual(['master', 'slave']);
  });

  test(
    'of a master: the whole area and each process’s part',
    ['master', 'bare-metal'],
    async () => {
      const one = await afu();
      expect(await one.masterMmioSize()).toBeGreaterThanOrEqual((await one.mmioSize()) ?? 0);
      expect(await one.perProcessMmioLength()).toBe(await one.mmioSize());
      expect(await one.perProcessMmioOffset()).toBeGreaterThanOrEqual(0);
    },
  );

  test('in dedicated mode have one node', ['dedicated'], async () => {
    const one = await afu(target.dedicatedAfu);
    expect(await one.mode()).toBe('dedicated_process');
    expect(await one.contextKinds()).toEqual(['dedicated']);
    expect(await one.masterMmioSize()).toBeUndefined();
    const context = await one.open();
    expect(context.path).toBe(`/dev/cxl/${target.dedicatedAfu}d`);
    await context.close();
  });

  test('the memcpy AFU has its configuration record', [], async () => {
    const records = await (await afu()).configurationRecords();
    expect(records[0]?.index).toBe(0);
    expect(await records[0]?.vendor()).toBe(0x1014);
    expect(await records[0]?.device()).toBe(0x4350);
    expect(await records[0]?.class()).toBeTypeOf('number');
    const bytes = differences.recordBytes(system.backend);
    const config = async (offset?: number, length?: number) =>
      Array.from((await records[0]?.config(offset, length)) ?? []);
    expect((await config()).slice(0, 4)).toEqual(bytes);
    expect(await config(2, 2)).toEqual(bytes.slice(2));
  });

  test('have an error buffer', ['bare-metal'], async () => {
    const buffer = (await (await afu()).errorBuffer()) ?? new Uint8Array(0);
    expect(buffer.length).toBeGreaterThan(0);
    const part = (await (await afu()).errorBuffer(0, 8)) ?? [];
    expect([...part]).toEqual([...buffer.subarray(0, 8)]);
  });

  test('open by kind', ['master'], async () => {
    for (const kind of ['master', 'slave'] as const) {
      const context = await (await afu()).open(kind);
      expect(context.path).toBe(`/dev/cxl/${target.afu}${kind[0]}`);
      await context.close();
    }
    expect(await codeOf(async () => (await afu()).open('dedicated'))).toBe('ENOENT');
    expect(await codeOf(async () => (await afu()).open('other' as 'slave'))).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
  });

  test('EBUSY: mode and reset while any context exists', ['device-side'], async () => {
    const one = await afu();
    const context = await one.open('slave');
    for (const call of [() => one.setMode('none'), () => one.reset()]) {
      const error = await failure(call);
      expect(error.code).toBe('EBUSY');
      expect(error.message).toContain('close every context');
    }
    await context.close();
    await one.reset();
  });

  test(
    'mode none removes the nodes, and afu_directed restores them',
    ['device-side', 'bare-metal'],
    async () => {
      const one = await afu();
      await one.setMode('none');
      try {
        expect(await one.mode()).toBe('none');
        expect(await one.contextKinds()).toEqual([]);
        expect(await codeOf(() => system.open(`/dev/cxl/${target.afu}s`))).toBe('ENOENT');
      } finally {
        await one.setMode('afu_directed');
      }
      expect(await one.contextKinds()).toEqual(['master', 'slave']);
    },
  );

  test(
    'EINVAL: irqs_max below irqs_min or above what the adapter has',
    ['device-side'],
    async () => {
      const one = await afu();
      const most = (await one.irqsMax()) ?? 0;
      expect(await codeOf(() => one.setIrqsMax(0x7fff))).toBe('EINVAL');
      const least = (await one.irqsMin()) ?? 0;
      if (least > 0) expect(await codeOf(() => one.setIrqsMax(least - 1))).toBe('EINVAL');
      await one.setIrqsMax(least + 1);
      expect(await one.irqsMax()).toBe(least + 1);
      await one.setIrqsMax(most);
      expect(await codeOf(() => one.setIrqsMax(-1))).toBe('ERR_OUT_OF_RANGE');
    },
  );

  test('prefault_mode can be each of its three values', ['device-side', 'bare-metal'], async () => {
    const one = await afu();
    for (const mode of ['work_element_descriptor', 'all', 'none'] as const) {
      await one.setPrefaultMode(mode);
      expect(await one.prefaultMode()).toBe(mode);
    }
  });
});

describe('absent and invalid attributes', () => {
  async function overridden(path: string, text: string | undefined, check: () => Promise<void>) {
    const restore = await device.overrideAttribute(path, text);
    try {
      await check();
    } finally {
      await restore();
    }
  }

  test('an absent attribute is undefined', ['device-side'], async () => {
    const one = await afu();
    await overridden(`${one.path}/irqs_max`, undefined, async () => {
      expect(await one.irqsMax()).toBeUndefined();
    });
    await overridden(`${one.path}/modes_supported`, undefined, async () => {
      expect(await one.modesSupported()).toBeUndefined();
    });
  });

  test('EBADMSG: empty or invalid, with what was expected', ['device-side'], async () => {
    const one = await afu();
    for (const text of ['', '\n', 'many', '0x', '-1', '1 2', '\u0001\u00ff']) {
      await overridden(`${one.path}/irqs_max`, text, async () => {
        const error = await failure(() => one.irqsMax());
        expect(error.code).toBe('EBADMSG');
        expect(error.path).toBe(`${one.path}/irqs_max`);
        expect(error.message).toContain('expected a decimal number');
      });
    }
    // A number has all its digits, or is none.
    await overridden(`${one.path}/irqs_max`, String(2 ** 53), async () => {
      expect(await codeOf(() => one.irqsMax())).toBe('EBADMSG');
    });
    await overridden(`${one.path}/modes_supported`, 'dedicated_processafu_directed', async () => {
      expect(await codeOf(() => one.modesSupported())).toBe('EBADMSG');
    });
    await overridden(`${one.path}/mode`, 'sideways', async () => {
      expect(await codeOf(() => one.mode())).toBe('EBADMSG');
    });
    await overridden(`${one.path}/cr0/vendor`, '1014', async () => {
      const [record] = await one.configurationRecords();
      expect(await codeOf(() => record?.vendor())).toBe('EBADMSG');
    });
  });

  test(
    'EPROTO: a driver that no longer supports this version of its interface',
    ['device-side'],
    async () => {
      const one = await afu();
      await overridden(`${one.path}/api_version_compatible`, '2\n', async () => {
        expect(await codeOf(() => one.open('slave'))).toBe('EPROTO');
      });
    },
  );

  test(
    'EPROTO: adopt() of a descriptor of such a driver, which stays open and the caller’s',
    ['device-side'],
    async () => {
      const one = await afu();
      const context = await one.open('slave');
      try {
        for (const owned of [false, true]) {
          await overridden(`${one.path}/api_version_compatible`, '2\n', async () => {
            const error = await failure(() => system.adopt(context.fd, { owned }));
            expect(error.code).toBe('EPROTO');
            expect(error.syscall).toBe('adopt');
          });
        }
        // The collector must not close it either.
        (globalThis as { gc?: () => void }).gc?.();
        await new Promise((resolve) => setTimeout(resolve, 20));
        expect(context.afuId().adapterNumber).toBe(one.adapterNumber);
        const adopted = system.adopt(context.fd);
        expect(adopted.name).toBe(`${one.name}s`);
        await adopted.close();
      } finally {
        await context.close();
      }
    },
  );

  test('mapProblemState() fails when the size is invalid', ['device-side'], async () => {
    const one = await afu();
    const context = await one.open('slave');
    await context.attach({ wed: 0n });
    await overridden(`${one.path}/mmio_size`, 'large', async () => {
      expect(await codeOf(() => context.mapProblemState())).toBe('EBADMSG');
    });
    await overridden(`${one.path}/mmio_size`, '0', async () => {
      expect(await codeOf(() => context.mapProblemState())).toBe('EINVAL');
    });
    await context.close();
  });
});
