import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { nodeCxl, type Outcome } from '../../program';
import { devices } from './devices';

function doe(args: string[], input?: Buffer): Promise<Outcome> {
  return nodeCxl(['doe', ...args], input);
}

describe('node-cxl doe on a device', () => {
  it('list: every mailbox and who uses it', async () => {
    const { code, stdout } = await doe(['list', '--json']);
    expect(code).toBe(0);
    const found = JSON.parse(stdout).functions as {
      address: string;
      mailboxes: { offset: string }[];
    }[];
    expect(found.map((each) => each.address)).toEqual(Object.values(devices));
    expect(found[0]).toMatchObject({
      owner: { driver: 'cxl_pci' },
      mailboxes: [{ offset: '0x190' }],
    });
    const table = await doe(['list']);
    expect(table.stdout).toContain('driver cxl_pci, kernel reads CDAT');
  });

  it('refuses what the bound driver uses, and nothing else; told whose it is when forced', async () => {
    const refused = await doe(['cdat', devices.default]);
    expect(refused.code).toBe(5);
    expect(refused.stderr).toContain('cxl_pci');
    // The kernel discovers protocols only as it finds the device.
    expect((await doe(['discover', devices.default])).code).toBe(0);
    const { code, stdout, stderr } = await doe(['discover', '0d:00.0', '--force', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stderr).note.message).toContain('shared with: driver cxl_pci');
    expect(JSON.parse(stdout).mailboxes[0].protocols).toHaveLength(2);
  });

  it('cdat: decoded, and written as it is', async () => {
    const args = ['cdat', devices.whole, '--force', '--out', '/tmp/table'];
    const { code, stdout } = await doe(args);
    expect(code).toBe(0);
    expect(stdout).toContain('non-volatile, 128 MiB at 0x8000000');
    expect(readFileSync('/tmp/table').equals(readFileSync('/tables/whole'))).toBe(true);
  });

  it('cdat: a wrong checksum is a failure, unless it is wanted', async () => {
    const refused = await doe(['cdat', devices.badChecksum, '--force']);
    expect([refused.code, refused.stdout]).toEqual([1, '']);
    expect(refused.stderr.trim().split('\n').at(-1)).toContain('checksum');
    const taken = await doe(['cdat', devices.badChecksum, '--force', '--no-verify']);
    expect(taken.code).toBe(0);
    expect(taken.stdout).toContain('checksum WRONG');
  });

  it('compliance: the device has none', async () => {
    const { code, stderr } = await doe(['compliance', devices.default, 'caps', '--force']);
    expect(code).toBe(1);
    expect(stderr).toContain('EOPNOTSUPP');
  });

  it('raw: an answer, silence, and a payload that is no whole number of dwords', async () => {
    const where = [devices.default, '0001', '00', '-', '--force'];
    const answered = await doe(['raw', ...where, '--json'], Buffer.from([1, 0, 0, 0]));
    expect(answered.code).toBe(0);
    expect(JSON.parse(answered.stdout)).toEqual({ bytes: 4, data: '981e0200' });
    const odd = await doe(['raw', ...where], Buffer.from([1, 0, 0]));
    expect(odd.code).toBe(2);
    const silent = await doe(
      ['raw', devices.default, '1e98', '77', '-', '--force', '--timeout', '100ms'],
      Buffer.alloc(4),
    );
    expect(silent.code).toBe(1);
    expect(silent.stderr).toContain('ETIMEDOUT');
  });
});
