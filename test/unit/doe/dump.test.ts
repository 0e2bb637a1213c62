import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Doe, DumpPci, doeFromDump, formatLspciDump, parseLspciDump } from 'node-cxl/doe';
import { describe, expect, it } from 'vitest';
import { ERRNOS } from '../../../dist/shared/errno';

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

  it('is a file, by its name', () => {
    expect(() => doeFromDump(7 as never)).toThrow(
      expect.objectContaining({
        code: 'ERR_INVALID_ARG_TYPE',
        message: expect.stringMatching(/^file must be a string;/),
      }),
    );
    expect(() => doeFromDump(fixture('none.lspci'))).toThrow(
      expect.objectContaining({ code: 'ENOENT' }),
    );
  });

  it('is written in the same form', () => {
    const text = readFileSync(fixture('qemu-type3.lspci'), 'latin1');
    const again = [...parseLspciDump(text)].map(([at, bytes]) => formatLspciDump(at, bytes));
    expect(parseLspciDump(again.join('\n'))).toEqual(parseLspciDump(text));
    expect(new DumpPci(again.join('')).path('x')).toBe('dump:x');
    expect(new Doe(new DumpPci(again.join(''))).bus.kind).toBe('dump');
  });

  it('is a function of 64, 256 or 4096 bytes, in lines of up to 16', () => {
    for (const size of [64, 256, 4096]) {
      const bytes = Buffer.from(Array.from({ length: size }, (_, at) => (at * 7) & 0xff));
      const text = formatLspciDump('AB:1f.7', bytes, 'title');
      const lines = text.split('\n');
      expect(lines).toHaveLength(1 + size / 16 + 1);
      expect(lines[0]).toBe('0000:ab:1f.7 title');
      expect(lines[2]).toMatch(/^10: 70 77 7e 85 /);
      expect(lines.at(-2)).toMatch(new RegExp(`^${(size - 16).toString(16)}: `));
      // Windows ends its lines otherwise; lspci -v prints more between them.
      for (const other of [
        text,
        text.replaceAll('\n', ' \r\n'),
        text.replace('\n', '\n\tLatency 10: 00 01\n'),
      ]) {
        expect([...parseLspciDump(other)]).toEqual([['0000:ab:1f.7', bytes]]);
      }
    }
    const upper = `10000:AB:1F.7 x\n${['00', '10', '20', '30'].map((at) => `${at}:${' FF'.repeat(16)}`).join('\n')}`;
    expect([...parseLspciDump(upper)]).toEqual([['10000:ab:1f.7', Buffer.alloc(64, 0xff)]]);
    expect(formatLspciDump('01:00.0', Uint8Array.of(1, 0xab, 3).subarray(1))).toBe(
      '0000:01:00.0 \n00: ab 03\n',
    );
  });

  it('is a bus that can be read alone', async () => {
    const config = Buffer.alloc(64, 0x5a);
    const texts = ['02:00.0', '01:00.0'].map((address) => formatLspciDump(address, config));
    const bus = new DumpPci(texts.join('\n'));
    expect(await bus.functions()).toEqual(['0000:01:00.0', '0000:02:00.0']);
    expect(bus.open('0000:03:00.0', 'read')).toBe(-ERRNOS.ENOENT);
    expect(bus.open('0000:01:00.0', 'write')).toBe(-ERRNOS.EROFS);
    const space = bus.open('0000:01:00.0', 'read');
    if (typeof space === 'number') throw new Error('it is not open');
    expect([space.size, space.readDword(60), space.readDword(61)]).toEqual([
      64,
      0x5a5a_5a5a,
      -ERRNOS.ENODATA,
    ]);
    expect([space.writeDword(0, 0), space.lock(0, 4), space.unlock(0, 4)]).toEqual([
      -ERRNOS.EROFS,
      -ERRNOS.EROFS,
      0,
    ]);
    space.close();
    expect(await bus.owner()).toEqual({ kernelFeatures: [], kernelTables: [] });
    expect([await bus.driver(), await bus.unbind(), await bus.bind()]).toEqual([
      undefined,
      -ERRNOS.EROFS,
      -ERRNOS.EROFS,
    ]);
  });

  it('is refused when it is not a dump, incomplete or out of order', () => {
    const refusal = expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' });
    const texts = [
      '',
      'hello',
      '00: 01 02',
      '01:00.0 x\n00: 01 02 03 04',
      '01:00.0 x\n10: 01 02 03 04',
      // A row that is missing, and what is no row.
      formatLspciDump('01:00.0', Buffer.alloc(64)).replace(/^10: .*\n/m, ''),
      formatLspciDump('01:00.0', Buffer.alloc(64)).replace(/^30: .*/m, (row) => `${row} 00`),
      formatLspciDump('01:00.0', Buffer.alloc(80)),
      `x ${formatLspciDump('01:00.0', Buffer.alloc(64))}`,
      // All rows, two of them in the other order.
      formatLspciDump('01:00.0', Buffer.alloc(64)).replace(/^(10: .*\n)(20: .*\n)/m, '$2$1'),
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
