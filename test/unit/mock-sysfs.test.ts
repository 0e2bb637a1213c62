import { createMockCxl, echoAfu, type MockCxl, memcpyAfu } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { attached, codeOf, oneCard, thrownCode } from './mock-support';

interface SysFs {
  readdir(path: string): Promise<string[] | number>;
  read(path: string, offset?: number, length?: number): Promise<Uint8Array | number>;
  write(path: string, text: string): Promise<number>;
  realpath(path: string): Promise<string | number>;
}

const EACCES = -13;
const EBUSY = -16;
const EINVAL = -22;
const EISDIR = -21;
const ENOENT = -2;
const ENOTDIR = -20;

function sysfs(mock: MockCxl): SysFs {
  return (mock as unknown as { binding: { sysfs: SysFs } }).binding.sysfs;
}

async function text(mock: MockCxl, path: string): Promise<string | number> {
  const answer = await sysfs(mock).read(`/sys/class/cxl/${path}`);
  return typeof answer === 'number' ? answer : Buffer.from(answer).toString('latin1');
}

const write = (mock: MockCxl, path: string, value: string) =>
  sysfs(mock).write(`/sys/class/cxl/${path}`, value);

describe('the sysfs tree', () => {
  it('has a directory per card, AFU and node, and links up to the PCI device', async () => {
    const mock = oneCard();
    const files = sysfs(mock);
    expect(await files.readdir('/sys/class/cxl')).toEqual([
      'afu0.0',
      'afu0.0m',
      'afu0.0s',
      'card0',
    ]);
    const pci = '/sys/devices/pci0000:00/0000:00:00.0/0000:01:00.0';
    const at = (path: string) => files.realpath(`/sys/class/cxl/${path}`);
    expect(await at('card0')).toBe(`${pci}/cxl/card0`);
    expect(await at('afu0.0s')).toBe(`${pci}/cxl/card0/afu0.0/afu0.0s`);
    expect(await at('afu0.0s/device')).toBe(`${pci}/cxl/card0/afu0.0`);
    expect(await at('afu0.0s/device/device')).toBe(`${pci}/cxl/card0`);
    expect(await at('afu0.0s/device/device/device')).toBe(pci);
    expect(await at('afu0.0/subsystem')).toBe('/sys/class/cxl');
    expect(await text(mock, 'card0/device/vendor')).toBe('0x1014\n');
    expect(await files.readdir('/dev/cxl')).toEqual(['afu0.0m', 'afu0.0s']);
  });

  it('numbers the nodes as the driver does, and finds them by number', async () => {
    const mock = createMockCxl({
      cards: [{ afus: [{}, { model: echoAfu(), mode: 'dedicated' }] }],
    });
    expect(await text(mock, 'afu0.0m/dev')).toBe('246:2\n');
    expect(await text(mock, 'afu0.0s/dev')).toBe('246:3\n');
    expect(await text(mock, 'afu0.1d/dev')).toBe('246:4\n');
    const found = await sysfs(mock).realpath('/sys/dev/char/246:4');
    expect(found).toBe(await sysfs(mock).realpath('/sys/class/cxl/afu0.1d'));
  });

  it('has more cards, each with numbers and a PCI device of its own', async () => {
    const mock = createMockCxl({
      udevLinks: true,
      cards: [
        { pciAddress: '0001:02:00.3', vendor: 0x1014, device: 0x601 },
        { afus: [{ model: echoAfu(), mode: 'dedicated' }, {}] },
      ],
    });
    const files = sysfs(mock);
    const pci = '/sys/devices/pci0001:00/0001:00:00.0/0001:02:00.3';
    expect(await files.realpath('/sys/class/cxl/card0/device')).toBe(pci);
    expect((await files.readdir(pci)) as string[]).toEqual(
      expect.arrayContaining(['class', 'cxl', 'device', 'numa_node', 'reset', 'subsystem']),
    );
    expect(await files.realpath(`${pci}/subsystem`)).toBe('/sys/bus/pci');
    expect(await text(mock, 'card0/device/device')).toBe('0x0601\n');
    expect(await text(mock, 'card0/device/class')).toBe('0x1200ff\n');
    expect(await text(mock, 'card0/device/numa_node')).toBe('0\n');
    expect(await text(mock, 'afu1.0d/dev')).toBe('246:14\n');
    expect(await text(mock, 'afu1.1m/dev')).toBe('246:18\n');
    expect(await text(mock, 'afu1.1s/dev')).toBe('246:19\n');
    expect(await files.readdir('/dev/cxl')).toEqual([
      'afu0.0',
      'afu0.0m',
      'afu0.0s',
      'afu1.0',
      'afu1.0d',
      'afu1.1',
      'afu1.1m',
      'afu1.1s',
    ]);
    expect(await files.realpath('/dev/cxl/afu1.0')).toBe('/dev/cxl/afu1.0d');
    expect(await files.realpath('/dev/cxl/afu1.1')).toBe('/dev/cxl/afu1.1s');
    expect(await files.readdir('/sys/devices')).toEqual(['pci0000:00', 'pci0001:00']);
    expect(await text(mock, 'card0/dev')).toBe(ENOENT);
  });

  it('has a platform device for each card of a guest, and a node of the card', async () => {
    const mock = createMockCxl({ flavor: 'guest', cards: [{}, {}] });
    const files = sysfs(mock);
    const platform = '/sys/devices/platform';
    expect(await files.realpath('/sys/class/cxl/card0/device')).toBe(
      `${platform}/10000000.ibm,coherent-platform-facility`,
    );
    const second = `${platform}/10010000.ibm,coherent-platform-facility`;
    expect(await files.realpath('/sys/class/cxl/card1/device')).toBe(second);
    expect(await files.readdir(second)).toEqual(['cxl', 'subsystem']);
    expect(await files.realpath(`${second}/subsystem`)).toBe('/sys/bus/platform');
    expect(await text(mock, 'card0/dev')).toBe('246:0\n');
    expect(await text(mock, 'card1/dev')).toBe('246:13\n');
    expect(await files.realpath('/sys/dev/char/246:13')).toBe(`${second}/cxl/card1`);
    expect(await files.readdir('/dev/cxl')).toContain('card1');
  });

  it('fails as Linux does for what is absent, not readable or not a directory', async () => {
    const mock = oneCard();
    expect(await text(mock, 'card7/caia_version')).toBe(ENOENT);
    expect(await text(mock, 'afu0.0s/mmio_size')).toBe(ENOENT);
    expect(await text(mock, 'card0/reset')).toBe(EACCES);
    expect(await text(mock, 'afu0.0')).toBe(EISDIR);
    expect(await text(mock, 'card0/caia_version/x')).toBe(ENOTDIR);
    expect(await text(mock, 'afu0.0/modes_supported/x')).toBe(ENOTDIR);
    expect(await sysfs(mock).realpath('/dev/cxl/afu0.0s/x')).toBe(ENOTDIR);
    expect(await sysfs(mock).readdir('/sys/class/cxl/card0/caia_version')).toBe(ENOTDIR);
    expect(await write(mock, 'card0/caia_version', '1')).toBe(EACCES);
    expect(await write(mock, 'card0/nothing', '1')).toBe(ENOENT);
    expect(await write(mock, 'card0', '1')).toBe(EISDIR);
  });

  it('shows each attribute as the driver prints it', async () => {
    const mock = oneCard();
    const shown = {
      'card0/caia_version': '1.0\n',
      'card0/psl_revision': '1\n',
      'card0/base_image': '0\n',
      'card0/image_loaded': 'user\n',
      'card0/load_image_on_perst': 'none\n',
      'card0/perst_reloads_same_image': '0\n',
      'card0/psl_timebase_synced': '1\n',
      'card0/tunneled_ops_supported': '0\n',
      'afu0.0/mmio_size': '65536\n',
      'afu0.0/irqs_min': '4\n',
      'afu0.0/irqs_max': '2037\n',
      'afu0.0/mode': 'afu_directed\n',
      'afu0.0/modes_supported': 'afu_directed\n',
      'afu0.0/prefault_mode': 'none\n',
      'afu0.0/api_version': '3\n',
      'afu0.0/api_version_compatible': '1\n',
      'afu0.0m/mmio_size': '33554432\n',
      'afu0.0m/pp_mmio_len': '65536\n',
      'afu0.0m/pp_mmio_off': '65536\n',
      'afu0.0/cr0/vendor': '0x1014\n',
      'afu0.0/cr0/device': '0x4350\n',
      'afu0.0/cr0/class': '0x120000\n',
    };
    for (const [path, value] of Object.entries(shown)) {
      expect([path, await text(mock, path)]).toEqual([path, value]);
    }
  });

  it('shows what the descriptor lacks as the driver does', async () => {
    const { perProcess: _, configRecords: __, ...descriptor } = echoAfu().descriptor;
    const model = { ...echoAfu(), descriptor };
    const mock = createMockCxl({ cards: [{ timebaseSynced: false, afus: [{ model }] }] });
    const shown = {
      'afu0.0/mmio_size': `${descriptor.problemStateSize}\n`,
      'afu0.0m/pp_mmio_len': '0\n',
      'afu0.0m/pp_mmio_off': '0\n',
      'card0/psl_timebase_synced': '0\n',
      'afu0.0/afu_err_buff': ENOENT,
    };
    for (const [path, value] of Object.entries(shown)) {
      expect([path, await text(mock, path)]).toEqual([path, value]);
    }
    const names = (await sysfs(mock).readdir('/sys/class/cxl/afu0.0')) as string[];
    expect(names.filter((name) => name.startsWith('cr'))).toEqual([]);
  });

  it('reads parts of the error buffer and of a configuration record, all ones in error', async () => {
    const errorBuffer = Uint8Array.from({ length: 4096 }, (_, index) => index & 0xff);
    const mock = createMockCxl({ cards: [{ afus: [{ model: memcpyAfu({ errorBuffer }) }] }] });
    const read = (path: string, offset: number, length: number) =>
      sysfs(mock).read(`/sys/class/cxl/${path}`, offset, length);
    expect(await read('afu0.0/afu_err_buff', 250, 8)).toEqual(
      Uint8Array.of(250, 251, 252, 253, 254, 255, 0, 1),
    );
    expect(await read('afu0.0/cr0/config', 0, 4)).toEqual(Uint8Array.of(0x14, 0x10, 0x50, 0x43));
    expect(await read('afu0.0/cr0/config', 9, 3)).toEqual(Uint8Array.of(0x00, 0x00, 0x12));
    mock.card(0).freeze();
    expect(await read('afu0.0/afu_err_buff', 0, 2)).toEqual(Uint8Array.of(0xff, 0xff));
    expect(await read('afu0.0/cr0/config', 0, 2)).toEqual(Uint8Array.of(0xff, 0xff));
    expect(await read('afu0.0/cr0/config', 254, 9)).toEqual(Uint8Array.of(0xff, 0xff));
    expect(await read('afu0.0/afu_err_buff', 4095, 2)).toEqual(Uint8Array.of(0xff));
  });
});

