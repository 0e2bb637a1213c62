/** What the objects of flash nodes ask of the driver, and make of its answers: over scripted nodes. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { Binding } from '../../../lib/binding';
import { flashFlags, provisionSubcommands } from '../../../lib/binding/flash';
import { Cxl } from '../../../lib/device/cxl';
import { type FlashHost, openFlashHost } from '../../../lib/flash/host';
import { type Lun, openLun } from '../../../lib/flash/lun';
import { ERRNOS } from '../../../lib/shared/errno';

const HOST = '/dev/cxlflash/cxlflash0';
const LUN = '/dev/sg1';
const WWID = '60025380025382463300050000000000';
const WWID_BYTES = Uint8Array.from(Buffer.from(WWID, 'hex'));
const coded = (code: string, begin = '') =>
  expect.objectContaining({ code, message: expect.stringMatching(new RegExp(`^${begin}`)) });

/** The driver: nodes that can be opened, and their ioctls. */
class Driver {
  readonly opened: string[] = [];
  readonly calls: [name: string, input: unknown][] = [];
  readonly taken: number[] = [];
  closes = 0;
  answer: object | number = { returnFlags: 0n };
  openErrno = 0;
  closeErrno = 0;
  /** Resolves when a test lets a node be opened. */
  opening: Promise<void> = Promise.resolve();
  wwid: () => Promise<Uint8Array> = async () => Buffer.from(`naa.${WWID}\n`);
  flash: object | undefined = {
    openHost: (path: string) => this.#open(path),
    openLun: (path: string) => this.#open(path),
    takeDescriptor: (fd: number) => this.taken.push(fd),
  };
  readonly system = new Cxl(() => {
    const sysfs = { realpath: async () => -ERRNOS.ENOENT, read: () => this.wwid() };
    return { sysfs, flash: this.flash } as unknown as Binding;
  });

  async #open(path: string) {
    this.opened.push(path);
    await this.opening;
    if (this.openErrno < 0) return this.openErrno;
    return {
      ioctl: async (name: string, input: unknown) => {
        this.calls.push([name, input]);
        return this.answer;
      },
      close: async () => {
        this.closes += 1;
        return this.closeErrno;
      },
    };
  }

  host(): Promise<FlashHost> {
    return openFlashHost(HOST, { system: this.system });
  }

  lun(): Promise<Lun> {
    return openLun(LUN, { system: this.system });
  }
}

for (const [name, open, path] of [
  ['openFlashHost()', openFlashHost, HOST],
  ['openLun()', openLun, LUN],
] as const) {
  describe(name, () => {
    it('opens the node of the path', async () => {
      const driver = new Driver();
      const node = await open(path, { system: driver.system });
      expect([driver.opened, node.path, node.closed]).toEqual([[path], path, false]);
      await expect(open(7 as never)).rejects.toEqual(
        coded('ERR_INVALID_ARG_TYPE', 'path must be a string;'),
      );
      for (const options of [{ systen: 1 }, { system: {} }, { signal: {} }]) {
        await expect(open(path, options as never)).rejects.toMatchObject({
          code: expect.stringMatching(/^ERR_INVALID_ARG/),
        });
      }
      expect(driver.opened).toHaveLength(1);
    });

    it('fails with the errno of open()', async () => {
      const driver = new Driver();
      for (const code of ['ENOENT', 'EACCES'] as const) {
        driver.openErrno = -ERRNOS[code];
        const failed = await open(path, { system: driver.system }).catch((error) => error);
        expect(failed).toMatchObject({ code, syscall: 'open', path });
        expect(failed.message.includes('listLuns()')).toBe(path === LUN && code === 'ENOENT');
      }
      const without = new Driver();
      without.flash = undefined;
      const { system } = without;
      const missing = await open(path, { system }).catch((error) => error);
      expect(missing).toMatchObject({ code: 'ENOSYS', syscall: 'cxlflash' });
      expect(missing.message).toContain('this backend has no flash adapter');
    });

    it('ends with its signal, and closes what is opened afterwards', async () => {
      const driver = new Driver();
      const { system } = driver;
      const before = open(path, { system, signal: AbortSignal.abort() });
      await expect(before).rejects.toEqual(coded('ABORT_ERR'));
      expect(driver.opened).toEqual([]);
      let proceed = () => {};
      driver.opening = new Promise((resolve) => {
        proceed = resolve;
      });
      const controller = new AbortController();
      const opening = open(path, { system, signal: controller.signal });
      controller.abort();
      await expect(opening).rejects.toEqual(coded('ABORT_ERR'));
      expect([driver.opened.length, driver.closes]).toEqual([1, 0]);
      proceed();
      await new Promise(setImmediate);
      expect(driver.closes).toBe(1);
    });
  });
}

