// Node streams over a block device, and devices that are striped over several LUNs.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import {
  type BlockDevice,
  openBlockDevice,
  openStripedDevice,
  StripedBlockDevice,
} from 'node-cxl/flash';
import { describe, expect, it } from 'vitest';
import { codeOf, inject, testTarget } from './flash-target';
import { someBytes } from './support/data';

const SIZE = 4096;
const block = (value: number) => new Uint8Array(SIZE).fill(value);
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('a stream over a block device', () => {
  const target = testTarget();
  const open = async (): Promise<BlockDevice> => {
    const context = await target.attach(await target.lun());
    return (await context.openDirect()).blockDevice();
  };

  it('writes and reads megabytes, in order, whatever the pieces', async () => {
    const device = await open();
    const data = someBytes(3 * 1024 * 1024 + 777);
    const pieces = function* () {
      for (let at = 0, length = 1; at < data.length; at += length, length = (length * 7) % 65537) {
        yield data.subarray(at, at + length);
      }
    };
    const options = { start: 5, transferBytes: 65536, depth: 8 };
    await pipeline(
      Readable.from(pieces(), { objectMode: false }),
      device.createWriteStream(options),
    );
    const length = data.length;
    expect(sha(await buffer(device.createReadStream({ ...options, length })))).toBe(sha(data));
    expect(device.statistics.maxActiveWrites).toBeLessThanOrEqual(8);
    expect(device.statistics.maxActiveReads).toBeLessThanOrEqual(8);
    expect(device.statistics.maxActiveReads).toBeGreaterThan(1);
  });

  it('keeps the rest of the last block, or fills it with zeros', async () => {
    const device = await open();
    for (const [lastBlock, rest] of [
      ['keep', 9],
      ['zero', 0],
    ] as const) {
      await device.write(0, block(9));
      await device.write(1, block(9));
      const stream = device.createWriteStream({ lastBlock });
      stream.end(Buffer.alloc(SIZE + 3, 5));
      await once(stream, 'finish');
      expect(await device.read(0, 1)).toEqual(block(5));
      const last = await device.read(1, 1);
      expect([last[0], last[2], last[3], last[SIZE - 1]]).toEqual([5, 5, rest, rest]);
    }
  });

  it('applies back-pressure: a reader that pauses reads no further', async () => {
    const device = await open();
    const stream = device.createReadStream({ transferBytes: SIZE, depth: 2 });
    await once(stream, 'readable');
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(device.statistics.reads).toBeLessThan(8);
    stream.destroy();
    await once(stream, 'close');
    const writer = device.createWriteStream({ transferBytes: SIZE, depth: 1 });
    expect(writer.write(Buffer.alloc(SIZE * 4))).toBe(false);
    await once(writer, 'drain');
    writer.end();
    await once(writer, 'finish');
    expect(device.statistics.writes).toBe(4);
  });

  it('ends at the end of the device: ENOSPC, with what fits written', async () => {
    const device = await open();
    const start = device.blocks - 2n;
    const stream = device.createWriteStream({ start, transferBytes: 4 * SIZE });
    stream.end(Buffer.alloc(3 * SIZE, 6));
    expect(await codeOf(once(stream, 'finish'))).toBe('ENOSPC');
    expect(await device.read(start, 1)).toEqual(block(6));
    expect(await device.read(start + 1n, 1)).toEqual(block(6));
    expect(await buffer(device.createReadStream({ start: device.blocks }))).toHaveLength(0);
    expect((await buffer(device.createReadStream({ start }))).length).toBe(2 * SIZE);
    expect(() => device.createReadStream({ start: device.blocks + 1n })).toThrow(/start/);
    expect(() => device.createReadStream({ start, length: 2 * SIZE + 1 })).toThrow(/length/);
  });

  it('fails as the transfer does, and settles what is in flight', async () => {
    const device = await open();
    // A medium error: sense key 3, code 11h.
    const fail = () =>
      inject(device.resource.context, 'status', 0x0003_1100, 0x8000_0200_0000_0000n);
    fail();
    expect(await codeOf(buffer(device.createReadStream({ length: 100 * SIZE })))).toBe('EIO');
    // Else one of the reads that are still in flight could take the status of the write.
    await device.drained();
    fail();
    const stream = device.createWriteStream({ transferBytes: SIZE });
    const source = Readable.from(Array.from({ length: 100 }, () => Buffer.alloc(SIZE)));
    expect(await codeOf(pipeline(source, stream))).toBe('EIO');
    expect(device.statistics.activeReads + device.statistics.activeWrites).toBe(0);
  });

  it('ends with an AbortError, and by destroy()', async () => {
    const device = await open();
    const context = device.resource.context;
    inject(context, 'hold', 1);
    const controller = new AbortController();
    const reader = device.createReadStream({ signal: controller.signal });
    const read = codeOf(buffer(reader));
    const writer = device.createWriteStream({ signal: controller.signal, transferBytes: SIZE });
    writer.write(Buffer.alloc(8 * SIZE));
    const written = codeOf(once(writer, 'finish'));
    await new Promise(setImmediate);
    controller.abort();
    expect(await read).toBe('ABORT_ERR');
    expect(await written).toBe('ABORT_ERR');
    inject(context, 'hold', 0);
    await device.drained();
    const ended = device.createReadStream();
    ended.destroy();
    await once(ended, 'close');
    expect(device.statistics.activeReads + device.statistics.activeWrites).toBe(0);
  });
});

