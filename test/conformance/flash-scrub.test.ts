// Blocks are zeroed before they are freed, from user space: what the driver's flag does is wrong.
import type { FlashContext, Lun, Resource } from 'node-cxl/flash';
import { beforeEach, describe, expect, it } from 'vitest';
import { CHUNK, codeOf, inject, testTarget } from './flash-target';

const block = (value: number) => new Uint8Array(4096).fill(value);
const MEDIUM_ERROR = 0x8000_0200_0000_0000n;
const SENSE = 0x0003_1100;

describe('a virtual LUN with scrub', () => {
  const target = testTarget();
  let lun: Lun;
  let context: FlashContext;
  let resource: Resource;

  beforeEach(async () => {
    lun = await target.lun();
    context = await target.attach(lun, { queueDepth: 64, bounceBytes: 1 << 20 });
    resource = await context.openVirtual({ blocks: 2n * CHUNK, scrub: true });
    const device = resource.blockDevice();
    for (const lba of [0n, CHUNK - 1n, CHUNK, 2n * CHUNK - 1n]) await device.write(lba, block(7));
  });

  /** The first bytes of the blocks that were written, as the next owner of the chunks reads them. */
  async function left(): Promise<number[]> {
    const other = await target.attach(lun);
    const next = await other.openVirtual({ blocks: 2n * CHUNK });
    const device = next.blockDevice();
    const found: number[] = [];
    for (const lba of [0n, CHUNK - 1n, CHUNK, 2n * CHUNK - 1n]) {
      found.push((await device.read(lba, 1))[0] as number);
    }
    await next.release();
    await other.close();
    return found;
  }

  it('leaves nothing of what a shrink or a release frees', async () => {
    await resource.resize(CHUNK);
    const device = resource.blockDevice();
    expect(await device.read(0, 1)).toEqual(block(7));
    expect(await device.read(CHUNK - 1n, 1)).toEqual(block(7));
    await resource.resize(2n * CHUNK);
    expect(await device.read(CHUNK, 1)).toEqual(block(0));
    expect(await device.read(2n * CHUNK - 1n, 1)).toEqual(block(0));
    await resource.release();
    expect(await left()).toEqual([0, 0, 0, 0]);
  }, 60_000);

  it('leaves nothing of what close() frees', async () => {
    await context.close();
    expect(await left()).toEqual([0, 0, 0, 0]);
  }, 60_000);

  it('frees nothing when a block cannot be zeroed, and can be released later', async () => {
    inject(context, 'status', SENSE, MEDIUM_ERROR);
    expect(await codeOf(resource.release())).toBe('EIO');
    inject(context, 'status', SENSE, MEDIUM_ERROR);
    expect(await codeOf(resource.resize(CHUNK))).toBe('EIO');
    expect(resource.blocks).toBe(2n * CHUNK);
    const device = resource.blockDevice();
    await device.write(5, block(5));
    expect(await device.read(5, 1)).toEqual(block(5));
    await resource.release();
    expect(await left()).toEqual([0, 0, 0, 0]);
  }, 60_000);

  it('goes on after a reset of the adapter in the middle', async () => {
    const releasing = resource.release();
    setTimeout(() => inject(context, 'errorState', 5), 5);
    await releasing;
    await context.close();
    expect(await left()).toEqual([0, 0, 0, 0]);
  }, 60_000);

  it('is not cloned, and the driver’s flag is refused with the reason', async () => {
    expect(() => context.cloneToken()).toThrow(/scrub/);
    const refused = context.openVirtual({ writeSame: true });
    expect(await codeOf(refused)).toBe('ERR_INVALID_ARG_VALUE');
    await expect(refused).rejects.toThrow(/shrink_lxt.*scrub: true/);
    const insisted = await context.openVirtual({ writeSame: true, acceptWriteSameDefect: true });
    await insisted.release();
    expect(await codeOf(context.openVirtual({ scrub: 1 } as object))).toBe('ERR_INVALID_ARG_TYPE');
    expect(await codeOf(context.openVirtual({ scrubb: true } as object))).toMatch(/^ERR_/);
  });
});
