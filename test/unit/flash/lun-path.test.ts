/** One path to a LUN: what is opened for it, what is undone, and when. Over a scripted node and context. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Binding } from '../../../lib/binding';
import { flashFlags } from '../../../lib/binding/flash';
import { Cxl } from '../../../lib/device/cxl';
import type { LunInfo } from '../../../lib/flash/discovery';
import { Lun } from '../../../lib/flash/lun';
import { LunPath, type PathSetup } from '../../../lib/flash/lun-path';
import { ERRNOS } from '../../../lib/shared/errno';
import { systemError } from '../../../lib/shared/errors';

const NODE = '/dev/sg1';
const [OWN, GIVEN] = [0x60, 0x61].map((byte) => new Uint8Array(16).fill(byte)) as [
  Uint8Array,
  Uint8Array,
];
const coded = (code: string) => expect.objectContaining({ code });
const OPENED = ['open', ['enable', OWN]];
const UNDONE = [['disable', OWN], 'close'];

afterEach(() => vi.restoreAllMocks());

/** The driver, and the contexts that Lun.attach() gives. */
class Script {
  readonly calls: unknown[] = [];
  /** The errno of a step, by its name. */
  readonly errnos: Record<string, number> = {};
  /** What the steps of a context fail with, by their names. */
  readonly errors: Record<string, Error> = {};
  readonly info = { mode: 'legacy' } as LunInfo;
  readonly attach = { queueDepth: 5 };
  readonly device = {};

  constructor() {
    vi.spyOn(Lun.prototype, 'attach').mockImplementation(async (options) => {
      expect(options).toBe(this.attach);
      await this.#step('attach');
      const resource = { blockDevice: () => this.device };
      return {
        openDirect: async () => {
          await this.#step('openDirect');
          return resource;
        },
        openVirtual: async (virtual: object) => {
          await this.#step(['openVirtual', virtual]);
          return resource;
        },
        close: () => this.#step('detach'),
      } as never;
    });
  }

  async #step(call: unknown): Promise<void> {
    this.calls.push(call);
    const error = this.errors[String(Array.isArray(call) ? call[0] : call)];
    if (error !== undefined) throw error;
  }

  open(setup: Partial<PathSetup> = {}): Promise<LunPath> {
    const binding = {
      sysfs: {
        realpath: async () => -ERRNOS.ENOENT,
        read: async () => Buffer.from(`naa.${Buffer.from(OWN).toString('hex')}`),
      },
      flash: {
        openLun: async (path: string) => {
          this.calls.push(path === NODE ? 'open' : path);
          return this.errnos['open'] ?? this.#file;
        },
      },
    };
    const system = new Cxl(() => binding as unknown as Binding);
    const { attach } = this;
    const all = { system, attach, virtual: undefined, wwid: undefined, ...setup };
    return LunPath.open(this.info, NODE, all);
  }

  readonly #file = {
    ioctl: async (_: string, { flags, wwid }: { flags: bigint; wwid: Uint8Array }) => {
      const name = flags === flashFlags.enableSuperpipe ? 'enable' : 'disable';
      this.calls.push([name, wwid]);
      return this.errnos[name] ?? { returnFlags: 0n };
    },
    close: async () => {
      this.calls.push('close');
      return this.errnos['close'] ?? 0;
    },
  };

  taken(): unknown[] {
    return this.calls.splice(0);
  }
}

describe('a path that is opened', () => {
  it('has its LUN in superpipe mode, until it is closed', async () => {
    const script = new Script();
    const path = await script.open();
    expect(script.taken()).toEqual(OPENED);
    expect(path).toMatchObject({ node: NODE, state: 'failed', transfers: 0 });
    expect(path.info).toBe(script.info);
    expect([path.device, path.resource, path.error]).toEqual([undefined, undefined, undefined]);
    await path.close();
    expect(script.taken()).toEqual(UNDONE);
    await path.close();
    expect(script.taken()).toEqual([]);
  });

  it('has the world-wide id of the caller, where that is given', async () => {
    const script = new Script();
    await (await script.open({ wwid: GIVEN })).close();
    expect(script.taken()).toEqual(
      [['open', ['enable', GIVEN], ['disable', GIVEN], 'close']].flat(),
    );
  });

  it('leaves a LUN in superpipe mode that was in it before', async () => {
    const script = new Script();
    Object.assign(script.info, { mode: 'superpipe' });
    await (await script.open()).close();
    expect(script.taken()).toEqual([...OPENED, 'close']);
  });

  it('leaves a LUN in superpipe mode that another user needs so', async () => {
    const script = new Script();
    script.errnos['disable'] = -ERRNOS.EBUSY;
    await (await script.open()).close();
    expect(script.taken()).toEqual([...OPENED, ...UNDONE]);
    script.errnos['disable'] = -ERRNOS.EIO;
    await expect((await script.open()).close()).rejects.toEqual(coded('EIO'));
    expect(script.taken()).toEqual([...OPENED, ...UNDONE]);
    const notOfTheDriver = Object.assign(new Error('busy'), { code: 'EBUSY' });
    const path = await script.open();
    vi.spyOn(Lun.prototype, 'disableSuperpipe').mockRejectedValueOnce(notOfTheDriver);
    await expect(path.close()).rejects.toBe(notOfTheDriver);
  });

  it('is closed when superpipe cannot be enabled', async () => {
    for (const closes of [0, -ERRNOS.EIO]) {
      const script = new Script();
      Object.assign(script.errnos, { enable: -ERRNOS.ENOMEM, close: closes });
      await expect(script.open()).rejects.toEqual(coded('ENOMEM'));
      expect(script.taken()).toEqual([...OPENED, 'close']);
      script.errnos['open'] = -ERRNOS.ENOENT;
      await expect(script.open()).rejects.toEqual(coded('ENOENT'));
      expect(script.taken()).toEqual(['open']);
    }
  });
});

