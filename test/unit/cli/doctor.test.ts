/** `node-cxl doctor` on machines made of files below a folder. */
import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { runHere } from './in-process';
import { Folder, run, TIMEOUT } from './run';

const folder = new Folder();
const RULE = path.resolve('lib/udev/70-node-cxl.rules');
/** The files are those of the user who runs the test; the user who is checked is another. */
const USER = 'joe';
const GROUP = process.getgid?.() ?? 0;

interface Finding {
  check: string;
  status: 'ok' | 'note' | 'problem';
  subject: string;
  message: string;
  advice: string | null;
}

let root: string;
let machines = 0;

function put(name: string, contents: string, mode = 0o644): void {
  const file = path.join(root, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, contents);
  chmodSync(file, mode);
}

function remove(name: string): void {
  rmSync(path.join(root, name), { recursive: true, force: true });
}

/** A POWER machine on which everything is right. */
beforeEach(() => {
  machines += 1;
  root = folder.file(`machine-${machines}`);
  put('/proc/sys/kernel/arch', 'ppc64le\n');
  put('/proc/sys/kernel/osrelease', '6.1.0-1-powerpc64le\n');
  put('/proc/self/mounts', '');
  put('/etc/passwd', `root:x:0:0::/root:/bin/sh\n${USER}:x:54321:54321::/home/${USER}:/bin/sh\n`);
  put('/etc/group', `root:x:0:\ncxl:x:${GROUP}:${USER}\n`);
  put('/etc/udev/rules.d/70-node-cxl.rules', readFileSync(RULE, 'utf8'));
  put('/sys/class/cxl/card0/image_loaded', 'user\n');
  put('/sys/class/cxl/afu0.0/mode', 'afu_directed\n');
  put('/sys/class/cxl/afu0.0/modes_supported', 'afu_directed\n');
  for (const node of ['afu0.0m', 'afu0.0s']) put(`/sys/class/cxl/${node}/mmio_size`, '65536\n');
  put('/dev/cxl/afu0.0m', '', 0o600);
  put('/dev/cxl/afu0.0s', '', 0o660);
  lun('0:0:0:0', 'sdb', 'sg1');
  mkdirSync(path.join(root, '/sys/bus/pci/devices'), { recursive: true });
});

function lun(address: string, block: string, generic: string): void {
  const device = `/sys/class/scsi_device/${address}/device`;
  put('/sys/class/scsi_host/host0/proc_name', 'cxlflash\n');
  put(`${device}/block/${block}/size`, '0\n');
  put(`${device}/scsi_generic/${generic}/dev`, '21:1\n');
  put(`${device}/wwid`, `naa.6${'0'.repeat(31)}\n`);
  put(`${device}/mode`, 'legacy\n');
}

/** A PCI function with a DOE mailbox at 0x150. */
function pciFunction(address: string, group?: string, type?: string): void {
  const config = Buffer.alloc(4096);
  config.writeUInt32LE(0x0d938086, 0);
  config.writeUInt32LE(0x0003 | (1 << 16) | (0x150 << 20), 0x100); // Serial number, then:
  config.writeUInt32LE(0x002e | (1 << 16), 0x150); // DOE.
  const device = `/sys/bus/pci/devices/${address}`;
  put(`${device}/vendor`, '0x8086\n');
  writeFileSync(path.join(root, device, 'config'), config);
  if (group === undefined) return;
  put(`/sys/kernel/iommu_groups/${group}/type`, `${type}\n`);
  put(`/sys/kernel/iommu_groups/${group}/devices/${address}/uevent`, '');
  symlinkSync(`/sys/kernel/iommu_groups/${group}`, path.join(root, device, 'iommu_group'));
}

const words = (user: string) => ['doctor', '--root', root, '--user', user, '--json'];

async function examine(user = USER) {
  const { exitCode, stdout, error } = await runHere(words(user));
  const { findings, problems } = JSON.parse(stdout) as { findings: Finding[]; problems: number };
  expect(problems).toBe(findings.filter(({ status }) => status === 'problem').length);
  expect(error === undefined).toBe(problems === 0);
  return { exitCode, stdout, findings };
}

/** What is not ok: its check, status and subject, with message and advice. */
async function complaints(user?: string): Promise<[number, ...string[]]> {
  const { exitCode, findings } = await examine(user);
  const wrong = findings.filter(({ status }) => status !== 'ok');
  return [
    exitCode,
    ...wrong.map(({ check, status, subject, message, advice }) => {
      return `${status} ${check} ${subject}: ${message} → ${advice}`;
    }),
  ];
}

const match = (text: RegExp) => expect.stringMatching(text);