describe('a node', () => {
  it('is closed once, and takes no call afterwards', async () => {
    const driver = new Driver();
    const host = await driver.host();
    expect(inspect(host)).toBe(`FlashHost { path: '${HOST}', closed: false }`);
    await Promise.all([host.close(), host.close(), host[Symbol.asyncDispose]()]);
    expect([driver.closes, host.closed]).toEqual([1, true]);
    expect(inspect(host)).toBe(`FlashHost { path: '${HOST}', closed: true }`);
    await expect(host.queryPort(0)).rejects.toEqual(coded('ERR_INVALID_STATE'));
    await expect(host.queryPort(0)).rejects.toThrow(HOST);
    expect(driver.calls).toEqual([]);

    driver.closeErrno = -ERRNOS.EIO;
    const failed = await driver.lun();
    const error = { code: 'EIO', syscall: 'close', path: LUN };
    await expect(failed.close()).rejects.toMatchObject(error);
    await expect(failed.close()).rejects.toMatchObject(error);
    expect(driver.closes).toBe(2);
    const disposed = await new Driver().lun();
    await disposed[Symbol.asyncDispose]();
    expect(disposed.closed).toBe(true);
    await expect(failed[Symbol.asyncDispose]()).rejects.toMatchObject(error);
  });

  it('passes calls on, and publishes each', async () => {
    const driver = new Driver();
    const lun = await driver.lun();
    const input = { contextId: 7n, rsrcHandle: 1n };
    driver.answer = { returnFlags: 0n, lastLba: 9n };
    expect(await lun.call('VERIFY', input)).toBe(driver.answer);
    const published: object[] = [];
    const started = (message: unknown) => published.push({ ...(message as object) });
    subscribe('tracing:node-cxl:flash.ioctl:start', started);
    try {
      expect(await lun.call('VERIFY', input)).toBe(driver.answer);
    } finally {
      unsubscribe('tracing:node-cxl:flash.ioctl:start', started);
    }
    await lun.call('VERIFY', input);
    expect(published).toEqual([{ path: LUN, ioctl: 'VERIFY' }]);
    expect(driver.calls).toEqual([1, 2, 3].map(() => ['VERIFY', input]));
    for (const [name, wrong, refusal] of [
      [7, input, 'name must be'],
      ['VERIFY', undefined, 'input must be an object;'],
      ['VERIFY', null, 'input must be an object;'],
      ['VERIFY', 'x', 'input must be an object;'],
    ] as const) {
      const call = lun.call(name as never, wrong as never);
      await expect(call).rejects.toEqual(coded('ERR_INVALID_ARG_TYPE', refusal));
    }
    expect(driver.calls).toHaveLength(3);
  });
});