describe('attributes that can be set', () => {
  it('takes irqs_max as sscanf does, within irqs_min and what the adapter has', async () => {
    const mock = oneCard();
    expect(await write(mock, 'afu0.0/irqs_max', '0x10\n')).toBe(0);
    expect(await text(mock, 'afu0.0/irqs_max')).toBe('16\n');
    expect(await write(mock, 'afu0.0/irqs_max', '010')).toBe(0);
    expect(await text(mock, 'afu0.0/irqs_max')).toBe('8\n');
    const numbers = {
      '0XfF': 255,
      ' 12 13': 12,
      '4294967304': 8,
      '-4294967288': 8,
      '9abc': 9,
      20: 20,
      '017': 15,
    };
    for (const [value, taken] of Object.entries(numbers)) {
      expect([value, await write(mock, 'afu0.0/irqs_max', value)]).toEqual([value, 0]);
      expect([value, await text(mock, 'afu0.0/irqs_max')]).toEqual([value, `${taken}\n`]);
    }
    expect(await write(mock, 'afu0.0/irqs_max', '2037')).toBe(0);
    expect(await write(mock, 'afu0.0/irqs_max', '4')).toBe(0);
    expect(await write(mock, 'afu0.0/irqs_max', '8')).toBe(0);
    for (const value of ['3', '-1', '2038', 'many', '', '+8', 'x8', '08']) {
      expect([value, await write(mock, 'afu0.0/irqs_max', value)]).toEqual([value, EINVAL]);
    }
    const context = await mock.open('afu0.0s');
    expect(await codeOf(context.attach({ wed: 0n, interrupts: 9 }))).toBe('EINVAL');
    await context.close();
  });

  it('changes mode, and the nodes with it, unless any context exists', async () => {
    const mock = createMockCxl({ cards: [{ afus: [{ model: echoAfu() }] }] });
    const opened = await mock.open('afu0.0s');
    expect(await write(mock, 'afu0.0/mode', 'dedicated_process')).toBe(EBUSY);
    await opened.close();
    expect(await write(mock, 'afu0.0/mode', 'dedicated_process')).toBe(0);
    expect(await sysfs(mock).readdir('/dev/cxl')).toEqual(['afu0.0d']);
    const context = await attached(mock, '/dev/cxl/afu0.0d');
    context.mapProblemState().write64(0, 7n);
    await context.close();
    expect(await write(mock, 'afu0.0/mode', 'none')).toBe(0);
    expect(await sysfs(mock).readdir('/dev/cxl')).toBe(ENOENT);
    expect(await write(mock, 'afu0.0/mode', 'afu_directed\n')).toBe(0);
    expect(await write(mock, 'afu0.0/mode', 'nonsense')).toBe(EINVAL);
    expect(await text(mock, 'afu0.0/mode')).toBe('afu_directed\n');
    const modes = 'dedicated_process\nafu_directed\n';
    expect(await text(mock, 'afu0.0/modes_supported')).toBe(modes);
  });

  it('resets an AFU that has no context', async () => {
    const mock = oneCard();
    const context = await attached(mock, '/dev/cxl/afu0.0m');
    context.mapProblemState().write64(0, 0x2000_0000_0000_0000n);
    expect(await write(mock, 'afu0.0/reset', '1')).toBe(EBUSY);
    await context.close();
    expect(await write(mock, 'afu0.0/reset', '1')).toBe(0);
    const again = await attached(mock, '/dev/cxl/afu0.0m');
    expect(again.mapProblemState().read64(0)).toBe(0n);
    await again.close();
  });

  it('has no mode and no nodes where the AFU was given none', async () => {
    const mock = createMockCxl({ udevLinks: true, cards: [{ afus: [{ mode: 'none' }] }] });
    expect(await text(mock, 'afu0.0/mode')).toBe('none\n');
    expect(await sysfs(mock).readdir('/dev/cxl')).toBe(ENOENT);
  });

  it('leaves an AFU without a mode when it does not support the one written', async () => {
    const mock = oneCard();
    expect(await write(mock, 'afu0.0/mode', 'dedicated_process')).toBe(EINVAL);
    expect(await text(mock, 'afu0.0/mode')).toBe('none\n');
  });

  it('accepts the words of prefault_mode, with radix translation only none', async () => {
    const hash = oneCard();
    expect(await write(hash, 'afu0.0/prefault_mode', 'work_element_descriptor\n')).toBe(0);
    expect(await text(hash, 'afu0.0/prefault_mode')).toBe('work_element_descriptor\n');
    expect(await write(hash, 'afu0.0/prefault_mode', 'some')).toBe(EINVAL);
    const radix = createMockCxl({ cards: [{ caiaVersion: '2.0' }] });
    expect(await write(radix, 'afu0.0/prefault_mode', 'all')).toBe(EINVAL);
    expect(await write(radix, 'afu0.0/prefault_mode', 'none')).toBe(0);
  });

  it('accepts the words and numbers of the card’s attributes', async () => {
    const mock = oneCard();
    expect(await write(mock, 'card0/load_image_on_perst', 'factory')).toBe(0);
    expect(await text(mock, 'card0/load_image_on_perst')).toBe('factory\n');
    expect(await write(mock, 'card0/load_image_on_perst', 'other')).toBe(EINVAL);
    expect(await write(mock, 'card0/perst_reloads_same_image', '1')).toBe(0);
    expect(await text(mock, 'card0/perst_reloads_same_image')).toBe('1\n');
    expect(await write(mock, 'card0/perst_reloads_same_image', '2')).toBe(EINVAL);
    expect(await write(mock, 'card0/perst_reloads_same_image', 'yes')).toBe(EINVAL);
    expect(await write(mock, 'card0/perst_reloads_same_image', '-1')).toBe(EINVAL);
    expect(await text(mock, 'card0/perst_reloads_same_image')).toBe('1\n');
    expect(await write(mock, 'card0/perst_reloads_same_image', '0')).toBe(0);
    expect(await text(mock, 'card0/perst_reloads_same_image')).toBe('0\n');
    for (const image of ['user', 'none']) {
      expect(await write(mock, 'card0/load_image_on_perst', `${image}\n`)).toBe(0);
      expect(await text(mock, 'card0/load_image_on_perst')).toBe(`${image}\n`);
    }
    for (const value of ['0', '2', '-2', 'now', '']) {
      expect([value, await write(mock, 'card0/reset', value)]).toEqual([value, EINVAL]);
    }
    expect(mock.card(0).link).toBe('ok');
    const context = await attached(mock, '/dev/cxl/afu0.0s');
    expect(await write(mock, 'card0/reset', '1')).toBe(EBUSY);
    expect(await write(mock, 'card0/reset', '-1')).toBe(0);
    expect(mock.card(0).link).toBe('frozen');
    await context.close();
  });

  it('reaches the card when a reset is sought upwards from a node', async () => {
    const mock = oneCard();
    expect(await write(mock, 'card0/device/reset', '1')).toBe(0);
    expect(mock.card(0).link).toBe('frozen');
  });
});

