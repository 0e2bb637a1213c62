/** Which LUNs there are, and whose a node is, on machines made of a few files. */
import { describe, expect, it } from 'vitest';
import type { Binding, SysFs } from '../../../lib/binding';
import { Cxl } from '../../../lib/device/cxl';
import { listLuns, mountsOf, pathOfNode } from '../../../lib/flash/discovery';
import { deviceAttribute, parseWwid, readWwid } from '../../../lib/flash/wwid';

const ENOENT = -2;
const WWID = '60025380025382463300050000000000';

/** A machine with these files, by path, and links. */
function machine(files: Record<string, string>, links: Record<string, string> = {}) {
  const read: string[] = [];
  const sysfs: Pick<SysFs, 'readdir' | 'read' | 'realpath'> = {
    readdir: async (path) => {
      const below = Object.keys(files).filter((file) => file.startsWith(`${path}/`));
      const names = below.map((file) => file.slice(path.length + 1).split('/')[0]!);
      return names.length === 0 ? ENOENT : [...new Set(names)];
    },
    read: async (path) => {
      read.push(path);
      const text = files[path];
      return text === undefined ? ENOENT : Buffer.from(text);
    },
    realpath: async (path) => links[path] ?? ENOENT,
  };
  const system = new Cxl(() => ({ sysfs }) as Binding);
  return { sysfs: sysfs as SysFs, system, read };
}

const scsi = (address: string, file: string) => `/sys/class/scsi_device/${address}/device/${file}`;
const driver = (host: number) => `/sys/class/scsi_host/host${host}/proc_name`;

describe('listLuns()', () => {
  it('lists the paths of flash adapters, in the order of their numbers', async () => {
    const { system, read } = machine({
      [driver(2)]: 'cxlflash\n',
      [driver(10)]: 'cxlflash\n',
      [driver(3)]: 'ipr\n',
      [scsi('10:0:0:0', 'mode')]: 'legacy\n',
      [scsi('2:1:0:10', 'mode')]: 'superpipe\n',
      [scsi('2:1:0:9', 'block/sdc')]: '',
      [scsi('2:1:0:9', 'scsi_generic/sg4')]: '',
      [scsi('2:1:0:9', 'wwid')]: `naa.${WWID}\n`,
      [scsi('2:1:0:9', 'mode')]: 'legacy\n',
      [scsi('2:1:0:9', 'vendor')]: 'IBM     \n',
      [scsi('2:1:0:9', 'model')]: 'FlashSystem\n',
      [scsi('3:0:0:0', 'mode')]: 'legacy\n',
      [scsi('4:0:0:0', 'mode')]: 'legacy\n',
    });
    const none = { block: undefined, generic: undefined, wwid: undefined };
    const unnamed = { ...none, vendor: undefined, model: undefined };
    expect(await listLuns({ system })).toEqual([
      {
        address: '2:1:0:9',
        host: 2,
        port: 1,
        block: '/dev/sdc',
        generic: '/dev/sg4',
        wwid: `naa.${WWID}`,
        mode: 'legacy',
        vendor: 'IBM',
        model: 'FlashSystem',
      },
      { address: '2:1:0:10', host: 2, port: 1, mode: 'superpipe', ...unnamed },
      { address: '10:0:0:0', host: 10, port: 0, mode: 'legacy', ...unnamed },
    ]);
    // Each adapter is looked at once.
    expect(read.filter((path) => path.endsWith('proc_name'))).toEqual([2, 3, 4, 10].map(driver));
  });

  it('takes nothing else for a path', async () => {
    const names = ['2:0:0', 'x2:0:0:0', '2:0:0:0x', '2:0:0:x', '12345678901:0:0:0'];
    names.push('2:12345678901:0:0', '2:0:12345678901:0', '2:0:0:12345678901', '2:0:x:0', '2:x:0:0');
    const longest = '2:4294967295:4294967295:4294967295';
    const files = [...names, longest].map((name) => [scsi(name, 'mode'), 'legacy']);
    const hosts = ['2', '12345678901'].map((host) => [driver(Number(host)), 'cxlflash']);
    const { system } = machine(Object.fromEntries([...files, ...hosts]));
    expect((await listLuns({ system })).map(({ address }) => address)).toEqual([longest]);
    const host = 4_294_967_295;
    const highest = machine({ [driver(host)]: 'cxlflash', [scsi(`${host}:0:0:0`, 'mode')]: 'x' });
    expect((await listLuns({ system: highest.system })).map((lun) => lun.host)).toEqual([host]);
  });

  it('lists nothing where the driver is not loaded, and ends where its signal says', async () => {
    expect(await listLuns({ system: machine({}).system })).toEqual([]);
    const { system, read } = machine({
      [driver(2)]: 'cxlflash',
      [scsi('2:0:0:0', 'mode')]: 'legacy',
    });
    const aborted = listLuns({ system, signal: AbortSignal.abort() });
    await expect(aborted).rejects.toMatchObject({ code: 'ABORT_ERR' });
    const controller = new AbortController();
    const listing = listLuns({ system, signal: controller.signal });
    controller.abort();
    await expect(listing).rejects.toMatchObject({ code: 'ABORT_ERR' });
    expect(read).toEqual([]);
  });
});

