import { setImmediate as turn } from 'node:timers/promises';
import { type BlockDevice, type FlashContext, flashFlags, type Lun } from 'node-cxl/flash';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { CHUNK, codeOf, inject, LUN_BLOCKS, testTarget } from './flash-target';

const SIZE = 4096;
/** The LUN of 512 chunks. */
const LARGE = 4;
const CHUNKS = Number(LUN_BLOCKS[LARGE] / CHUNK);
/** Chunks of a word of the driver's bit map. */
const WORD = 64;

function block(mark: number): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  new DataView(bytes.buffer).setUint32(0, mark);
  return bytes;
}

async function markAt(device: BlockDevice, lba: bigint): Promise<number> {
  const bytes = Buffer.from(await device.read(lba, 1));
  return bytes.readUInt32BE(0);
}

describe('the chunks of virtual LUNs', () => {
  const target = testTarget();
  let lun: Lun;
  let context: FlashContext;

  beforeEach(async () => {
    lun = await target.lun(LARGE);
    context = await target.attach(lun, { queueDepth: 128 });
  });

  /** Writes the blocks of a direct LUN, each with its mark. */
  async function mark(marks: ReadonlyMap<bigint, number>): Promise<void> {
    const direct = await context.openDirect();
    const device = direct.blockDevice();
    await Promise.all([...marks].map(([lba, value]) => device.write(lba, block(value))));
    await direct.release();
  }

  async function marksAt(places: readonly bigint[]): Promise<number[]> {
    const direct = await context.openDirect();
    const device = direct.blockDevice();
    const marks = await Promise.all(places.map((lba) => markAt(device, lba)));
    await direct.release();
    return marks;
  }

  async function open(chunks: number) {
    const resource = await context.openVirtual({ blocks: BigInt(chunks) * CHUNK });
    expect(resource.blocks).toBe(BigInt(chunks) * CHUNK);
    return resource;
  }

  it('a chunk that was freed comes back, with its old data', async () => {
    // Keeps the LUN virtual, so that the driver keeps its bit map.
    await open(1);
    const first = await open(1);
    await first.blockDevice().write(9, block(77));
    await first.release();
    const second = await open(1);
    expect(await markAt(second.blockDevice(), 9n)).toBe(77);
    // In another context as well.
    await second.release();
    const other = await target.attach(lun);
    const third = await other.openVirtual({ blocks: CHUNK });
    expect(await markAt(third.blockDevice(), 9n)).toBe(77);
  });

  it('are allocated from the current word of the bit map on, the lowest first', async () => {
    await mark(new Map(Array.from({ length: CHUNKS }, (_, i) => [BigInt(i) * CHUNK, i])));
    const numberOf = async (chunks: number) => {
      const resource = await open(chunks);
      return { resource, first: await markAt(resource.blockDevice(), 0n) };
    };
    const word = await numberOf(WORD);
    const next = await numberOf(1);
    expect([word.first, next.first]).toEqual([0, WORD]);
    await word.resource.release();
    const after = await numberOf(1);
    expect(after.first).toBe(WORD + 1);
    await next.resource.release();
    expect((await numberOf(1)).first).toBe(WORD);
    expect((await numberOf(CHUNKS - WORD - 2)).first).toBe(WORD + 2);
    expect((await numberOf(1)).first).toBe(0);
    const rest = await context.openVirtual({ blocks: LUN_BLOCKS[LARGE] });
    expect(rest.blocks).toBe(BigInt(WORD - 1) * CHUNK);
    expect(await codeOf(context.openVirtual({ blocks: 1 }))).toBe('ENOSPC');
  });

  it('that are about to be freed do not come back with a VERIFY meanwhile', async () => {
    const resource = await open(2);
    const device = resource.blockDevice();
    inject(context, 'hold', 1);
    const write = device.write(CHUNK, block(1));
    const resized = resource.resize(CHUNK);
    await turn();
    // The resize waits for the command; the driver still says two chunks.
    expect(await resource.verify()).toBe(false);
    expect(resource.blocks).toBe(CHUNK);
    inject(context, 'hold', 0);
    await Promise.all([write, resized]);
    expect(await resource.verify()).toBe(false);
    // An answer of before that comes after the resize.
    const call = lun.call.bind(lun);
    await resource.resize(2n * CHUNK);
    vi.spyOn(lun, 'call').mockImplementationOnce(async (...request) => {
      const answer = await call(...request);
      await resource.resize(CHUNK);
      return answer;
    });
    expect(await resource.verify()).toBe(false);
    expect(resource.blocks).toBe(CHUNK);
  });

  it('128 virtual LUNs can be open at once, each with its own data', async () => {
    const resources = [];
    for (let i = 0; i < 128; i += 1) resources.push(await open(2));
    const devices = resources.map((resource) => resource.blockDevice());
    await Promise.all(
      devices.flatMap((device, i) => [
        device.write(0, block(i)),
        device.write(2n * CHUNK - 1n, block(1000 + i)),
      ]),
    );
    const found = await Promise.all(
      devices.map(async (device) => [
        await markAt(device, 0n),
        await markAt(device, 2n * CHUNK - 1n),
      ]),
    );
    expect(found).toEqual(devices.map((_, i) => [i, 1000 + i]));
  });

  /** Opens a virtual LUN that the driver is to scrub. */
  async function openScrubbed(chunks: bigint): Promise<bigint> {
    const answer = await lun.call('USER_VIRTUAL', {
      contextId: context.id,
      lunSize: chunks * CHUNK,
      flags: flashFlags.needWriteSame,
    });
    return answer.rsrcHandle;
  }

  // shrink_lxt() in vlun.c: write_same16() gets the chunk's number for a block address.
  it('NEED_WRITE_SAME zeroes from the block on that has the number of the freed chunk', async () => {
    const lost = [0n, 1n, 2n, CHUNK - 1n, CHUNK, CHUNK + 1n];
    const kept = [CHUNK + 2n, 2n * CHUNK - 1n, 2n * CHUNK, 2n * CHUNK + 2n, 3n * CHUNK - 1n];
    await mark(new Map([...lost, ...kept].map((lba, i) => [lba, i + 1])));
    const rsrcHandle = await openScrubbed(3n);
    await lun.call('RELEASE', { contextId: context.id, rsrcHandle });
    expect(await marksAt(lost)).toEqual(lost.map(() => 0));
    expect(await marksAt(kept)).toEqual(kept.map((_, i) => lost.length + i + 1));
  });

  it('NEED_WRITE_SAME zeroes blocks of another virtual LUN', async () => {
    const other = await open(1);
    await other.blockDevice().write(5, block(55));
    await other.blockDevice().write(0, block(50));
    const rsrcHandle = await openScrubbed(1n);
    const reqSize = 0n;
    await lun.call('VLUN_RESIZE', { contextId: context.id, rsrcHandle, reqSize });
    expect(await markAt(other.blockDevice(), 0n)).toBe(50);
    expect(await markAt(other.blockDevice(), 5n)).toBe(0);
  });
});
