import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Doe, DumpPci, doeFromDump, formatLspciDump, parseLspciDump } from 'node-cxl/doe';
import { describe, expect, it } from 'vitest';

const fixture = (name: string) => path.resolve('test/unit/doe/fixtures', name);

describe('configuration space recorded by lspci -xxxx', () => {
  it('is scanned like a device', async () => {
    const doe = doeFromDump(fixture('qemu-type3.lspci'));
    const found = await doe.mailboxes();
    expect(found.map(({ name, version }) => [name, version])).toEqual([
      ['0000:0d:00.0+190', 1],
      ['0000:0e:00.0+190', 1],
    ]);
    const scans = await doe.scan();
    expect(scans.find((scan) => scan.address === '0000:0d:00.0')).toMatchObject({
      vendorId: 0x8086,
      deviceId: 0x0d93,
    });
  });

  it('refuses exchanges', async () => {
    const [mailbox] = await doeFromDump(fixture('qemu-type3.lspci')).mailboxes();
    await expect(mailbox!.discover()).rejects.toMatchObject({ code: 'EROFS' });
  });

  it('has a problem when lspci could not read it all', async () => {
    const doe = doeFromDump(fixture('not-root.lspci'));
    await expect(doe.mailboxes()).rejects.toMatchObject({ code: 'ENODATA' });
  });

  it('is written in the same form', () => {
    const text = readFileSync(fixture('qemu-type3.lspci'), 'latin1');
    const again = [...parseLspciDump(text)].map(([at, bytes]) => formatLspciDump(at, bytes));
    expect(parseLspciDump(again.join('\n'))).toEqual(parseLspciDump(text));
    expect(new DumpPci(again.join('')).path('x')).toBe('dump:x');
    expect(new Doe(new DumpPci(again.join(''))).bus.kind).toBe('dump');
  });

  it('is refused when it is not a dump, incomplete or out of order', () => {
    const refusal = expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' });
    const texts = [
      '',
      'hello',
      '00: 01 02',
      '01:00.0 x\n00: 01 02 03 04',
      '01:00.0 x\n10: 01 02 03 04',
    ];
    for (const text of texts) {
      let thrown: unknown;
      try {
        parseLspciDump(text);
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toEqual(refusal);
    }
  });
});