describe('a flash adapter', () => {
  it('provisions LUNs by the calls of the driver', async () => {
    const driver = new Driver();
    const host = await driver.host();
    const lun = { lunId: 5n, wwid: WWID_BYTES };
    const port = { maxNumLuns: 1n, curNumLuns: 2n, maxCapPort: 3n, curCapPort: 4n };
    driver.answer = { returnFlags: 0n, ...lun, ...port };
    expect(await host.createLun(3, 1000)).toEqual(lun);
    await host.deleteLun(0, 5n);
    expect(await host.queryPort(1)).toEqual({ luns: 2n, maxLuns: 1n, blocks: 4n, maxBlocks: 3n });
    const { create, delete: deletion, queryPort } = provisionSubcommands;
    expect(driver.calls).toEqual([
      ['LUN_PROVISION', { subcmd: create, port: 3, size: 1000n }],
      ['LUN_PROVISION', { subcmd: deletion, port: 0, lunId: 5n }],
      ['LUN_PROVISION', { subcmd: queryPort, port: 1 }],
    ]);
    for (const wrong of [-1, 4, 0.5]) {
      await expect(host.queryPort(wrong)).rejects.toEqual(coded('ERR_OUT_OF_RANGE', 'port must'));
    }
    for (const [wrong, refusal] of [
      [host.deleteLun(0, 5 as never), 'lunId must be a bigint;'],
      [host.createLun(0, '1' as never), 'blocks must be'],
    ] as const) {
      await expect(wrong).rejects.toEqual(coded('ERR_INVALID_ARG_TYPE', refusal));
    }
    expect(driver.calls).toHaveLength(3);
  });

  it('gets debug commands of 12 bytes, with up to 256 KiB of data', async () => {
    const driver = new Driver();
    const host = await driver.host();
    const afuSubcmd = new Uint8Array(12);
    const data = new Uint8Array(4);
    await host.debug(afuSubcmd);
    await host.debug(afuSubcmd, data, { write: false });
    await host.debug(afuSubcmd, data, { write: true });
    expect(driver.calls).toEqual([
      ['AFU_DEBUG', { flags: 0n, afuSubcmd, data: undefined }],
      ['AFU_DEBUG', { flags: 0n, afuSubcmd, data }],
      ['AFU_DEBUG', { flags: flashFlags.hostWrite, afuSubcmd, data }],
    ]);
    for (const [code, refusal, command, bytes, options] of [
      ['ERR_INVALID_ARG_TYPE', 'command must be a Uint8Array;', [...afuSubcmd]],
      ['ERR_INVALID_ARG_VALUE', 'command must be 12 bytes;', new Uint8Array(11)],
      ['ERR_INVALID_ARG_VALUE', 'command must be 12 bytes;', new Uint8Array(13)],
      ['ERR_INVALID_ARG_TYPE', 'data must be a Uint8Array;', afuSubcmd, 'data'],
      ['ERR_OUT_OF_RANGE', 'data.length must', afuSubcmd, new Uint8Array(262_145)],
      ['ERR_INVALID_ARG_TYPE', 'options.write must', afuSubcmd, data, { write: 1 }],
      ['ERR_INVALID_ARG_VALUE', 'options.writes is', afuSubcmd, data, { writes: true }],
    ] as const) {
      const refused = host.debug(command as never, bytes as never, options as never);
      await expect(refused).rejects.toEqual(coded(code, refusal));
    }
    expect(driver.calls).toHaveLength(3);
    await host.debug(afuSubcmd, new Uint8Array(262_144));
    expect(driver.calls).toHaveLength(4);
  });

  it('fails with EOPNOTSUPP where the AFU has no such commands', async () => {
    const driver = new Driver();
    const host = await driver.host();
    for (const [errno, code] of [
      [ERRNOS.ENOTSUPP, 'EOPNOTSUPP'],
      [ERRNOS.EIO, 'EIO'],
    ] as const) {
      driver.answer = -errno;
      const path = HOST;
      const provision = { code, syscall: 'ioctl(LUN_PROVISION)', path };
      await expect(host.queryPort(0)).rejects.toMatchObject(provision);
      const debug = { code, syscall: 'ioctl(AFU_DEBUG)', path };
      await expect(host.debug(new Uint8Array(12))).rejects.toMatchObject(debug);
    }
  });
});