describe('doctor', { timeout: TIMEOUT }, () => {
  it('finds nothing wrong with a machine that has all, and shows each thing', async () => {
    pciFunction('0000:0d:00.0', '12', 'DMA');
    const { exitCode, findings, stdout } = await examine();
    expect(exitCode).toBe(0);
    expect(await run(words(USER))).toEqual({ code: 0, signal: null, stdout, stderr: '' });
    expect(findings.map(({ check, status, subject }) => `${status} ${check} ${subject}`)).toEqual([
      'ok driver cxl',
      'ok cards card0',
      'ok cards afu0.0',
      'ok nodes /dev/cxl/afu0.0m',
      'ok nodes /dev/cxl/afu0.0s',
      'ok permissions /dev/cxl/afu0.0s',
      'ok group cxl',
      'ok udev rule /etc/udev/rules.d/70-node-cxl.rules',
      'ok superpipe /dev/sg1',
      'ok IOMMU 0000:0d:00.0',
    ]);
    expect(findings.at(-1)?.message).toBe('IOMMU group 12, DMA, alone');
  });

  it('driver: not loaded, not in this kernel, not in its configuration, not on this machine', async () => {
    remove('/sys/class/cxl');
    expect(await complaints()).toEqual([
      3,
      match(/^problem driver cxl: .*built without it → .*CONFIG_CXL/),
    ]);
    put('/lib/modules/6.1.0-1-powerpc64le/modules.dep', 'kernel/drivers/misc/cxl/cxl.ko:\n');
    expect(await complaints()).toEqual([
      3,
      match(/^problem driver cxl: .*not loaded → modprobe cxl$/),
    ]);
    for (const release of ['6.15.2', '7.0.0', '3.17.1', '2.6.32']) {
      put('/proc/sys/kernel/osrelease', release);
      expect(await complaints()).toEqual([
        3,
        match(/^problem driver.*has no cxl driver → use Linux 3\.18 to 6\.14/),
      ]);
    }
    for (const release of ['6.14.9', '3.18.0', '4.20.1']) {
      put('/proc/sys/kernel/osrelease', release);
      expect(await complaints()).toEqual([3, match(/built without it/)]);
    }
    put('/proc/sys/kernel/arch', 'x86_64');
    expect(await complaints()).toEqual([0, match(/^note driver.*this is x86_64 → .*--mock/)]);
  });

  it('cards: none, one with its factory image, an AFU without a mode', async () => {
    put('/sys/class/cxl/card0/image_loaded', 'factory\n');
    put('/sys/class/cxl/afu0.0/mode', 'none\n');
    for (const node of ['afu0.0m', 'afu0.0s']) remove(`/sys/class/cxl/${node}`);
    expect(await complaints()).toEqual([
      3,
      match(/^note cards card0: .*factory.*→ node-cxl set card0 load_image_on_perst=user/),
      match(/^problem cards afu0\.0: has no mode.*→ node-cxl set afu0\.0 mode=afu_directed$/),
    ]);
    for (const name of ['card0', 'afu0.0']) remove(`/sys/class/cxl/${name}`);
    expect(await complaints()).toEqual([3, match(/^problem cards .*no card → .*dmesg/)]);
  });

  it('nodes: one that udev has not made', async () => {
    remove('/dev/cxl/afu0.0s');
    expect(await complaints()).toEqual([
      3,
      match(/^problem nodes \/dev\/cxl\/afu0\.0s: .*missing → udevadm trigger/),
    ]);
  });

  it('permissions: no rule, no group, not in the group, a rule that has not been applied', async () => {
    put('/dev/cxl/afu0.0s', '', 0o600);
    expect(await complaints()).toEqual([
      4,
      match(
        /^problem permissions \/dev\/cxl\/afu0\.0s: joe may not open it.*mode 0600\) → udevadm trigger/,
      ),
    ]);
    put('/etc/group', `root:x:0:\ncxl:x:${GROUP + 1}:\n`);
    expect(await complaints()).toEqual([
      4,
      match(/^problem permissions .*→ usermod -aG cxl joe/),
      match(/^problem group cxl: joe is not in it → usermod -aG cxl joe, then log in again/),
    ]);
    put('/etc/group', 'root:x:0:\n');
    remove('/etc/udev/rules.d/70-node-cxl.rules');
    expect(await complaints()).toEqual([
      4,
      match(/^problem permissions .*→ install the udev rule/),
      match(/^problem group cxl: there is no such group → groupadd --system cxl/),
      match(
        /^problem udev rule .*not installed.*→ cp \/.*lib\/udev\/70-node-cxl\.rules .*udevadm control --reload/,
      ),
    ]);
    // Root needs neither.
    expect(await complaints('root')).toEqual([0, match(/^note group/), match(/^note udev rule/)]);
  });

  it('permissions: by owner, group and others, as the kernel decides', async () => {
    put('/etc/group', 'root:x:0:\n');
    for (const [mode, code] of [
      [0o666, 0],
      [0o664, 4],
      [0o606, 0],
      [0o660, 4],
    ] as const) {
      put('/dev/cxl/afu0.0s', '', mode);
      expect([mode, (await examine()).exitCode]).toEqual([mode, code]);
    }
    // The group's permissions decide for its members, also where others have more.
    put('/etc/group', `cxl:x:${GROUP}:${USER}\n`);
    put('/dev/cxl/afu0.0s', '', 0o606);
    expect((await examine()).exitCode).toBe(4);
  });

  it('udev rule: another version of it, in any of its folders', async () => {
    remove('/etc/udev/rules.d/70-node-cxl.rules');
    put('/usr/lib/udev/rules.d/70-node-cxl.rules', '# older\n');
    expect(await complaints()).toEqual([0, match(/^note udev rule \/usr\/lib.*differs.*→ cp /)]);
  });

  it('superpipe: mounted, without sg node, without WWID, already enabled, no adapter', async () => {
    const device = '/sys/class/scsi_device/0:0:0:0/device';
    put('/proc/self/mounts', '/dev/sdb1 /srv xfs rw 0 0\n');
    expect(await complaints()).toEqual([
      0,
      match(/^note superpipe \/dev\/sg1: is mounted on \/srv → unmount/),
    ]);
    put(`${device}/wwid`, 't10.something\n');
    expect(await complaints()).toEqual([0, match(/^note superpipe .*NAA 6.*→ pass it/)]);
    remove(`${device}/scsi_generic`);
    expect(await complaints()).toEqual([
      3,
      match(/^problem superpipe \/dev\/sdb: .*→ modprobe sg/),
    ]);
    remove('/sys/class/scsi_device');
    expect(await complaints()).toEqual([
      0,
      match(/^note superpipe cxlflash: no LUN.*→ .*modprobe cxlflash/),
    ]);
    lun('0:0:0:0', 'sdb', 'sg1');
    put(`${device}/mode`, 'superpipe\n');
    put('/proc/self/mounts', '');
    const { findings } = await examine();
    const about = findings.find(({ check }) => check === 'superpipe');
    expect(about?.message).toMatch(/is in superpipe mode/);
  });

  it('IOMMU: none, one that lets everything through, a group with others, a bound driver', async () => {
    pciFunction('0000:0d:00.0');
    pciFunction('0000:0e:00.0', '3', 'identity');
    pciFunction('0000:0f:00.0', '4', 'DMA');
    put('/sys/kernel/iommu_groups/4/devices/0000:0f:00.1/uevent', '');
    symlinkSync(
      '/sys/bus/pci/drivers/cxl_pci',
      path.join(root, '/sys/bus/pci/devices/0000:0f:00.0/driver'),
    );
    expect(await complaints()).toEqual([
      0,
      match(/^note IOMMU 0000:0d:00\.0: has no IOMMU group.*→ .*intel_iommu=on/),
      match(/^note IOMMU 0000:0e:00\.0: IOMMU group 3, identity: .*→ remove iommu=pt/),
      match(/^note IOMMU 0000:0f:00\.0: driver cxl_pci is bound.*→ .*--force/),
    ]);
    const { findings } = await examine();
    expect(findings.at(-1)?.message).toBe('IOMMU group 4, DMA, with 0000:0f:00.1');
  });

  it('prints text with the advice below, and counts the problems', async () => {
    put('/dev/cxl/afu0.0s', '', 0o600);
    remove('/dev/cxl/afu0.0m');
    const { code, stdout, stderr } = await run(['doctor', '--root', root, '--user', USER]);
    expect([code, stderr]).toEqual([3, 'node-cxl: 2 problems\n']);
    expect(stdout).toMatch(
      /^problem {2}nodes {8}\/dev\/cxl\/afu0\.0m: the node is missing\n {22}→ udevadm/m,
    );
    const nobody = await run(['doctor', '--root', root, '--user', 'nobody-of-this-name']);
    expect(nobody.code).toBe(2);
  });

  it('needs nothing for mock devices', async () => {
    const { code, stdout } = await run(['doctor', '--mock']);
    expect([code, stdout.includes('problem')]).toEqual([0, false]);
    expect(stdout).toMatch(/superpipe {4}\/dev\/sg1: is in legacy mode/);
  });
});