describe('a striped device', () => {
  const target = testTarget();
  const open = async (stripeBlocks: number) =>
    openStripedDevice(
      [0, 1].map((index) => ({ system: target.system, node: target.nodes[index]?.[0] ?? '' })),
      { stripeBlocks },
    );

  it('spreads the blocks over its devices, stripe by stripe', async () => {
    const device = await open(3);
    const [first, second] = device.devices as [
      (typeof device.devices)[0],
      (typeof device.devices)[0],
    ];
    const smaller = first.blocks < second.blocks ? first.blocks : second.blocks;
    expect(device.blocks).toBe((smaller / 3n) * 6n);
    const data = someBytes(20 * SIZE);
    await device.write(1, data);
    expect(Buffer.from(await device.read(1, 20)).equals(data)).toBe(true);
    for (let i = 0; i < 20; i += 1) {
      const stripe = Math.floor((i + 1) / 3);
      const member = stripe % 2 === 0 ? first : second;
      const bytes = await member.read(Math.floor(stripe / 2) * 3 + ((i + 1) % 3), 1);
      expect(sha(bytes)).toBe(sha(data.subarray(i * SIZE, (i + 1) * SIZE)));
    }
    // One transfer of each device, whatever the number of stripes.
    expect(first.statistics.writes).toBe(1);
    expect(second.statistics.writes).toBe(1);
    expect(device.statistics).toMatchObject({ writes: 1, bytesWritten: 20 * SIZE });
    await device.close();
  });

  it('takes several buffers, memory and unmaps', async () => {
    const device = await open(2);
    const memory = target.system.allocate(8 * SIZE);
    new Uint8Array(memory.buffer).set(someBytes(8 * SIZE));
    await device.writev(3, [{ memory, length: 5 * SIZE }, block(1), { memory, offset: 5 * SIZE }]);
    const back = await device.read(3, 9);
    const bytes = new Uint8Array(memory.buffer);
    expect(sha(back.subarray(0, 5 * SIZE))).toBe(sha(bytes.subarray(0, 5 * SIZE)));
    expect(back.subarray(5 * SIZE, 6 * SIZE)).toEqual(block(1));
    expect(sha(back.subarray(6 * SIZE))).toBe(sha(bytes.subarray(5 * SIZE)));
    if (device.unmapSupported) await device.unmap(0, 12);
    await pipeline(Readable.from([Buffer.alloc(9000, 3)]), device.createWriteStream());
    expect(
      (await buffer(device.createReadStream({ length: 9000 }))).equals(Buffer.alloc(9000, 3)),
    ).toBe(true);
    await device.close();
  });

  it('fails as the device does that fails, after the others have settled', async () => {
    const device = await open(1);
    const control = await target.attach(await target.lun(0, 1));
    inject(control, 'status', 0x0003_1100, 0x8000_0200_0000_0000n);
    expect(await codeOf(device.write(0, new Uint8Array(6 * SIZE)))).toBe('EIO');
    expect(device.statistics).toMatchObject({ errors: 1, activeWrites: 0 });
    expect(await codeOf(device.read(device.blocks, 1))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(device.read(0, new Uint8Array(1)))).toBe('ERR_INVALID_ARG_VALUE');
    await device.close();
    expect(await codeOf(device.read(0, 1))).toBe('ERR_INVALID_STATE');
  });

  it('closes what it has opened when another cannot be opened, or does not fit', async () => {
    const { system } = target;
    const node = target.nodes[0]?.[0] ?? '';
    expect(
      await codeOf(
        openStripedDevice([
          { system, node },
          { system, node: '/dev/null' },
        ]),
      ),
    ).toBe('ENOENT');
    const lun = await target.lun();
    await lun.disableSuperpipe();
    const device = await openBlockDevice(node, { system });
    expect(() => new StripedBlockDevice([])).toThrow(/devices/);
    expect(() => new StripedBlockDevice([device], { stripeBlocks: 0 })).toThrow(/stripeBlocks/);
    await device.close();
  });
});