describe('a LUN', () => {
  const { enableSuperpipe, disableSuperpipe, allPortsAccessible } = flashFlags;

  it('is made available by its world-wide id: of sysfs, or of the caller', async () => {
    const driver = new Driver();
    const lun = await driver.lun();
    const other = Uint8Array.from(WWID_BYTES, (byte) => byte ^ 0xff);
    await lun.enableSuperpipe();
    await lun.enableSuperpipe({ allPorts: true, wwid: other });
    await lun.enableSuperpipe({ allPorts: false, wwid: Buffer.from(other).toString('hex') });
    await lun.disableSuperpipe();
    await lun.disableSuperpipe({ allPorts: true, wwid: other });
    expect(driver.calls).toEqual(
      [
        { flags: enableSuperpipe, wwid: WWID_BYTES },
        { flags: enableSuperpipe | allPortsAccessible, wwid: other },
        { flags: enableSuperpipe, wwid: other },
        { flags: disableSuperpipe, wwid: WWID_BYTES },
        { flags: disableSuperpipe, wwid: other },
      ].map((input) => ['MANAGE_LUN', input]),
    );
    for (const [code, refusal, options] of [
      ['ERR_INVALID_ARG_TYPE', 'options must', null],
      ['ERR_INVALID_ARG_TYPE', 'options.allPorts must', { allPorts: 1 }],
      ['ERR_INVALID_ARG_TYPE', 'options.signal must', { signal: {} }],
      ['ERR_INVALID_ARG_VALUE', 'options.wwid must', { wwid: 'x' }],
      ['ERR_INVALID_ARG_VALUE', 'options.allPort is', { allPort: true }],
    ] as const) {
      for (const call of ['enableSuperpipe', 'disableSuperpipe'] as const) {
        await expect(lun[call](options as never)).rejects.toEqual(coded(code, refusal));
      }
    }
    expect(driver.calls).toHaveLength(5);
  });

  it('is left as it is by an abort before the ioctl', async () => {
    const driver = new Driver();
    const lun = await driver.lun();
    const aborted = lun.enableSuperpipe({ signal: AbortSignal.abort(), wwid: 'not looked at' });
    await expect(aborted).rejects.toEqual(coded('ABORT_ERR'));
    const controller = new AbortController();
    driver.wwid = async () => {
      controller.abort();
      return Buffer.from(`naa.${WWID}`);
    };
    const { signal } = controller;
    await expect(lun.enableSuperpipe({ signal })).rejects.toEqual(coded('ABORT_ERR'));
    for (const options of [{ signal }, { interrupt: 4 }, { signal: 1 }]) {
      await expect(lun.attach(options as never)).rejects.toMatchObject({
        code: expect.stringMatching(/^(ABORT_ERR|ERR_INVALID_ARG)/),
      });
    }
    expect(driver.calls).toEqual([]);
  });

  it('leaves the descriptor of an answer to the caller of call(), but not of request()', async () => {
    const driver = new Driver();
    const lun = await driver.lun();
    driver.answer = { returnFlags: 0n, adapFd: 9n };
    await lun.request('ATTACH', { numInterrupts: 4n });
    expect(driver.taken).toEqual([]);
    expect(await lun.call('ATTACH', { numInterrupts: 4n })).toBe(driver.answer);
    expect(driver.taken).toEqual([9]);
    const again = await lun.reopen();
    expect([again.path, again.system, driver.opened]).toEqual([LUN, driver.system, [LUN, LUN]]);
  });

  it('fails with the errno of the ioctl, and what to do where cxlflash means its own by it', async () => {
    const driver = new Driver();
    const lun = await driver.lun();
    for (const [name, code, hint] of [
      ['MANAGE_LUN', 'EBUSY', 'a context still holds a resource'],
      ['ATTACH', 'EINVAL', 'is superpipe enabled'],
      ['ATTACH', 'ENODEV', 'no context left'],
      ['ATTACH', 'ENOSPC', 'no interrupts left'],
      ['ATTACH', 'EAGAIN', 'try again'],
      ['USER_DIRECT', 'EAGAIN', 'try again'],
      ['USER_DIRECT', 'EINVAL', 'in use as virtual'],
      ['USER_DIRECT', 'EMFILE', 'the resource handle table'],
      ['USER_VIRTUAL', 'EAGAIN', 'try again'],
      ['USER_VIRTUAL', 'EINVAL', 'in use as physical'],
      ['USER_VIRTUAL', 'EMFILE', 'the resource handle table'],
      ['USER_VIRTUAL', 'ENOMEM', 'smaller than one chunk'],
      ['USER_VIRTUAL', 'ENOSPC', 'no chunk'],
      ['VLUN_RESIZE', 'EINVAL', 'only a virtual LUN'],
      ['VLUN_RESIZE', 'ENOSPC', 'no chunk'],
      ['VLUN_RESIZE', 'EAGAIN', 'try again'],
      ['RELEASE', 'EAGAIN', 'try again'],
      ['VLUN_CLONE', 'EAGAIN', 'try again'],
      ['VLUN_CLONE', 'EINVAL', 'a context of the parent process'],
      ['RECOVER_AFU', 'ENODEV', 'the adapter is gone'],
      ['VERIFY', 'EIO', 'the sense data'],
      ['VERIFY', 'ENODEV', 'the capacity of the LUN'],
    ] as const) {
      driver.answer = -ERRNOS[code];
      const failed = await lun.call(name, {} as never).catch((error) => error);
      expect(failed).toMatchObject({ code, syscall: `ioctl(${name})`, path: LUN });
      expect(failed.message).toContain(hint);
    }
    for (const [name, code] of [
      ['ATTACH', 'EBUSY'],
      ['MANAGE_LUN', 'EIO'],
    ] as const) {
      driver.answer = -ERRNOS[code];
      const failed = await lun.call(name, {} as never).catch((error) => error);
      expect(failed.message).toMatch(new RegExp(`, ioctl\\(${name}\\) '${LUN}'$`));
    }
  });
});