describe('a path that is attached', () => {
  it('has the whole LUN, or a virtual one', async () => {
    const virtual = { blocks: 7 };
    for (const [setup, step] of [
      [{}, 'openDirect'],
      [{ virtual }, ['openVirtual', virtual]],
    ] as const) {
      const script = new Script();
      const path = await script.open(setup);
      path.error = new Error('the path failed');
      script.taken();
      await path.attach();
      expect(script.taken()).toEqual(['attach', step]);
      expect([path.state, path.error]).toEqual(['ready', undefined]);
      expect(path.device).toBe(script.device);
      expect(path.resource?.blockDevice()).toBe(script.device);
      await path.close();
      expect(script.taken()).toEqual(['detach', ...UNDONE]);
      expect([path.device, path.resource]).toEqual([undefined, undefined]);
    }
  });

  it('is attached once by calls that come together', async () => {
    const script = new Script();
    const path = await script.open();
    script.taken();
    const [first, second] = [path.attach(), path.attach()];
    expect(second).toBe(first);
    await first;
    expect(script.taken()).toEqual(['attach', 'openDirect']);
    await path.attach();
    expect(script.taken()).toEqual(['attach', 'openDirect']);
  });

  it('has no context left when the LUN cannot be opened in it', async () => {
    const script = new Script();
    const path = await script.open();
    script.taken();
    const error = systemError('EMFILE', 'ioctl(USER_DIRECT)');
    script.errors['openDirect'] = error;
    for (const detach of [undefined, systemError('EIO', 'close')]) {
      if (detach !== undefined) script.errors['detach'] = detach;
      await expect(path.attach()).rejects.toBe(error);
      expect(script.taken()).toEqual(['attach', 'openDirect', 'detach']);
      expect([path.state, path.device]).toEqual(['failed', undefined]);
    }
    script.errors['attach'] = systemError('ENODEV', 'ioctl(ATTACH)');
    await expect(path.attach()).rejects.toBe(script.errors['attach']);
    expect(script.taken()).toEqual(['attach']);
    await path.close();
    expect(script.taken()).toEqual(UNDONE);
  });

  it('is closed after an attach() that has begun, whether or not that succeeds', async () => {
    for (const error of [undefined, systemError('EMFILE', 'ioctl(USER_DIRECT)')]) {
      const script = new Script();
      const path = await script.open();
      if (error !== undefined) script.errors['openDirect'] = error;
      const attached = path.attach().catch((reason) => reason);
      script.taken();
      await path.close();
      expect(await attached).toBe(error);
      expect(script.taken()).toEqual(['openDirect', 'detach', ...UNDONE]);
      expect(path.device).toBeUndefined();
    }
  });

  it('that fails has no context, and can be attached again', async () => {
    const script = new Script();
    const path = await script.open();
    await path.attach();
    script.taken();
    const reason = systemError('ENODEV', 'sislite');
    const fenced = path.fence(reason);
    // At once, so that no transfer begins on it.
    expect([path.state, path.error, path.device]).toEqual(['failed', reason, undefined]);
    await fenced;
    expect(script.taken()).toEqual(['detach']);
    await path.fence(reason);
    expect(script.taken()).toEqual([]);
    await path.attach();
    expect([path.state, path.error]).toEqual(['ready', undefined]);
    script.errors['detach'] = systemError('EIO', 'close');
    await expect(path.fence(reason)).rejects.toBe(script.errors['detach']);
    expect(path.device).toBeUndefined();
    script.taken();
    await path.close();
    expect(script.taken()).toEqual(UNDONE);
  });
});
