/** The commands that a block device makes of transfers; its queue settles them when a test says. */
import { describe, expect, it } from 'vitest';
import { Memory } from '../../../lib/device/memory';
import { BlockDevice } from '../../../lib/flash/block-device';
import type { Command } from '../../../lib/flash/command';
import { stateError, systemError } from '../../../lib/shared/errors';

const SIZE = 512;
const CHUNK = 65536;
const coded = (code: string) => expect.objectContaining({ code });

/** Memory at an address that nobody accesses. */
const memoryOf = (size: number): Memory =>
  Object.defineProperties(Object.create(Memory.prototype), {
    size: { value: size },
    address: { value: 0x7f00_0000_0000n },
    disposed: { value: false },
  });

/** A device of so many blocks, 8 of which fit a bounce buffer and 24 a command. */
function open(mode: 'direct' | 'virtual' = 'direct', blocks = 3 * CHUNK) {
  const submitted: (readonly Command[])[] = [];
  const canceled: unknown[] = [];
  const queue = {
    unmapSupported: true as boolean | undefined,
    ring: { bounceBytes: 8 * SIZE },
    statistics: { issued: 3 },
    drained: async () => 'drained',
    submit: (commands: readonly Command[]) => void submitted.push(commands),
    cancel: (command: Command, error: unknown) => {
      canceled.push(error);
      command.owner.settled(error);
    },
  };
  const resource = {
    ...{ mode, blockSize: SIZE, maxTransfer: 24, blocks: BigInt(blocks) },
    ...{ context: { queue }, lun: { path: '/dev/sg1' } },
    assertOpen: () => {},
  };
  const device = new BlockDevice(resource as never);
  /** What was submitted since: operation, first block and blocks of each command. */
  const taken = () =>
    submitted
      .splice(0)
      .map((commands) => commands.map(({ name, lba, blocks }) => [name, lba, blocks]));
  const settleAll = (error?: unknown) => {
    for (const { owner } of submitted.splice(0).flat()) owner.settled(error);
  };
  return { device, resource, queue, submitted, canceled, taken, settleAll };
}

