import type { FlashContext, Lun } from 'node-cxl/flash';
import { beforeEach, describe, expect, it } from 'vitest';
import { CHUNK, COMMAND_MODES, codeOf, inject, LUN_BLOCKS, testTarget } from './flash-target';

const SIZE = 512;
/** Blocks of 512 bytes are an eighth of the driver's unit for sizes of virtual LUNs. */
const UNITS = CHUNK / 8n;

function pattern(seed: number, blocks = 1): Uint8Array {
  return Uint8Array.from({ length: blocks * SIZE }, (_, i) => (seed + (i >> 9)) & 0xff);
}

for (const mode of COMMAND_MODES) {
  describe(`a LUN with blocks of 512 bytes, ${mode} mode`, () => {
    const target = testTarget(mode);
    let lun: Lun;
    let context: FlashContext;

    beforeEach(async () => {
      lun = await target.lun(3);
      context = await target.attach(lun);
    });

    it('reports block size and longest transfer at ATTACH', async () => {
      const blocks = LUN_BLOCKS[3];
      expect(context.geometry()).toEqual({ blockSize: SIZE, blocks, maxTransfer: 32768 });
    });

    it('is read and written in blocks, up to the last one', async () => {
      const device = (await context.openDirect()).blockDevice();
      expect([device.blocks, device.blockSize]).toEqual([LUN_BLOCKS[3], SIZE]);
      const data = pattern(1, 300);
      await device.write(3, data);
      expect(Buffer.from(await device.read(3, 300)).equals(data)).toBe(true);
      expect((await device.read(5, 1))[SIZE - 1]).toBe(3);
      const last = device.blocks - 1n;
      await device.write(last, pattern(9));
      expect(Buffer.from(await device.read(last, 1)).equals(pattern(9))).toBe(true);
      expect(await codeOf(device.read(last, 2))).toBe('ERR_OUT_OF_RANGE');
      expect(await codeOf(device.write(0, new Uint8Array(256)))).toBe('ERR_INVALID_ARG_VALUE');
      await device.unmap(4, 1);
      const both = await device.read(3, 3);
      expect([both[0], both[SIZE], both[2 * SIZE]]).toEqual([1, 0, 3]);
    });

    it('has sizes of virtual LUNs in units of 4 KiB for the driver, in blocks for the program', async () => {
      const call = await lun.call('USER_VIRTUAL', { contextId: context.id, lunSize: 1n });
      expect(call.lastLba).toBe(UNITS - 1n);
      const resource = await context.openVirtual({ blocks: CHUNK + 1n });
      expect(resource.blocks).toBe(2n * CHUNK);
      const rsrcHandle = BigInt(resource.handle);
      const verified = await lun.call('VERIFY', { contextId: context.id, rsrcHandle });
      expect(verified.lastLba).toBe(2n * UNITS - 1n);
      expect(await resource.resize(9n * CHUNK)).toMatchObject({
        blocks: 3n * CHUNK,
        truncated: true,
      });
      const device = resource.blockDevice();
      await device.write(CHUNK - 1n, pattern(7, 2));
      expect((await device.read(CHUNK, 1))[0]).toBe(8);
      expect((await resource.resize(CHUNK)).blocks).toBe(CHUNK);
      expect(await codeOf(device.read(CHUNK, 1))).toBe('ERR_OUT_OF_RANGE');
      // Shrunk without the library: the AFU's own check also counts the LUN's blocks.
      await lun.call('VLUN_RESIZE', { contextId: context.id, rsrcHandle, reqSize: 0n });
      expect(await codeOf(device.read(0, 1))).toBe('EINVAL');
    });

    it('is usable after a recovery', async () => {
      const device = (await context.openVirtual({ blocks: 1 })).blockDevice();
      await device.write(11, pattern(4));
      inject(context, 'errorState', 5);
      await context.recover();
      expect(Buffer.from(await device.read(11, 1)).equals(pattern(4))).toBe(true);
    });
  });
}