describe('a node', () => {
  const path = (block: string | undefined, generic: string | undefined) =>
    ({ block, generic }) as Awaited<ReturnType<typeof listLuns>>[number];

  it('is that of a path, or a link to one', async () => {
    const luns = [path(undefined, '/dev/sg0'), path('/dev/sdb', '/dev/sg1')];
    const { sysfs } = machine({}, { '/dev/disk/by-id/x': '/dev/sdb', '/dev/sdb': '/dev/sdb' });
    for (const [node, found] of [
      ['/dev/sg0', luns[0]],
      ['/dev/sg1', luns[1]],
      ['/dev/sdb', luns[1]],
      ['/dev/disk/by-id/x', luns[1]],
      ['/dev/sdc', undefined],
    ] as const) {
      expect([node, await pathOfNode(sysfs, luns, node)]).toEqual([node, found]);
    }
  });

  it('is mounted where it or one of its partitions is', async () => {
    const mounts = [
      'proc /proc proc rw 0 0',
      '/dev/sdb /srv xfs rw 0 0',
      '/dev/sdb12 /var xfs rw 0 0',
      '/dev/sdba /home xfs rw 0 0',
      '/dev/sdb1x /opt xfs rw 0 0',
      '/dev/sda /boot xfs rw 0 0',
      '',
    ];
    const { sysfs } = machine({ '/proc/self/mounts': mounts.join('\n') });
    expect(await mountsOf(sysfs, '/dev/sdb')).toEqual(['/srv', '/var']);
    expect(await mountsOf(sysfs, '/dev/sdc')).toEqual([]);
    expect(await mountsOf(machine({}).sysfs, '/dev/sdb')).toEqual([]);
    expect(await mountsOf(machine({ '/proc/self/mounts': '/dev/sdb' }).sysfs, '/dev/sdb')).toEqual([
      '',
    ]);
  });

  it('has its attributes by the name of the node that it is', async () => {
    const { sysfs } = machine({}, { '/dev/disk/by-id/x': '/dev/sdb' });
    const block = '/sys/class/block/sdb/device/wwid';
    expect(await deviceAttribute(sysfs, '/dev/disk/by-id/x', 'wwid')).toBe(block);
    expect(await deviceAttribute(sysfs, '/dev/sdb', 'wwid')).toBe(block);
    const generic = '/sys/class/scsi_generic/sg1/device/vpd_pgb2';
    expect(await deviceAttribute(sysfs, '/dev/sg1', 'vpd_pgb2')).toBe(generic);
  });
});

describe('a world-wide id', () => {
  const bytes = Uint8Array.from(Buffer.from(WWID, 'hex'));

  it('is 16 bytes, or 32 digits with or without `naa.`', () => {
    expect(parseWwid('wwid', bytes)).toBe(bytes);
    for (const text of [WWID, `naa.${WWID}`, ` NAA.${WWID.toUpperCase()}\n`, `A${WWID.slice(1)}`]) {
      expect(parseWwid('wwid', text).subarray(1)).toEqual(bytes.subarray(1));
    }
    for (const wrong of [
      `${WWID}0`,
      `0${WWID}`,
      WWID.slice(1),
      `naa.naa.${WWID}`,
      `g${WWID.slice(1)}`,
    ]) {
      expect(() => parseWwid('wwid', wrong)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
      );
    }
    for (const length of [0, 15, 17]) {
      expect(() => parseWwid('wwid', new Uint8Array(length))).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
      );
    }
    expect(() => parseWwid('wwid', 1 as never)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
    );
  });

  it('is read from sysfs, where it must be of the form NAA 6', async () => {
    const attribute = '/sys/class/scsi_generic/sg1/device/wwid';
    const read = (text: string) => readWwid(machine({ [attribute]: text }).sysfs, '/dev/sg1');
    expect(await read(`naa.${WWID}\n`)).toEqual(bytes);
    for (const text of ['', WWID, `naa.${WWID}0`, `xnaa.${WWID}`, `t10.${WWID}`, `naa.${WWID} x`]) {
      await expect(read(text)).rejects.toMatchObject({
        code: 'ENODATA',
        syscall: 'read',
        path: attribute,
      });
    }
    await expect(readWwid(machine({}).sysfs, '/dev/sg1')).rejects.toMatchObject({
      code: 'ENOENT',
      syscall: 'read',
      path: attribute,
    });
  });
});