describe('a block device', () => {
  it('is what its resource and the queue are', async () => {
    const { device, resource, queue } = open();
    expect([device.blocks, device.blockSize, device.resource]).toEqual([
      BigInt(3 * CHUNK),
      SIZE,
      resource,
    ]);
    expect(device.queueStatistics).toBe(queue.statistics);
    expect(await device.drained()).toBe('drained');
    for (const [supported, expected] of [
      [true, true],
      [false, false],
      // Not known while the adapter is in error.
      [undefined, false],
    ] as const) {
      queue.unmapSupported = supported;
      expect(device.unmapSupported).toBe(expected);
    }
  });

  it('splits bytes into what a bounce buffer holds', () => {
    const { device, submitted, taken } = open();
    const bytes = new Uint8Array(SIZE + 17 * SIZE).subarray(SIZE);
    void device.write(5, bytes);
    const [commands = []] = submitted;
    expect(commands.map(({ data }) => [data.bytes?.byteOffset, data.bytes?.length])).toEqual([
      [SIZE, 8 * SIZE],
      [9 * SIZE, 8 * SIZE],
      [17 * SIZE, SIZE],
    ]);
    for (const { data } of commands) {
      expect(data.bytes?.buffer).toBe(bytes.buffer);
      expect([data.length, data.address]).toEqual([data.bytes?.length, expect.any(BigInt)]);
    }
    expect(taken()).toEqual([
      [
        ['write', 5n, 8],
        ['write', 13n, 8],
        ['write', 21n, 1],
      ],
    ]);
    // The whole buffer is the data of one command.
    void device.write(5n, bytes.subarray(0, 8 * SIZE));
    expect(submitted[0]?.[0]?.data.bytes).toHaveLength(8 * SIZE);
    expect(taken()).toEqual([[['write', 5n, 8]]]);
  });

  it('splits memory into what a command may transfer', () => {
    const { device, submitted, taken } = open();
    const memory = memoryOf(64 * SIZE);
    void device.read(0, { memory, offset: 2 * SIZE, length: 50 * SIZE });
    const [commands = []] = submitted;
    expect(
      commands.map(({ data }) => [data.memory, data.bytes, data.address, data.length]),
    ).toEqual([
      [memory, undefined, memory.address + BigInt(2 * SIZE), 24 * SIZE],
      [memory, undefined, memory.address + BigInt(26 * SIZE), 24 * SIZE],
      [memory, undefined, memory.address + BigInt(50 * SIZE), 2 * SIZE],
    ]);
    expect(taken()).toEqual([
      [
        ['read', 0n, 24],
        ['read', 24n, 24],
        ['read', 48n, 2],
      ],
    ]);
    void device.read(0, memory);
    expect(taken()[0]?.map(([, lba]) => lba)).toEqual([0n, 24n, 48n]);
  });

  it('splits at the end of a chunk of a virtual LUN alone', () => {
    for (const [mode, expected] of [
      ['direct', [['read', BigInt(CHUNK - 3), 8]]],
      [
        'virtual',
        [
          ['read', BigInt(CHUNK - 3), 3],
          ['read', BigInt(CHUNK), 5],
        ],
      ],
    ] as const) {
      const { device, taken } = open(mode);
      void device.read(CHUNK - 3, 8);
      expect(taken()).toEqual([expected]);
    }
  });

  it('has several buffers one after the other', () => {
    const { device, submitted, taken } = open();
    const [one, other] = [new Uint8Array(9 * SIZE), new Uint8Array(2 * SIZE)];
    void device.readv(7, [one, other]);
    expect(submitted[0]?.map(({ data }) => data.bytes?.byteOffset)).toEqual([0, 8 * SIZE, 0]);
    expect(submitted[0]?.[2]?.data.bytes).toBe(other);
    expect(taken()).toEqual([
      [
        ['read', 7n, 8],
        ['read', 15n, 1],
        ['read', 16n, 2],
      ],
    ]);
  });

  it('unmaps by one block of zeros, whatever the number of blocks', () => {
    const { device, submitted, taken, queue } = open('virtual');
    void device.unmap(CHUNK - 1, CHUNK + 2);
    const data = submitted[0]?.map((command) => command.data) ?? [];
    expect(data).toHaveLength(3);
    for (const one of data) {
      expect(one).toEqual({
        bytes: new Uint8Array(SIZE),
        ...{ memory: undefined, address: 0n, length: SIZE },
      });
    }
    expect(taken()).toEqual([
      [
        ['unmap', BigInt(CHUNK - 1), 1],
        ['unmap', BigInt(CHUNK), CHUNK],
        ['unmap', BigInt(2 * CHUNK), 1],
      ],
    ]);
    // 32 bits of blocks are the most that a command has.
    const large = open('direct', 2 ** 33);
    void large.device.unmap(0, 2 ** 32);
    expect(large.taken()).toEqual([
      [
        ['unmap', 0n, 2 ** 32 - 1],
        ['unmap', BigInt(2 ** 32 - 1), 1],
      ],
    ]);
    queue.unmapSupported = false;
    const refused = () => device.submit([{ operation: 'unmap', lba: 0, count: 1 }]);
    expect(refused).toThrow(
      expect.objectContaining({ code: 'EOPNOTSUPP', syscall: 'unmap', path: '/dev/sg1' }),
    );
    expect(refused).toThrow('the AFU does not offer it');
    // The command tells, when it is not known.
    queue.unmapSupported = undefined;
    void device.unmap(0, 1);
    expect(taken()).toEqual([[['unmap', 0n, 1]]]);
  });

  it('gives each transfer its priority, or that of the call', () => {
    const { device, submitted } = open();
    const into = () => new Uint8Array(SIZE);
    void device.read(0, 1);
    void device.read(0, 1, { priority: 'low' });
    device.submit(
      [
        { operation: 'read', lba: 0, into: into() },
        { operation: 'read', lba: 0, into: into(), priority: 'high' },
      ],
      { priority: 'low' },
    );
    const priorities = submitted.map((commands) => commands.map(({ priority }) => priority));
    expect(priorities).toEqual([['normal'], ['low'], ['low', 'high']]);
  });

  it('counts transfers, and settles each when its commands have', async () => {
    const { device, submitted, settleAll } = open();
    const into = () => new Uint8Array(9 * SIZE);
    const [one, other] = device.submit([
      { operation: 'read', lba: 0, into: into() },
      { operation: 'write', lba: 9, from: into() },
    ]);
    // All commands of a call are submitted at once.
    expect(submitted.map((commands) => commands.length)).toEqual([4]);
    expect(device.statistics).toMatchObject({ activeReads: 1, activeWrites: 1, reads: 0 });
    const failure = systemError('EIO', 'write');
    const [first, second, third, fourth] = submitted.splice(0).flat();
    first?.owner.settled(undefined);
    third?.owner.settled(failure);
    expect(device.statistics).toMatchObject({ activeReads: 1, activeWrites: 1 });
    fourth?.owner.settled(undefined);
    await expect(other).rejects.toBe(failure);
    second?.owner.settled(undefined);
    await one;
    expect(device.statistics).toMatchObject({
      ...{ reads: 1, blocksRead: 9, bytesRead: 9 * SIZE, activeReads: 0 },
      ...{ writes: 0, blocksWritten: 0, activeWrites: 0, errors: 1 },
    });
    const unmapped = device.unmap(0, 5);
    settleAll();
    await unmapped;
    expect(device.statistics).toMatchObject({ unmaps: 1, errors: 1 });
    expect(device.submit([])).toEqual([]);
  });

  it('cancels what its signal or its time limit ends, and issues nothing after an abort', async () => {
    const { device, submitted, canceled, taken } = open();
    const controller = new AbortController();
    const aborted = device.read(0, 9, { signal: controller.signal });
    expect(taken()).toHaveLength(1);
    controller.abort('enough');
    await expect(aborted).rejects.toMatchObject({ code: 'ABORT_ERR', cause: 'enough' });
    expect(canceled).toHaveLength(2);
    await expect(device.read(0, 1, { timeout: 0 })).rejects.toMatchObject({
      ...{ code: 'ETIMEDOUT', syscall: 'transfer', path: '/dev/sg1' },
    });
    submitted.splice(0);
    const { signal } = controller;
    await expect(device.write(0, new Uint8Array(SIZE), { signal })).rejects.toMatchObject({
      ...{ code: 'ABORT_ERR', cause: 'enough' },
    });
    expect(taken()).toEqual([]);
    expect(device.statistics).toMatchObject({ errors: 3, activeReads: 0, activeWrites: 0 });
  });

  it('checks all before it submits any', () => {
    const { device, resource, submitted } = open();
    const good = { operation: 'read', lba: 0, into: new Uint8Array(SIZE) } as const;
    for (const [request, code, name] of [
      [{ ...good, lba: 3 * CHUNK }, 'ERR_OUT_OF_RANGE', 'lba'],
      [{ ...good, lba: -1 }, 'ERR_OUT_OF_RANGE', 'lba'],
      [{ ...good, into: new Uint8Array(1) }, 'ERR_INVALID_ARG_VALUE', 'buffers[0]'],
      [{ ...good, into: [] }, 'ERR_OUT_OF_RANGE', 'count'],
      [{ ...good, operation: 'erase' }, 'ERR_INVALID_ARG_VALUE', 'operation'],
      [{ operation: 'unmap', lba: 3 * CHUNK - 1, count: 2 }, 'ERR_OUT_OF_RANGE', 'lba'],
      [{ operation: 'unmap', lba: 0, count: 0 }, 'ERR_OUT_OF_RANGE', 'count'],
      [{ operation: 'unmap', lba: 0, count: -1 }, 'ERR_OUT_OF_RANGE', 'count'],
    ] as const) {
      const refused = () => device.submit([good, request] as never);
      expect(refused).toThrow(coded(code));
      expect(refused).toThrow(`${name} must be`);
    }
    expect(() => device.submit([good], { priority: 'first' as never })).toThrow(
      coded('ERR_INVALID_ARG_VALUE'),
    );
    resource.assertOpen = () => {
      throw stateError('released');
    };
    expect(() => device.submit([good])).toThrow(coded('ERR_INVALID_STATE'));
    expect([submitted, device.statistics.activeReads]).toEqual([[], 0]);
  });

  it('reads into new buffers of at most 2 GiB, and gives back what it was given', async () => {
    const { device, settleAll } = open('direct', 2 ** 32);
    const read = device.read(0, 3);
    settleAll();
    expect(await read).toEqual(new Uint8Array(3 * SIZE));
    const into = new Uint8Array(2 * SIZE);
    const given = device.read(0, into);
    settleAll();
    expect(await given).toBe(into);
    for (const count of [2 ** 31 / SIZE + 1, -1, 0.5]) {
      await expect(device.read(0, count)).rejects.toThrow(coded('ERR_OUT_OF_RANGE'));
      await expect(device.read(0, count)).rejects.toThrow('count');
    }
    await expect(device.read(0, 0)).rejects.toThrow(coded('ERR_INVALID_ARG_VALUE'));
    for (const method of ['readv', 'writev'] as const) {
      const refused = device[method](0, into as never);
      await expect(refused).rejects.toThrow(coded('ERR_INVALID_ARG_TYPE'));
      await expect(refused).rejects.toThrow('buffers must be an array');
    }
    const written = device.writev(0, [into, into]);
    settleAll();
    await written;
    expect(device.statistics).toMatchObject({ reads: 2, writes: 1, blocksWritten: 4 });
  });
});
