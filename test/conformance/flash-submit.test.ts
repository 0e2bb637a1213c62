import type { BlockDevice, CommandError, FlashAttachOptions, FlashContext } from 'node-cxl/flash';
import { describe, expect, it } from 'vitest';
import { COMMAND_MODES, codeOf, inject, LUN_BLOCKS, testTarget } from './flash-target';

const SIZE = 4096;
/** An address that no buffer has. */
const NOWHERE = 0x12340n;

const filled = (value: number, blocks = 1) => new Uint8Array(blocks * SIZE).fill(value);
const sleep = (time: number) => new Promise((resolve) => setTimeout(resolve, time));

for (const mode of COMMAND_MODES) {
  describe(`many transfers in one call, ${mode} mode`, () => {
    const target = testTarget(mode);
    let context: FlashContext;

    async function direct(options: FlashAttachOptions = {}): Promise<BlockDevice> {
      context = await target.attach(await target.lun(), options);
      return (await context.openDirect()).blockDevice();
    }

    it('submit() reads, writes and unmaps, with a settlement for each', async () => {
      const device = await direct({ bounceBytes: 8192 });
      await device.write(300, filled(7, 2));
      const into = [filled(0), filled(0)];
      const memory = target.system.allocate(2 * SIZE);
      new Uint8Array(memory.buffer).fill(3);
      const promises = device.submit([
        { operation: 'write', lba: 310, from: filled(1, 5) },
        { operation: 'write', lba: 320n, from: [memory, filled(4)] },
        { operation: 'read', lba: 300, into },
        { operation: 'unmap', lba: 340, count: 2 },
      ]);
      expect(promises.length).toBe(4);
      expect(await Promise.all(promises)).toEqual([undefined, undefined, undefined, undefined]);
      expect(into).toEqual([filled(7), filled(7)]);
      expect(Buffer.from(await device.read(310, 5)).equals(filled(1, 5))).toBe(true);
      const expected = Buffer.concat([filled(3, 2), filled(4)]);
      expect(expected.equals(await device.read(320, 3))).toBe(true);
      expect(device.statistics).toMatchObject({
        reads: 3,
        writes: 3,
        unmaps: 1,
        blocksRead: 10,
        blocksWritten: 10,
        bytesRead: 10 * SIZE,
        bytesWritten: 10 * SIZE,
        activeReads: 0,
        activeWrites: 0,
        errors: 0,
      });
      memory.free();
    });

    it('submit() checks all transfers before it starts the first', async () => {
      const device = await direct();
      const write = { operation: 'write', lba: 0, from: filled(1) } as const;
      const wrong: [unknown, string][] = [
        [{ ...write, lba: LUN_BLOCKS[0] }, 'ERR_OUT_OF_RANGE'],
        [{ ...write, from: new Uint8Array(1) }, 'ERR_INVALID_ARG_VALUE'],
        [{ ...write, priority: 'urgent' }, 'ERR_INVALID_ARG_VALUE'],
        [{ ...write, operation: 'erase' }, 'ERR_INVALID_ARG_VALUE'],
        [{ ...write, form: filled(1) }, 'ERR_INVALID_ARG_VALUE'],
        [undefined, 'ERR_INVALID_ARG_TYPE'],
      ];
      for (const [request, code] of wrong) {
        expect(() => device.submit([write, request as never])).toThrow(
          expect.objectContaining({ code }),
        );
      }
      expect(() => device.submit(write as never)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
      );
      expect(device.submit([])).toEqual([]);
      expect(context.statistics?.issued ?? 0).toBe(0);
      expect(device.statistics.activeWrites).toBe(0);
    });

    it('one deadline for all: those that have not settled fail with ETIMEDOUT', async () => {
      const device = await direct({ queueDepth: 2 });
      await device.write(0, filled(0, 4));
      const [first] = device.submit([{ operation: 'write', lba: 0, from: filled(1) }], {
        timeout: 10_000,
      });
      await first;
      inject(context, 'hold', 1);
      const start = performance.now();
      const codes = device
        .submit(
          [0, 1, 2, 3].map((lba) => ({ operation: 'write', lba, from: filled(2) }) as const),
          { timeout: 30 },
        )
        .map(codeOf);
      expect(await Promise.all(codes)).toEqual(codes.map(() => 'ETIMEDOUT'));
      expect(performance.now() - start).toBeGreaterThan(25);
      inject(context, 'hold', 0);
      await device.drained();
      // The last two were not issued: they do not run.
      expect((await device.read(2, 2)).every((byte) => byte === 0)).toBe(true);
      expect(device.statistics.errors).toBe(4);
    });

    it('one signal for all', async () => {
      const device = await direct({ queueDepth: 2 });
      inject(context, 'hold', 1);
      const controller = new AbortController();
      const { signal } = controller;
      const requests = [0, 1, 2].map(
        (lba) => ({ operation: 'read', lba, into: filled(9) }) as const,
      );
      const codes = device.submit(requests, { signal }).map(codeOf);
      controller.abort();
      expect(await Promise.all(codes)).toEqual(['ABORT_ERR', 'ABORT_ERR', 'ABORT_ERR']);
      inject(context, 'hold', 0);
      await device.drained();
      // Nothing changes a buffer after its promise has settled.
      for (const { into } of requests) expect(into).toEqual(filled(9));
    });

    it('issues commands of high priority first, and those of low priority last', async () => {
      const device = await direct({ queueDepth: 1 });
      inject(context, 'hold', 1);
      const order: string[] = [];
      const read = (name: string, priority?: 'high' | 'normal' | 'low') =>
        device.read(0, 1, priority && { priority }).then(() => order.push(name));
      const reads = [
        read('in flight'),
        read('low', 'low'),
        read('normal'),
        read('high', 'high'),
        read('normal too', 'normal'),
        read('high too', 'high'),
      ];
      inject(context, 'hold', 0);
      await Promise.all(reads);
      expect(order).toEqual(['in flight', 'high', 'high too', 'normal', 'normal too', 'low']);
      expect(await codeOf(device.read(0, 1, { priority: 'urgent' as never }))).toBe(
        'ERR_INVALID_ARG_VALUE',
      );
      expect(await codeOf(device.read(0, 1, { deadline: 3 } as never))).toBe(
        'ERR_INVALID_ARG_VALUE',
      );
    });

    it('counts what is active, and the most of it, while it runs', async () => {
      const device = await direct({ queueDepth: 3 });
      inject(context, 'hold', 1);
      const transfers = [
        ...[0, 1, 2].map((lba) => device.read(lba, 1)),
        ...[3, 4].map((lba) => device.write(lba, filled(1))),
      ];
      expect(device.statistics).toMatchObject({
        activeReads: 3,
        maxActiveReads: 3,
        activeWrites: 2,
        maxActiveWrites: 2,
      });
      expect(context.statistics).toMatchObject({ inFlight: 3, waiting: 2, maxInFlight: 3 });
      expect(context.statistics?.slotsExhausted).toBeGreaterThan(0);
      inject(context, 'hold', 0);
      await Promise.all(transfers);
      await device.drained();
      expect(device.statistics).toMatchObject({
        activeReads: 0,
        maxActiveReads: 3,
        activeWrites: 0,
        maxActiveWrites: 2,
        reads: 3,
        writes: 2,
      });
      expect(context.statistics).toMatchObject({ inFlight: 0, waiting: 0, completed: 5 });
    });

    it('tells the address of data that the AFU cannot access, and counts the event', async () => {
      const device = await direct();
      await device.read(0, 1);
      const memory = target.system.allocate(SIZE);
      // Where no memory is mapped.
      Object.defineProperty(memory, 'address', { value: NOWHERE });
      const error: CommandError | undefined = await device.read(0, memory).then(
        () => undefined,
        (reason) => reason,
      );
      expect(error).toMatchObject({ code: 'EFAULT', syscall: 'read', address: NOWHERE });
      expect(error?.status.afuCode).toBe(0x31);
      expect(error?.message).toContain(`at 0x${NOWHERE.toString(16)}`);
      expect(context.statistics?.dataStorageEvents).toBe(1);
      await device.write(1, filled(2));
      expect((await device.read(1, 1))[0]).toBe(2);
      await device.drained();
      memory.free();
    });

    it('resets the context when a command hangs, and issues it again', async () => {
      const device = await direct({ responseTimeout: 100, watchInterval: 10 });
      inject(context, 'hold', 1);
      const write = device.write(0, filled(2));
      for (let i = 0; i < 500 && context.statistics?.contextResets === 0; i += 1) await sleep(5);
      expect(context.statistics?.contextResets).toBeGreaterThan(0);
      inject(context, 'hold', 0);
      await write;
      expect((await device.read(0, 1))[0]).toBe(2);
      await device.drained();
    });
  });
}
