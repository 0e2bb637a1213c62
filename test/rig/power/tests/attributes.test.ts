/** Every attribute of the real driver: its text, and the value that the library returns for it. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { type Adapter, type Afu, cxl } from 'node-cxl';
import { describe, expect, it } from 'vitest';

const root = '/sys/class/cxl';

/** Reads an attribute as libcxl does: from the device, else from the one it hangs below. */
function raw(device: string, attribute: string): string | undefined {
  for (let path = `${root}/${device}`; existsSync(path); path += '/device') {
    const file = `${path}/${attribute}`;
    if (existsSync(file)) return readFileSync(file, 'latin1').trim();
  }
  return undefined;
}

/** Names of the attribute files of a device, links and folders left out. */
function attributes(device: string): string[] {
  return readdirSync(`${root}/${device}`, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort();
}

async function adapter(): Promise<Adapter> {
  const [only] = await cxl.adapters();
  if (only === undefined) throw new Error('no adapter');
  return only;
}

async function afu(name: string): Promise<Afu> {
  const found = (await cxl.afus()).find((one) => one.name === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

async function codeOf(call: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await call();
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
  return undefined;
}

describe('the adapter', () => {
  it('has the attributes of a guest and no others', () => {
    expect(attributes('card0')).toEqual([
      'caia_version',
      'dev',
      'psl_revision',
      'psl_timebase_synced',
      'reset',
      'tunneled_ops_supported',
      'uevent',
    ]);
  });

  it('is read as it is', async () => {
    const card = await adapter();
    expect(card.name).toBe('card0');
    expect(await card.caiaVersion()).toBe(raw('card0', 'caia_version'));
    // Its major and minor number, a byte each: POWER9 has a card of CAIA 2.
    const caia = Number(readFileSync('/sys/module/cxl_rig/parameters/caia', 'latin1'));
    expect(await card.caiaVersion()).toBe(`${caia >> 8}.${caia & 0xff}`);
    expect(String(await card.pslRevision())).toBe(raw('card0', 'psl_revision'));
    expect(await card.pslTimebaseSynced()).toBe(raw('card0', 'psl_timebase_synced') === '1');
    expect(await card.tunneledOpsSupported()).toBe(raw('card0', 'tunneled_ops_supported') === '1');
  });

  it('lacks what only bare metal has', async () => {
    const card = await adapter();
    expect(await card.baseImage()).toBeUndefined();
    expect(await card.imageLoaded()).toBeUndefined();
    expect(await card.loadImageOnPerst()).toBeUndefined();
    expect(await card.perstReloadsSameImage()).toBeUndefined();
    // No PCI device either: a guest's adapter is a platform device.
    expect(card.pciPath).toContain('/platform/');
  });

  it('has two AFUs, found without opening a node', async () => {
    const names = (await (await adapter()).afus()).map((one) => one.name);
    expect(names).toEqual(['afu0.0', 'afu0.1']);
  });
});

describe('sizes', () => {
  it('change at the first attach of an AFU', async () => {
    // Nothing before this has attached to the second AFU.
    const second = await afu('afu0.1');
    const whole = await second.masterMmioSize();
    expect(await second.perProcessMmioLength()).toBe(0);
    expect(await second.mmioSize()).toBe(whole);
    const context = await second.open('slave');
    await context.attach({ wed: 0n });
    expect(await second.perProcessMmioLength()).toBe(65536);
    expect(await second.mmioSize()).toBe(65536);
    expect(await second.masterMmioSize()).toBe(whole);
    expect(context.mapProblemState().length).toBe(65536);
    await context.close();
  });
});

describe('an AFU', () => {
  it('has these attributes and no others', () => {
    expect(attributes('afu0.0')).toEqual([
      'afu_err_buff',
      'api_version',
      'api_version_compatible',
      'irqs_max',
      'irqs_min',
      'mmio_size',
      'mode',
      'modes_supported',
      'prefault_mode',
      'reset',
      'uevent',
    ]);
    expect(attributes('afu0.0m')).toEqual(['dev', 'mmio_size', 'pp_mmio_len', 'uevent']);
    expect(attributes('afu0.0s')).toEqual(['dev', 'uevent']);
    expect(attributes('afu0.0/cr0')).toEqual(['class', 'config', 'device', 'vendor']);
  });

  it('is read as it is', async () => {
    const one = await afu('afu0.0');
    const numbers = {
      api_version: await one.apiVersion(),
      api_version_compatible: await one.apiVersionCompatible(),
      irqs_min: await one.irqsMin(),
      irqs_max: await one.irqsMax(),
      mmio_size: await one.mmioSize(),
    };
    for (const [name, value] of Object.entries(numbers)) {
      expect(`${name} ${value}`).toBe(`${name} ${raw('afu0.0s', name)}`);
    }
    expect(await one.mode()).toBe('afu_directed');
    expect(await one.modesSupported()).toEqual(raw('afu0.0s', 'modes_supported')?.split('\n'));
    expect(await one.prefaultMode()).toBe(raw('afu0.0s', 'prefault_mode'));
    expect(String(await one.masterMmioSize())).toBe(raw('afu0.0m', 'mmio_size'));
    expect(String(await one.perProcessMmioLength())).toBe(raw('afu0.0m', 'pp_mmio_len'));
    expect(await one.perProcessMmioOffset()).toBeUndefined();
    expect(await one.contextKinds()).toEqual(['master', 'slave']);
  });

  it('has an error buffer that a guest reads as empty', async () => {
    expect(statSync(`${root}/afu0.0/afu_err_buff`).size).toBe(64);
    expect(await (await afu('afu0.0')).errorBuffer()).toHaveLength(0);
  });

  it('has the memcpy AFU’s configuration record', async () => {
    const [record] = await (await afu('afu0.0')).configurationRecords();
    expect(await record?.vendor()).toBe(0x1014);
    expect(await record?.device()).toBe(0x4350);
    expect(await record?.class()).toBe(0x120000);
    const config = readFileSync(`${root}/afu0.0/cr0/config`);
    expect(config).toHaveLength(256);
    expect(Buffer.from((await record?.config()) ?? [])).toEqual(config);
    expect(Buffer.from((await record?.config(2, 2)) ?? []).readUInt16LE()).toBe(0x4350);
  });

  it('refuses irqs_max out of range', async () => {
    const one = await afu('afu0.0');
    const most = (await one.irqsMax()) ?? 0;
    const least = (await one.irqsMin()) ?? 0;
    expect(await codeOf(() => one.setIrqsMax(least - 1))).toBe('EINVAL');
    expect(await codeOf(() => one.setIrqsMax(most + 1))).toBe('EINVAL');
    await one.setIrqsMax(least + 1);
    expect(raw('afu0.0', 'irqs_max')).toBe(String(least + 1));
    await one.setIrqsMax(most);
  });

  it('takes a prefault mode, but not on radix', async () => {
    const one = await afu('afu0.0');
    const radix = /^MMU\s*: Radix/m.test(readFileSync('/proc/cpuinfo', 'latin1'));
    for (const mode of ['work_element_descriptor', 'all', 'none'] as const) {
      const code = await codeOf(() => one.setPrefaultMode(mode));
      expect(`${mode} ${code}`).toBe(`${mode} ${radix && mode !== 'none' ? 'EINVAL' : undefined}`);
    }
  });

  it('is not reset, nor changes mode, while a context is open', async () => {
    const one = await afu('afu0.0');
    const context = await one.open('slave');
    expect(await codeOf(() => one.reset())).toBe('EBUSY');
    expect(await codeOf(() => one.setMode('none'))).toBe('EBUSY');
    await context.close();
    await one.reset();
  });

  it('loses its nodes with its mode, and has them again', async () => {
    const one = await afu('afu0.0');
    await one.setMode('none');
    expect(existsSync('/dev/cxl/afu0.0s')).toBe(false);
    expect(await one.contextKinds()).toEqual([]);
    expect(await codeOf(() => one.setMode('dedicated_process'))).toBe('EINVAL');
    await one.setMode('afu_directed');
    const context = await one.open('slave');
    await context.close();
  });
});

describe('a reset of the adapter', () => {
  it('by force detaches its contexts, and they can be had again', async () => {
    const one = await afu('afu0.0');
    const context = await one.open('slave');
    await context.attach({ wed: 0n });
    await (await adapter()).reset({ force: true });
    expect(context.linkState()).toBe('down');
    expect(await codeOf(() => context.waitForEvent({ timeout: 10_000 }))).toBe('EIO');
    await context.close();
    const again = await one.open('slave');
    await again.attach({ wed: 0n });
    await again.close();
  });

  it('is EBUSY while a context is attached', async () => {
    const context = await (await afu('afu0.0')).open('slave');
    await context.attach({ wed: 0n });
    expect(await codeOf(async () => (await adapter()).reset())).toBe('EBUSY');
    await context.close();
  });
});
