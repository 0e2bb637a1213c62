/** How a striped device splits transfers among its devices, which are arrays of bytes here. */
import { inspect } from 'node:util';
import {
  BlockAccess,
  type BlockBuffer,
  type BlockStatistics,
  StripedBlockDevice,
  type TransferOptions,
  type TransferRequest,
} from 'node-cxl/flash';
import { createMockCxl } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';

const SIZE = 512;
const coded = (code: string) => expect.objectContaining({ code });

/** The buffers of a request. */
function buffersOf(request: TransferRequest): readonly BlockBuffer[] {
  if (request.operation === 'unmap') return [];
  const buffers = request.operation === 'read' ? request.into : request.from;
  return [buffers].flat() as BlockBuffer[];
}

function bytesOf(buffer: BlockBuffer): Uint8Array {
  if (buffer instanceof Uint8Array) return buffer;
  if (!('memory' in buffer)) return new Uint8Array(buffer.buffer);
  const { memory, offset = 0, length = memory.size - offset } = buffer;
  return new Uint8Array(memory.buffer, offset, length);
}

/** A device of so many blocks, which carries out its requests when a test says. */
class Member extends BlockAccess {
  readonly statistics = {} as BlockStatistics;
  readonly blockSize: number;
  unmapSupported = true;
  readonly bytes: Uint8Array;
  /** The requests of each submit(). */
  readonly submitted: (readonly TransferRequest[])[] = [];
  options: TransferOptions | undefined;
  drains = 0;
  /** What submit() throws, and what its promises reject with. */
  refusal: Error | undefined;
  outcome: Promise<void> = Promise.resolve();

  constructor(blocks: number, blockSize = SIZE) {
    super();
    this.blockSize = blockSize;
    this.bytes = new Uint8Array(blocks * blockSize);
  }

  get blocks(): bigint {
    return BigInt(this.bytes.length / this.blockSize);
  }

  submit(requests: readonly TransferRequest[], options?: TransferOptions): Promise<void>[] {
    if (this.refusal !== undefined) throw this.refusal;
    this.submitted.push(requests);
    this.options = options;
    for (const request of requests) {
      let at = Number(request.lba) * this.blockSize;
      for (const bytes of buffersOf(request).map(bytesOf)) {
        if (request.operation === 'write') this.bytes.set(bytes, at);
        else bytes.set(this.bytes.subarray(at, at + bytes.length));
        at += bytes.length;
      }
    }
    return requests.map(() => this.outcome);
  }

  async drained(): Promise<void> {
    this.drains += 1;
  }
}

/** Blocks that begin with their number. */
function numbered(count: number, first = 0): Uint8Array {
  const bytes = new Uint8Array(count * SIZE);
  for (let block = 0; block < count; block += 1)
    bytes.fill(first + block, block * SIZE, (block + 1) * SIZE);
  return bytes;
}

const firstBytes = ({ bytes, blockSize }: Member) =>
  Array.from({ length: bytes.length / blockSize }, (_, block) => bytes[block * blockSize]);

