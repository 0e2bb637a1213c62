import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Doe, SysfsPci } from 'node-cxl/doe';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const ADDRESS = '0000:0d:00.0';
const MAILBOX_OFFSET = 0x190;
let root: string;
let devices: string;
let cxlDevices: string;
let children: ChildProcess[];

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'doe-sysfs-'));
  devices = path.join(root, 'bus/pci/devices');
  cxlDevices = path.join(root, 'bus/cxl/devices');
  mkdirSync(devices, { recursive: true });
  mkdirSync(cxlDevices, { recursive: true });
  children = [];
});

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(root, { recursive: true, force: true });
});

/** A device's folder and its config file. It is a plain file, so no exchange is answered. */
function addFunction(at: string, bytes = 4096): string {
  const device = path.join(root, 'devices/pci0000:0c/0000:0c:00.0', at);
  mkdirSync(device, { recursive: true });
  const config = Buffer.alloc(bytes);
  config.writeUInt32LE(0x0d93_8086, 0);
  if (bytes > 256) {
    config.writeUInt32LE(0x0001_000b + MAILBOX_OFFSET * 2 ** 20, 0x100);
    config.writeUInt32LE(0x0001_002e, MAILBOX_OFFSET);
    config.writeUInt32LE(0x0000_0007, MAILBOX_OFFSET + 4);
  }
  writeFileSync(path.join(device, 'config'), config);
  symlinkSync(device, path.join(devices, at));
  return device;
}

function open(): Doe {
  return new Doe(new SysfsPci({ devices, cxlDevices }));
}

