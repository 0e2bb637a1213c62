/** Which paths openBlockDevice() opens, in which order, and what it undoes. Over scripted paths. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Binding, SysFs } from '../../../lib/binding';
import { setGlobalSystem } from '../../../lib/default-system';
import { Cxl } from '../../../lib/device/cxl';
import type { LunInfo } from '../../../lib/flash/discovery';
import { LunPath, type PathSetup, type PathState } from '../../../lib/flash/lun-path';
import { openBlockDevice } from '../../../lib/flash/open-block-device';
import { systemError } from '../../../lib/shared/errors';

const WWID = `6${'ab'.repeat(15)}0`;
const coded = (code: string) => expect.objectContaining({ code });

const scsi = '/sys/class/scsi_device';
/** Four paths: two of them to the same LUN, one without nodes. */
const FILES: Record<string, string> = {
  '/sys/class/scsi_host/host0/proc_name': 'cxlflash\n',
  [`${scsi}/0:0:0:0/device/block/sda`]: '',
  [`${scsi}/0:0:0:0/device/scsi_generic/sg0`]: '',
  [`${scsi}/0:0:0:0/device/wwid`]: `naa.${WWID.toUpperCase()}`,
  [`${scsi}/0:1:0:0/device/scsi_generic/sg1`]: '',
  [`${scsi}/0:1:0:0/device/wwid`]: `naa.${WWID}`,
  [`${scsi}/0:2:0:0/device/wwid`]: `naa.${WWID}`,
  [`${scsi}/0:3:0:0/device/block/sdd`]: '',
  [`${scsi}/0:3:0:0/device/wwid`]: `naa.${'6'.repeat(32)}`,
  [`${scsi}/0:3:0:1/device/scsi_generic/sg5`]: '',
};

/** What stands for a path. */
class Path {
  state: PathState = 'failed';
  error: unknown;
  transfers = 0;
  device: object | undefined;
  resource: object | undefined;
  readonly info: LunInfo;
  readonly node: string;
  readonly #script: Script;

  constructor(script: Script, info: LunInfo, node: string) {
    this.#script = script;
    this.info = info;
    this.node = node;
  }