describe('a striped device', () => {
  it('has whole stripes of the smallest device', () => {
    const [large, small, middle] = [new Member(12), new Member(8), new Member(10)];
    const device = new StripedBlockDevice([large, small, middle], { stripeBlocks: 3 });
    expect([device.blocks, device.blockSize, device.stripeBlocks]).toEqual([18n, SIZE, 3]);
    expect(new StripedBlockDevice([small]).blocks).toBe(0n);
    expect(new StripedBlockDevice([new Member(600)]).stripeBlocks).toBe(256);
    expect(device.unmapSupported).toBe(true);
    middle.unmapSupported = false;
    expect(device.unmapSupported).toBe(false);
  });

  it('is made of block devices of one block size', () => {
    const one = new Member(8);
    for (const devices of [[], undefined, one, [one, {}], [undefined]]) {
      const make = () => new StripedBlockDevice(devices as never);
      expect(make).toThrow(coded('ERR_INVALID_ARG_TYPE'));
    }
    const other = new Member(8, 4096);
    expect(() => new StripedBlockDevice([one, other])).toThrow(coded('ERR_INVALID_ARG_VALUE'));
    for (const stripeBlocks of [0, 1.5, 2 ** 31 + 1]) {
      const make = () => new StripedBlockDevice([one], { stripeBlocks });
      expect(make).toThrow(coded('ERR_OUT_OF_RANGE'));
    }
    expect(new StripedBlockDevice([one], { stripeBlocks: 2 ** 31 }).blocks).toBe(0n);
    const misspelled = () => new StripedBlockDevice([one], { stripBlocks: 1 } as never);
    expect(misspelled).toThrow(coded('ERR_INVALID_ARG_VALUE'));
  });

  it('goes around its devices, by one request for each', async () => {
    const members = [new Member(8), new Member(8), new Member(8)];
    const device = new StripedBlockDevice(members, { stripeBlocks: 2 });
    await device.write(1, numbered(23, 1));
    // Stripe s is on device s modulo 3.
    expect(members.map(firstBytes)).toEqual([
      [0, 1, 6, 7, 12, 13, 18, 19],
      [2, 3, 8, 9, 14, 15, 20, 21],
      [4, 5, 10, 11, 16, 17, 22, 23],
    ]);
    expect(await device.read(1, 23)).toEqual(numbered(23, 1));
    expect(await device.read(5, 1)).toEqual(numbered(1, 5));
    const lbas = members.map(({ submitted }) => submitted.flat().map(({ lba }) => lba));
    expect(lbas).toEqual([
      [1n, 1n],
      [0n, 0n],
      [0n, 0n, 1n],
    ]);
    // A device that has no part of a transfer is not asked.
    expect(members.map(({ submitted }) => submitted.length)).toEqual([2, 2, 3]);
    expect(device.statistics).toMatchObject({
      ...{ reads: 2, blocksRead: 24, writes: 1, blocksWritten: 23, bytesWritten: 23 * SIZE },
      ...{ errors: 0, activeReads: 0, activeWrites: 0, maxActiveWrites: 1 },
    });
  });

  it('finds a block far from the beginning where it was written', async () => {
    const members = [new Member(8), new Member(8), new Member(8)];
    const device = new StripedBlockDevice(members, { stripeBlocks: 2 });
    // Stripes 6 to 8 are the third of each device: its blocks 4 and 5.
    await device.write(13, numbered(4, 1));
    expect(members.map(firstBytes)).toEqual([
      [0, 0, 0, 0, 0, 1, 0, 0],
      [0, 0, 0, 0, 2, 3, 0, 0],
      [0, 0, 0, 0, 4, 0, 0, 0],
    ]);
  });

  it('splits buffers of any kind where a stripe ends', async () => {
    const members = [new Member(8), new Member(8)];
    const device = new StripedBlockDevice(members, { stripeBlocks: 3 });
    const system = createMockCxl();
    const memory = system.allocate(6 * SIZE, { alignment: SIZE });
    new Uint8Array(memory.buffer).set(numbered(6, 1).subarray(0, memory.size));
    await device.writev(0, [
      { memory, offset: 2 * SIZE, length: 4 * SIZE },
      numbered(1, 9),
      { memory, length: 2 * SIZE },
      { memory, offset: 5 * SIZE, length: SIZE },
    ]);
    expect(members.map(firstBytes)).toEqual([
      [3, 4, 5, 2, 6, 0, 0, 0],
      [6, 9, 1, 0, 0, 0, 0, 0],
    ]);
    const whole = system.allocate(4096);
    await device.readv(2, [numbered(2), { memory: whole, length: SIZE }]);
    expect(new Uint8Array(whole.buffer)[0]).toBe(9);
    expect(device.statistics).toMatchObject({ blocksWritten: 8, blocksRead: 3 });
    await device.read(0, whole);
    expect(device.statistics.bytesRead).toBe(3 * SIZE + 4096);
    await device.read(0, { memory: whole, offset: 4096 - 2 * SIZE });
    expect(device.statistics.bytesRead).toBe(5 * SIZE + 4096);
    const [first] = members[0]!.submitted[1] as [TransferRequest];
    expect([first.operation, first.lba, buffersOf(first).length]).toEqual(['read', 2n, 1]);
    memory.free();
    whole.free();
  });

  it('unmaps, and passes on each request’s priority and the call’s options', async () => {
    const members = [new Member(8), new Member(8)];
    const device = new StripedBlockDevice(members, { stripeBlocks: 2 });
    const options = { timeout: 1000 };
    await Promise.all(
      device.submit(
        [
          { operation: 'unmap', lba: 1, count: 6n, priority: 'low' },
          { operation: 'read', lba: 0n, into: numbered(1) },
        ],
        options,
      ),
    );
    expect(members.map(({ submitted }) => submitted)).toEqual([
      [
        [
          { operation: 'unmap', lba: 1n, count: 3n, priority: 'low' },
          { operation: 'read', lba: 0n, into: [numbered(1)], priority: undefined },
        ],
      ],
      [[{ operation: 'unmap', lba: 0n, count: 3n, priority: 'low' }]],
    ]);
    expect(members.map((member) => member.options)).toEqual([options, options]);
    expect(device.statistics).toMatchObject({ unmaps: 1, reads: 1, maxActiveUnmaps: 1 });
    await device.drained();
    expect(members.map(({ drains }) => drains)).toEqual([1, 1]);
    expect(device.submit([])).toEqual([]);
  });

  it('checks all requests before a device has the first', () => {
    const members = [new Member(8), new Member(8)];
    const device = new StripedBlockDevice(members, { stripeBlocks: 2 });
    const memory = createMockCxl().allocate(2 * SIZE);
    const freed = createMockCxl().allocate(SIZE);
    freed.free();
    const good = { operation: 'read', lba: 0, into: numbered(1) };
    for (const [request, code] of [
      [null, 'ERR_INVALID_ARG_TYPE'],
      [{ ...good, operation: 'erase' }, 'ERR_INVALID_ARG_VALUE'],
      [{ ...good, form: 1 }, 'ERR_INVALID_ARG_VALUE'],
      [{ ...good, priority: 'highest' }, 'ERR_INVALID_ARG_VALUE'],
      [{ ...good, lba: -1 }, 'ERR_OUT_OF_RANGE'],
      [{ ...good, lba: 16 }, 'ERR_OUT_OF_RANGE'],
      [{ ...good, lba: 15, into: numbered(2) }, 'ERR_OUT_OF_RANGE'],
      [{ ...good, lba: 15, into: [numbered(1), numbered(1)] }, 'ERR_OUT_OF_RANGE'],
      [{ ...good, into: [] }, 'ERR_OUT_OF_RANGE'],
      [{ ...good, into: undefined }, 'ERR_INVALID_ARG_TYPE'],
      [{ ...good, into: {} }, 'ERR_INVALID_ARG_TYPE'],
      [{ ...good, into: new Uint8Array(0) }, 'ERR_INVALID_ARG_VALUE'],
      [{ ...good, into: new Uint8Array(SIZE + 1) }, 'ERR_INVALID_ARG_VALUE'],
      [{ ...good, into: { memory, offset: memory.size, length: SIZE } }, 'ERR_OUT_OF_RANGE'],
      [{ ...good, into: { memory, length: memory.size + 2 * SIZE } }, 'ERR_OUT_OF_RANGE'],
      [{ ...good, into: { memory, offset: -SIZE } }, 'ERR_OUT_OF_RANGE'],
      [{ ...good, into: { memory, offset: 8, length: SIZE } }, 'ERR_INVALID_ARG_VALUE'],
      [{ ...good, into: { memory: freed, length: SIZE } }, 'ERR_INVALID_STATE'],
      [{ ...good, lba: -1n }, 'ERR_OUT_OF_RANGE'],
      [{ operation: 'unmap', lba: 0, count: 0 }, 'ERR_OUT_OF_RANGE'],
      [{ operation: 'unmap', lba: 1, count: 16 }, 'ERR_OUT_OF_RANGE'],
      [{ operation: 'unmap', lba: 1, count: 1.5 }, 'ERR_OUT_OF_RANGE'],
    ] as const) {
      expect(() => device.submit([good, request] as never), inspect(request)).toThrow(coded(code));
    }
    expect(() => device.submit(good as never)).toThrow(coded('ERR_INVALID_ARG_TYPE'));
    const misspelled = () => device.submit([], { timeOut: 1 } as never);
    expect(misspelled).toThrow(coded('ERR_INVALID_ARG_VALUE'));
    expect(members.flatMap(({ submitted }) => submitted)).toEqual([]);
    expect(Object.values(device.statistics)).toEqual(new Array(14).fill(0));
    memory.free();
  });

  it('fails as a device does, when the others have settled', async () => {
    const members = [new Member(8), new Member(8)] as const;
    const device = new StripedBlockDevice(members, { stripeBlocks: 2 });
    const failure = new Error('EIO');
    members[0].outcome = Promise.reject(failure);
    let settle = () => {};
    members[1].outcome = new Promise((resolve) => {
      settle = resolve;
    });
    let settled = false;
    const write = device.write(0, numbered(4)).finally(() => {
      settled = true;
    });
    write.catch(() => undefined);
    await new Promise((resolve) => setImmediate(resolve));
    expect([settled, device.statistics.activeWrites]).toEqual([false, 1]);
    settle();
    await expect(write).rejects.toBe(failure);
    // One that refuses its part at once is no other: the first device has begun.
    members[0].outcome = Promise.resolve();
    const refusal = new Error('ENODEV');
    members[1].refusal = refusal;
    await expect(device.write(0, numbered(4))).rejects.toBe(refusal);
    expect(members[0].submitted).toHaveLength(2);
    await device.write(0, numbered(2));
    expect(device.statistics).toMatchObject({ writes: 1, errors: 2, activeWrites: 0 });
  });

  it('refuses transfers once it is closed, and leaves the devices that it was given open', async () => {
    const member = new Member(8);
    const device = new StripedBlockDevice([member], { stripeBlocks: 2 });
    const closing = device.close();
    expect(device.close()).toBe(closing);
    expect(() => device.submit([])).toThrow(coded('ERR_INVALID_STATE'));
    await closing;
    expect(device[Symbol.asyncDispose]()).toBe(closing);
    await member.read(0, 1);
  });
});