describe('an attribute override', () => {
  it('changes or removes an attribute until it is undone', async () => {
    const mock = oneCard();
    const [afu] = await mock.afus();
    mock.setAttribute('/sys/class/cxl/afu0.0s/device/irqs_min', 'nonsense\n');
    expect(await codeOf(afu!.irqsMin())).toBe('EBADMSG');
    mock.setAttribute('/sys/class/cxl/afu0.0/prefault_mode', undefined);
    expect(await afu!.prefaultMode()).toBe(undefined);
    expect(await sysfs(mock).readdir('/sys/class/cxl/afu0.0')).not.toContain('prefault_mode');
    expect(await write(mock, 'afu0.0/prefault_mode', 'none')).toBe(ENOENT);
    mock.restoreAttributes();
    expect([await afu!.irqsMin(), await afu!.prefaultMode()]).toEqual([4, 'none']);
    expect(await sysfs(mock).readdir('/sys/class/cxl/afu0.0')).toContain('prefault_mode');
    expect(thrownCode(() => mock.setAttribute('/sys/class/cxl/card9/reset', ''))).toBe('ENOENT');
  });
});

describe('the driver’s API version', () => {
  it('is refused with EPROTO when it is incompatible with the library’s', async () => {
    const mock = createMockCxl({ cards: [{ afus: [{ apiVersionCompatible: 2 }] }] });
    expect(await codeOf(mock.open('afu0.0s'))).toBe('EPROTO');
  });

  it('can be 1, 2 or 3', async () => {
    for (const apiVersion of [1, 2, 3] as const) {
      const mock = createMockCxl({ cards: [{ afus: [{ apiVersion }] }] });
      expect(await (await mock.afus())[0]!.apiVersion()).toBe(apiVersion);
    }
  });

  it('does not matter without cards: there is no adapter', async () => {
    const mock = createMockCxl({ cards: [] });
    expect(await mock.adapters()).toEqual([]);
    expect(await codeOf(mock.open('afu0.0s'))).toBe('ENOENT');
  });
});
