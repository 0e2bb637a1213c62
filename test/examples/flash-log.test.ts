import { openLun } from 'node-cxl/flash';
import { createMockCxl } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { FlashLog } from './flash-log';

const text = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString();

describe('a log on a virtual LUN', () => {
  it('returns the records appended, now and after it is opened again', async () => {
    const system = createMockCxl({ cards: [], flash: [{}] });
    const lun = await openLun('/dev/sg1', { system });
    await lun.enableSuperpipe();
    const context = await lun.attach();
    try {
      const volume = await context.openVirtual({ blocks: 1024 });
      const device = volume.blockDevice();
      const log = await FlashLog.open(device, 0xcafe);
      expect(log.length).toBe(0);
      const records = ['one', 'two'.repeat(5000), '', 'four'];
      const numbers = await Promise.all(records.map((one) => log.append(Buffer.from(one))));
      expect(numbers).toEqual([0, 1, 2, 3]);

      const again = await FlashLog.open(device, 0xcafe);
      expect(again.length).toBe(4);
      for (const [number, record] of records.entries()) {
        expect(text(await again.read(number))).toBe(record);
      }
      expect(await again.append(Buffer.from('five'))).toBe(4);
      expect(text(await (await FlashLog.open(device, 0xcafe)).read(4))).toBe('five');
      expect(await again.read(5)).toBe(undefined);
      expect((await FlashLog.open(device, 0xbeef)).length).toBe(0);
    } finally {
      await context.close();
      await lun.close();
    }
  });
});