/** Another process that locks a range, reports that, and holds the lock until it is killed. */
async function lockElsewhere(file: string, offset: number, length: number): Promise<ChildProcess> {
  const script = `
    const { SysfsPci } = require('node-cxl/doe');
    const bus = new SysfsPci({ devices: process.argv[1] });
    const space = bus.open(process.argv[2], 'write');
    console.log(space.lock(${offset}, ${length}));
    setInterval(() => {}, 1000);`;
  const child = spawn(
    process.execPath,
    ['-e', script, devices, path.basename(path.dirname(file))],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  children.push(child);
  const answer = await new Promise<string>((resolve) => {
    child.stdout!.once('data', (data) => resolve(String(data).trim()));
  });
  expect(answer).toBe('0');
  return child;
}

describe('PCI functions in sysfs', () => {
  it('are listed and their mailboxes found', async () => {
    addFunction('0000:0e:00.0', 256);
    addFunction(ADDRESS);
    const doe = open();
    expect(await doe.functions()).toEqual([ADDRESS, '0000:0e:00.0']);
    const [mailbox, ...more] = await doe.mailboxes();
    expect(more).toEqual([]);
    expect(mailbox).toMatchObject({
      address: ADDRESS,
      offset: MAILBOX_OFFSET,
      version: 1,
      interrupt: { supported: true, messageNumber: 3 },
      owner: { kernelFeatures: [], kernelTables: [] },
    });
  });

  it('missing: a problem that says so', async () => {
    await expect(open().mailboxes(ADDRESS)).rejects.toMatchObject({
      code: 'ENOENT',
      syscall: 'open',
    });
    rmSync(devices, { recursive: true });
    await expect(open().functions()).rejects.toMatchObject({ code: 'ENOENT', syscall: 'readdir' });
  });

  it('whose config file ends after 64 bytes although its size is 4096', async () => {
    addFunction(ADDRESS, 64);
    const doe = open();
    // What a user who is not root can read of a PCI Express function.
    writeFileSync(
      path.join(devices, ADDRESS, 'config'),
      Buffer.from(`${'00'.repeat(6)}1000${'00'.repeat(44)}40${'00'.repeat(11)}`, 'hex'),
    );
    await expect(doe.mailboxes(ADDRESS)).rejects.toMatchObject({ code: 'ENODATA' });
  });

  it('have their driver, the protocols that the kernel found, and the tables that it read', async () => {
    const device = addFunction(ADDRESS);
    symlinkSync(path.join(root, 'bus/pci/drivers/cxl_pci'), path.join(device, 'driver'));
    mkdirSync(path.join(device, 'doe_features'));
    for (const name of ['1e98:02', '0001:00'])
      writeFileSync(path.join(device, 'doe_features', name), '');
    mkdirSync(path.join(device, 'mem0'));
    for (const [name, uport] of [
      ['endpoint3', path.join(device, 'mem0')],
      ['port1', path.dirname(device)],
    ] as const) {
      mkdirSync(path.join(cxlDevices, name));
      symlinkSync(uport, path.join(cxlDevices, name, 'uport'));
      writeFileSync(path.join(cxlDevices, name, 'CDAT'), '');
    }
    expect((await open().scanFunction(ADDRESS)).owner).toEqual({
      driver: 'cxl_pci',
      kernelFeatures: ['0001:00', '1e98:02'],
      kernelTables: [path.join(cxlDevices, 'endpoint3/CDAT')],
    });
    // The bridge above the device has its own table.
    const bridge = path.dirname(device);
    writeFileSync(path.join(bridge, 'config'), Buffer.alloc(256, 1));
    symlinkSync(bridge, path.join(devices, path.basename(bridge)));
    expect((await open().scanFunction(path.basename(bridge))).owner.kernelTables).toEqual([
      path.join(cxlDevices, 'port1/CDAT'),
    ]);
  });
});

describe('the driver of a function', () => {
  it('is taken from it, and given to it, by the files of sysfs', async () => {
    const device = addFunction(ADDRESS);
    const driver = path.join(root, 'bus/pci/drivers/cxl_pci');
    mkdirSync(driver, { recursive: true });
    for (const name of ['bind', 'unbind']) writeFileSync(path.join(driver, name), '');
    const doe = new Doe(new SysfsPci({ devices, cxlDevices, drivers: path.dirname(driver) }));
    expect(await doe.unbind(ADDRESS)).toBeUndefined();
    symlinkSync(driver, path.join(device, 'driver'));
    expect(await doe.unbind(ADDRESS)).toBe('cxl_pci');
    expect(readFileSync(path.join(driver, 'unbind'), 'utf8')).toBe(ADDRESS);
    await doe.bind(ADDRESS, 'cxl_pci');
    expect(readFileSync(path.join(driver, 'bind'), 'utf8')).toBe(ADDRESS);
    await expect(doe.bind(ADDRESS, 'nvme')).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(doe.unbind('0000:77:00.0')).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('an exchange over a config file', () => {
  it('writes whole dwords in order, and aborts when there is no answer', async () => {
    addFunction(ADDRESS);
    const [mailbox] = await open().mailboxes(ADDRESS);
    const call = mailbox!.exchange({ vendorId: 0x1e98, type: 2 }, Buffer.from('01020304', 'hex'), {
      timeout: 20,
    });
    await expect(call).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    const config = readFileSync(path.join(devices, ADDRESS, 'config'));
    expect(config.subarray(MAILBOX_OFFSET + 0x08, MAILBOX_OFFSET + 0x18).toString('hex')).toBe(
      '010000000000000001020304' + '00000000',
    );
  });

  it('waits until another process releases the lock of the registers', async () => {
    const device = addFunction(ADDRESS);
    const [mailbox] = await open().mailboxes(ADDRESS);
    const config = path.join(device, 'config');
    const child = await lockElsewhere(config, MAILBOX_OFFSET, 0x18);
    const before = readFileSync(config);
    const call = mailbox!.exchange({ vendorId: 1, type: 0 }, Buffer.alloc(4), { timeout: 20 });
    let settled = false;
    call
      .catch(() => {})
      .finally(() => {
        settled = true;
      });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(settled).toBe(false);
    expect(readFileSync(config).equals(before)).toBe(true);
    // The lock ends with its process, however the process ends.
    child.kill('SIGKILL');
    await expect(call).rejects.toMatchObject({ code: 'ETIMEDOUT', syscall: 'doe(wait)' });
  });

  it('does not wait for the lock of another mailbox', async () => {
    const device = addFunction(ADDRESS);
    const [mailbox] = await open().mailboxes(ADDRESS);
    await lockElsewhere(path.join(device, 'config'), MAILBOX_OFFSET + 0x20, 0x18);
    const call = mailbox!.exchange({ vendorId: 1, type: 0 }, Buffer.alloc(4), { timeout: 20 });
    await expect(call).rejects.toMatchObject({ syscall: 'doe(wait)' });
  });

  it('is ENOSYS without the addon; nothing is sent', async () => {
    const device = addFunction(ADDRESS);
    const lock = () => -38;
    const [mailbox] = await new Doe(new SysfsPci({ devices, cxlDevices, lock })).mailboxes(ADDRESS);
    const before = readFileSync(path.join(device, 'config'));
    await expect(mailbox!.discover()).rejects.toMatchObject({ code: 'ENOSYS' });
    expect(readFileSync(path.join(device, 'config')).equals(before)).toBe(true);
  });
});