  async attach(): Promise<void> {
    this.#script.step('attach', this.node);
    this.device = { submit: () => [Promise.reject(this.#script.pathError)] };
    this.resource = { blocks: 100n, blockSize: 4096 };
    this.state = 'ready';
  }

  async fence(error: unknown): Promise<void> {
    this.#script.step('fence', this.node);
    this.state = 'failed';
    this.error = error;
    this.device = undefined;
  }

  async close(): Promise<void> {
    this.#script.step('close', this.node);
  }
}

class Script {
  readonly calls: string[] = [];
  readonly errors: Record<string, Error> = {};
  /** What transfers fail with. */
  readonly pathError = systemError('ENODEV', 'sislite');
  readonly setups: PathSetup[] = [];
  mounts = '';
  /** Called at each step. */
  onStep: (call: string) => void = () => undefined;
  readonly system = new Cxl(() => ({ sysfs: this.#sysfs }) as unknown as Binding);
  readonly #sysfs: Pick<SysFs, 'readdir' | 'read' | 'realpath'> = {
    readdir: async (path) => {
      const below = Object.keys(FILES).filter((file) => file.startsWith(`${path}/`));
      const names = below.map((file) => file.slice(path.length + 1).split('/')[0]!);
      return names.length === 0 ? -2 : [...new Set(names)];
    },
    read: async (path) => {
      const text = path === '/proc/self/mounts' ? this.mounts : FILES[path];
      return text === undefined ? -2 : Buffer.from(text);
    },
    realpath: async (path) => (path === '/dev/disk/by-id/scsi-6' ? '/dev/sda' : -2),
  };

  step(name: string, node: string): void {
    const call = `${name} ${node.replace('/dev/', '')}`;
    this.calls.push(call);
    this.onStep(call);
    const error = this.errors[call];
    if (error !== undefined) throw error;
  }

  taken(): string[] {
    return this.calls.splice(0);
  }
}

let script: Script;
beforeEach(() => {
  script = new Script();
  vi.spyOn(LunPath, 'open').mockImplementation(async (info, node, setup) => {
    script.setups.push(setup);
    script.step('open', node);
    return new Path(script, info, node) as unknown as LunPath;
  });
});
afterEach(() => vi.restoreAllMocks());

const open = (options: object) => openBlockDevice({ system: script.system, ...options });

describe('the path of a node', () => {
  it('is found by either of its nodes, or a link, and opened by that', async () => {
    for (const node of ['/dev/sg0', '/dev/sda', '/dev/disk/by-id/scsi-6']) {
      const device = await open({ node });
      const name = node.replace('/dev/', '');
      expect(script.taken()).toEqual([`open ${name}`, `attach ${name}`]);
      expect(device.paths).toMatchObject([{ node, address: '0:0:0:0', state: 'active' }]);
      await device.close();
      expect(script.taken()).toEqual([`close ${name}`]);
    }
    const device = await openBlockDevice('/dev/sg5', { system: script.system });
    expect(device.path.node).toBe('/dev/sg5');
    const none = open({ node: '/dev/sg9' });
    const path = '/dev/sg9';
    await expect(none).rejects.toMatchObject({ code: 'ENOENT', syscall: 'find', path });
    await expect(none).rejects.toThrow('listLuns()');
  });

  it('is of the system that `cxl` stands for, when none is given', async () => {
    const global = setGlobalSystem(script.system);
    try {
      expect((await openBlockDevice('/dev/sg0')).path.node).toBe('/dev/sg0');
    } finally {
      global.restore();
    }
    await expect(open({ node: '/dev/sg0', system: {} })).rejects.toEqual(
      coded('ERR_INVALID_ARG_TYPE'),
    );
  });

  it('is opened with the options of the context', async () => {
    const [virtual, onPathChange] = [{ blocks: 7 }, () => undefined];
    const { signal } = new AbortController();
    const context = { queueDepth: 5, onReset: 'fail' };
    const more = { virtual, mounted: false, onPathChange, signal };
    await open({ node: '/dev/sg0', ...context, ...more });
    const { system } = script;
    expect(script.setups).toEqual([{ system, attach: context, virtual, wwid: undefined }]);
    await open({ wwid: WWID });
    expect(script.setups[1]).toEqual({ system, attach: {}, virtual: undefined, wwid: WWID });
  });
});

describe('the paths of a world-wide id', () => {
  it('are opened and attached in their order, however the id is written', async () => {
    const bytes = Uint8Array.from(Buffer.from(WWID, 'hex'));
    for (const wwid of [WWID, WWID.toUpperCase(), bytes]) {
      const device = await open({ wwid });
      expect(script.taken()).toEqual(['open sg0', 'open sg1', 'attach sg0', 'attach sg1']);
      expect(device.paths.map(({ node, state }) => [node, state])).toEqual([
        ...[
          ['/dev/sg0', 'active'],
          ['/dev/sg1', 'ready'],
        ],
      ]);
      await device.close();
      expect(script.taken()).toEqual(['close sg1', 'close sg0']);
    }
    // A LUN that has a block node alone.
    expect((await open({ wwid: '6'.repeat(32) })).path.node).toBe('/dev/sdd');
    await expect(open({ wwid: '7'.repeat(32) })).rejects.toMatchObject({
      ...{ code: 'ENOENT', path: `naa.${'7'.repeat(32)}` },
    });
    await expect(open({ wwid: 'x' })).rejects.toEqual(coded('ERR_INVALID_ARG_VALUE'));
    await expect(open({ wwid: 'x' })).rejects.toThrow(/^options\.wwid must/);
  });

  it('are left out when they cannot be opened or attached', async () => {
    const [opening, attaching] = [systemError('EIO', 'open'), systemError('ENODEV', 'ioctl')];
    script.errors['open sg0'] = opening;
    const device = await open({ wwid: WWID });
    expect(script.taken()).toEqual(['open sg0', 'open sg1', 'attach sg1']);
    expect(device.paths.map(({ node }) => node)).toEqual(['/dev/sg1']);
    await device.close();
    expect(script.taken()).toEqual(['close sg1']);
    delete script.errors['open sg0'];
    script.errors['attach sg0'] = attaching;
    const other = await open({ wwid: WWID });
    expect(other.paths).toMatchObject([
      { node: '/dev/sg0', state: 'failed', error: attaching },
      { node: '/dev/sg1', state: 'active', error: undefined },
    ]);
    script.errors['close sg1'] = systemError('EIO', 'close');
    script.errors['open sg1'] = opening;
    script.taken();
    await expect(open({ wwid: WWID })).rejects.toBe(opening);
    expect(script.taken()).toEqual(['open sg0', 'open sg1', 'attach sg0', 'close sg0']);
  });

  it('are all closed when none can be attached; the first error is told', async () => {
    const errors = ['sg0', 'sg1'].map((node) => {
      const error = systemError('ENODEV', 'ioctl(ATTACH)', node);
      script.errors[`attach ${node}`] = error;
      script.errors[`close ${node}`] = systemError('EIO', 'close');
      return error;
    });
    await expect(open({ wwid: WWID })).rejects.toBe(errors[0]);
    expect(script.taken()).toEqual([
      ...['open sg0', 'open sg1', 'attach sg0', 'attach sg1', 'close sg1', 'close sg0'],
    ]);
  });
});

describe('a virtual LUN', () => {
  it('has one path; the others are open alone', async () => {
    const device = await open({ wwid: WWID, virtual: {} });
    expect(script.taken()).toEqual(['open sg0', 'open sg1', 'attach sg0']);
    expect(device.paths.map(({ node }) => node)).toEqual(['/dev/sg0']);
    await device.close();
    expect(script.taken()).toEqual(['close sg1', 'close sg0']);
    script.errors['attach sg0'] = systemError('ENODEV', 'ioctl(ATTACH)');
    const other = await open({ wwid: WWID, virtual: {} });
    expect(script.taken()).toEqual(['open sg0', 'open sg1', 'attach sg0', 'attach sg1']);
    expect(other.path.node).toBe('/dev/sg1');
  });
});

describe('a path that fails', () => {
  const read = (device: { read(lba: number, blocks: number): Promise<unknown> }) =>
    device.read(0, 1).then(
      () => 'done',
      (error) => error.code,
    );

  it('is replaced by another, for the whole LUN', async () => {
    const changes: unknown[] = [];
    const device = await open({
      wwid: WWID,
      onPathChange: (change: unknown) => changes.push(change),
    });
    script.taken();
    expect(await read(device)).toBe('ENODEV');
    await new Promise(setImmediate);
    expect(script.taken()).toContain('fence sg0');
    expect([device.statistics.pathChanges > 0, changes.length > 0]).toEqual([true, true]);
    expect(device.statistics.failedOver).toBeGreaterThan(0);
  });

  it('is left to the program, for a virtual LUN', async () => {
    const device = await open({ wwid: WWID, virtual: {} });
    script.taken();
    expect(await read(device)).toBe('ENODEV');
    expect([script.taken(), device.statistics.failedOver]).toEqual([[], 0]);
  });

  it('has its transfers begun again, unless onReset is `fail`', async () => {
    for (const [onReset, again] of [
      ['fail', false],
      ['retry', true],
    ] as const) {
      const device = await open({ wwid: WWID, onReset });
      expect(await read(device)).toBe('ENODEV');
      expect(device.statistics.failedOver > 0).toBe(again);
    }
  });
});

describe('a disk that is mounted', () => {
  it('is refused by each of its paths, unless it is told', async () => {
    script.mounts = '/dev/sda1 /srv ext4 rw 0 0\n/dev/sda2 /home ext4 rw 0 0\n';
    for (const options of [{ node: '/dev/sg0' }, { wwid: WWID }]) {
      const refused = await open(options).catch((error) => error);
      expect(refused).toMatchObject({ code: 'EBUSY', syscall: 'open', path: '/dev/sda' });
      expect(refused.message).toContain('/srv, /home');
      await expect(open({ ...options, mounted: false })).rejects.toEqual(coded('EBUSY'));
      expect(script.taken()).toEqual([]);
      await (await open({ ...options, mounted: true })).close();
      expect(script.taken()).toContain('open sg0');
    }
    for (const node of ['/dev/sg1', '/dev/sdd']) await (await open({ node })).close();
    script.mounts = '/dev/sdd /srv ext4 rw 0 0\n';
    await expect(open({ node: '/dev/sdd' })).rejects.toEqual(coded('EBUSY'));
    await (await open({ wwid: WWID })).close();
  });
});

describe('an abort', () => {
  it('ends it at the next step, and undoes the steps before', async () => {
    for (const [at, calls] of [
      ['open sg0', ['open sg0', 'close sg0']],
      ['open sg1', ['open sg0', 'open sg1', 'close sg1', 'close sg0']],
      ['attach sg0', ['open sg0', 'open sg1', 'attach sg0', 'close sg1', 'close sg0']],
      [
        'attach sg1',
        ['open sg0', 'open sg1', 'attach sg0', 'attach sg1', 'close sg1', 'close sg0'],
      ],
    ] as const) {
      const controller = new AbortController();
      script.onStep = (call) => {
        if (call === at) controller.abort();
      };
      const opened = open({ wwid: WWID, signal: controller.signal });
      await expect(opened).rejects.toEqual(coded('ABORT_ERR'));
      expect(script.taken()).toEqual(calls);
    }
    await expect(open({ node: '/dev/sg9', signal: AbortSignal.abort() })).rejects.toEqual(
      coded('ABORT_ERR'),
    );
  });
});

describe('options', () => {
  it('that are wrong are refused before anything is read', async () => {
    const node = '/dev/sg9';
    for (const [text, options] of [
      ['options must be given node or wwid', {}],
      ['options must be given node or wwid', { node, wwid: WWID }],
      ['options.node must', { node: 7 }],
      ['options.mounted must', { node, mounted: 1 }],
      ['options.onPathChange must', { node, onPathChange: 1 }],
    ] as const) {
      await expect(open(options)).rejects.toEqual(coded('ERR_INVALID_ARG_TYPE'));
      await expect(open(options)).rejects.toThrow(text);
    }
    for (const [code, options] of [
      ['ERR_INVALID_ARG_TYPE', { node, signal: {} }],
      ['ERR_OUT_OF_RANGE', { node, interrupts: 5 }],
      ['ERR_INVALID_ARG_VALUE', { node, interupts: 4 }],
      ['ERR_INVALID_ARG_VALUE', { node, lun: 1 }],
    ] as const) {
      await expect(open(options)).rejects.toEqual(coded(code));
    }
    const { system } = script;
    for (const more of [
      { system, interupts: 4 },
      { system, mounted: 1 },
    ]) {
      await expect(openBlockDevice(node, more as never)).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_INVALID_ARG/),
      });
    }
    for (const more of [null, 7]) {
      await expect(openBlockDevice(node, more as never)).rejects.toEqual(
        coded('ERR_INVALID_ARG_TYPE'),
      );
    }
    expect(script.taken()).toEqual([]);
  });
});
