import { readFileSync } from 'node:fs';
import { type CdatOptions, type DoeMailbox, doe, readCdat } from 'node-cxl/doe';
import { describe, expect, it } from 'vitest';
import { devices, force } from './devices';

async function mailboxOf(address: string): Promise<DoeMailbox> {
  const found = await doe.mailboxes(address);
  expect(found).toHaveLength(1);
  return found[0]!;
}

/** The table as the kernel read it over the same mailbox. */
function kernelTable(mailbox: DoeMailbox): Buffer {
  const [file, ...more] = mailbox.owner.kernelTables;
  expect(more).toEqual([]);
  return readFileSync(file!);
}

async function compare(address: string, options: CdatOptions) {
  const mailbox = await mailboxOf(address);
  const table = await readCdat(mailbox, { force, ...options });
  expect(table.bytes.toString('hex')).toBe(kernelTable(mailbox).toString('hex'));
  return table;
}

describe('every device', () => {
  it('has one mailbox, found by its function and among all', async () => {
    const all = await doe.mailboxes();
    expect(all.map(({ name }) => name)).toEqual(
      Object.values(devices).map((address) => `${address}+190`),
    );
    for (const { owner } of all) {
      expect(owner.driver).toBe('cxl_pci');
      expect(owner.kernelTables).toHaveLength(1);
    }
    expect(new Set(all.map(({ owner }) => owner.kernelTables[0])).size).toBe(all.length);
  });

  it('offers discovery and table access, and says so of a second asking too', async () => {
    for (const address of Object.values(devices)) {
      const mailbox = await mailboxOf(address);
      for (let round = 0; round < 2; round += 1) {
        const offered = await mailbox.discover({ force });
        expect(offered.map(({ vendorId, type }) => [vendorId, type])).toEqual([
          [0x0001, 0],
          [0x1e98, 2],
        ]);
      }
    }
  });
});

describe('the CDAT as we read it and as the kernel did', () => {
  it("QEMU's own table: the same bytes, 160 of them", async () => {
    const { bytes, structures, checksumValid } = await compare(devices.default, {});
    expect([bytes.length, checksumValid]).toEqual([160, true]);
    expect(structures.map(({ kind }) => kind)).toEqual([
      'DSMAS',
      ...Array.from({ length: 4 }, () => 'DSLBIS'),
      'DSEMTS',
    ]);
  });

  it('a table of our own with every kind of structure: the same bytes, those of the file', async () => {
    const { bytes, structures, header } = await compare(devices.whole, {});
    expect(bytes.equals(readFileSync('/tables/whole'))).toBe(true);
    expect(header.sequence).toBe(7);
    const kinds = new Set(structures.map(({ kind }) => kind));
    expect([...kinds].sort()).toEqual(['DSEMTS', 'DSIS', 'DSLBIS', 'DSMAS', 'DSMSCIS', 'SSLBIS']);
  });

  it('a wrong checksum: refused, and the same bytes when it is wanted all the same', async () => {
    const mailbox = await mailboxOf(devices.badChecksum);
    await expect(readCdat(mailbox, { force })).rejects.toMatchObject({ code: 'EBADMSG' });
    const { checksumValid } = await compare(devices.badChecksum, { verify: false });
    expect(checksumValid).toBe(false);
  });

  it('a table shorter than its header says: read, cut and told, the mailbox idle', async () => {
    const mailbox = await mailboxOf(devices.cutShort);
    const { bytes, cut } = await readCdat(mailbox, { force });
    expect(cut).toMatchObject({ code: 'EBADMSG', path: mailbox.name });
    expect(bytes.subarray(4)).toEqual(readFileSync('/tables/cut-short').subarray(4));
    expect(mailbox.phase).toBe('idle');
    expect(await mailbox.discover({ force })).toHaveLength(2);
  });

  it('two devices are read at once', async () => {
    const mailboxes = await Promise.all([devices.default, devices.whole].map(mailboxOf));
    const tables = await Promise.all(mailboxes.map((mailbox) => readCdat(mailbox, { force })));
    tables.forEach(({ bytes }, index) => {
      expect(bytes.equals(kernelTable(mailboxes[index]!))).toBe(true);
    });
  });
});
