import type { BlockDevice, CommandError, FlashAttachOptions, FlashContext } from 'node-cxl/flash';
import { describe, expect, it } from 'vitest';
import { CHUNK, COMMAND_MODES, codeOf, inject, LUN_BLOCKS, testTarget } from './flash-target';

const SIZE = 4096;

function pattern(seed: number, blocks = 1): Uint8Array {
  return Uint8Array.from({ length: blocks * SIZE }, (_, i) => (seed + (i >> 9) + i) & 0xff);
}

function failure(promise: Promise<unknown>): Promise<CommandError> {
  return promise.then(
    () => Promise.reject(new Error('it succeeded')),
    (error) => error as CommandError,
  );
}

for (const mode of COMMAND_MODES) {
  describe(`block I/O, ${mode} mode`, () => {
    const target = testTarget(mode);
    let context: FlashContext;

    async function direct(options: FlashAttachOptions = {}, index = 0): Promise<BlockDevice> {
      context = await target.attach(await target.lun(index), options);
      return (await context.openDirect()).blockDevice();
    }

    async function virtual(blocks: bigint, options: FlashAttachOptions = {}): Promise<BlockDevice> {
      context = await target.attach(await target.lun(), options);
      return (await context.openVirtual({ blocks })).blockDevice();
    }

    for (const endian of ['big', 'little'] as const) {
      for (const completion of ['interrupt', 'poll'] as const) {
        it(`reads what was written: ${endian}-endian structures, by ${completion}`, async () => {
          const device = await direct({ endian, completion });
          const data = pattern(3, 5);
          await device.write(17, data);
          expect(Buffer.from(await device.read(17, 5)).equals(data)).toBe(true);
          expect(Buffer.from(await device.read(19n, 1)).equals(data.subarray(8192, 12288))).toBe(
            true,
          );
        });
      }
    }

    it('accesses the last block, and refuses the next one before the AFU gets it', async () => {
      const device = await direct();
      const last = LUN_BLOCKS[0] - 1n;
      await device.write(last, pattern(9));
      expect(Buffer.from(await device.read(last, 1)).equals(pattern(9))).toBe(true);
      expect(await codeOf(device.read(last, 2))).toBe('ERR_OUT_OF_RANGE');
      expect(await codeOf(device.read(last + 1n, 1))).toBe('ERR_OUT_OF_RANGE');
      expect(await codeOf(device.write(LUN_BLOCKS[0], pattern(1)))).toBe('ERR_OUT_OF_RANGE');
      expect(await codeOf(device.read(-1, 1))).toBe('ERR_OUT_OF_RANGE');
      expect(await codeOf(device.read(0.5, 1))).toBe('ERR_OUT_OF_RANGE');
      expect(await codeOf(device.read(0, 0))).toBe('ERR_INVALID_ARG_VALUE');
      expect(context.statistics?.issued).toBe(2);
    });

    it('refuses short, long and misaligned buffers, and anything else', async () => {
      const device = await direct();
      for (const length of [0, 1, 4095, 4097]) {
        expect(await codeOf(device.write(0, new Uint8Array(length)))).toBe('ERR_INVALID_ARG_VALUE');
      }
      expect(await codeOf(device.write(0, 'text' as never))).toBe('ERR_INVALID_ARG_TYPE');
      const memory = target.system.allocate(4 * SIZE);
      const misaligned = { memory, offset: 8, length: SIZE };
      expect(await codeOf(device.read(0, misaligned))).toBe('ERR_INVALID_ARG_VALUE');
      const long = { memory, offset: SIZE, length: 4 * SIZE };
      expect(await codeOf(device.read(0, long))).toBe('ERR_OUT_OF_RANGE');
      memory.free({ force: true });
      expect(context.statistics?.issued ?? 0).toBe(0);
    });

    it('transfers Memory without a copy, from an offset of 16 bytes on', async () => {
      const device = await direct();
      const memory = target.system.allocate(3 * SIZE);
      const bytes = new Uint8Array(memory.buffer);
      bytes.set(pattern(5), 16);
      await device.write(40, { memory, offset: 16, length: SIZE });
      await device.read(40, { memory, offset: 2 * SIZE, length: SIZE });
      expect(Buffer.from(bytes.subarray(2 * SIZE)).equals(pattern(5))).toBe(true);
      await context.close();
      memory.free();
    });

    it('gathers and scatters', async () => {
      const device = await direct();
      const memory = target.system.allocate(2 * SIZE);
      new Uint8Array(memory.buffer).set(pattern(70, 2));
      await device.writev(100, [pattern(1), memory, pattern(2, 3)]);
      const parts = [new Uint8Array(4 * SIZE), new Uint8Array(2 * SIZE)];
      await device.readv(100, parts);
      const expected = Buffer.concat([pattern(1), pattern(70, 2), pattern(2, 3)]);
      expect(Buffer.concat(parts).equals(expected)).toBe(true);
      await context.close();
      memory.free();
    });

    it('splits transfers that exceed the bounce buffer or cross a chunk boundary', async () => {
      const device = await virtual(3n * CHUNK, { bounceBytes: 16384 });
      const data = pattern(11, 30);
      await device.write(CHUNK - 13n, data);
      expect(Buffer.from(await device.read(CHUNK - 13n, 30)).equals(data)).toBe(true);
      const memory = target.system.allocate(8 * SIZE);
      await device.read(CHUNK - 4n, memory);
      const expected = data.subarray(9 * SIZE, 17 * SIZE);
      expect(Buffer.from(memory.buffer).equals(expected)).toBe(true);
      await context.close();
      memory.free();
    });

    it('completes more commands than the AFU has room for, each with its own data', async () => {
      const device = await virtual(CHUNK, { queueDepth: 300 });
      const count = 700;
      await Promise.all([...Array(count).keys()].map((i) => device.write(i, pattern(i))));
      const blocks = await Promise.all([...Array(count).keys()].map((i) => device.read(i, 1)));
      expect(blocks.every((block, i) => Buffer.from(block).equals(pattern(i)))).toBe(true);
      expect(context.statistics?.completed).toBe(2 * count);
      expect(device.statistics.bytesWritten).toBe(count * SIZE);
    });

    it('issues no more commands than the queue depth and the AFU’s room allow', async () => {
      const device = await virtual(CHUNK, { queueDepth: 200, completion: 'poll' });
      inject(context, 'hold', 1);
      const writes = [...Array(400).keys()].map((i) => device.write(i, pattern(i)));
      // cmd_room limits IOARRIN mode; the submission ring has as many entries as the queue depth.
      expect(context.statistics?.maxInFlight).toBe(mode === 'sq' ? 200 : 128);
      inject(context, 'hold', 0);
      await Promise.all(writes);
      expect(context.statistics?.completed).toBe(400);
    });

    it('keeps the resources of a context apart', async () => {
      const lun = await target.lun();
      context = await target.attach(lun);
      const first = (await context.openVirtual({ blocks: 1 })).blockDevice();
      const second = (await context.openVirtual({ blocks: 1 })).blockDevice();
      await Promise.all([first.write(0, pattern(1)), second.write(0, pattern(2))]);
      expect((await first.read(0, 1))[0]).toBe(1);
      expect((await second.read(0, 1))[0]).toBe(2);
    });

    it('unmaps', async () => {
      const device = await direct();
      expect(device.unmapSupported).toBe(true);
      await device.write(200, pattern(1, 3));
      await device.unmap(201, 1);
      const blocks = await device.read(200, 3);
      const expected = pattern(1, 3).fill(0, SIZE, 2 * SIZE);
      expect(Buffer.from(blocks).equals(expected)).toBe(true);
    });

    it('refuses to unmap 0 blocks, and past the end', async () => {
      const device = await direct();
      expect(await codeOf(device.unmap(0, 0))).toBe('ERR_OUT_OF_RANGE');
      expect(await codeOf(device.unmap(LUN_BLOCKS[0] - 1n, 2))).toBe('ERR_OUT_OF_RANGE');
      expect(await codeOf(device.unmap(LUN_BLOCKS[0], 1))).toBe('ERR_OUT_OF_RANGE');
      expect(await codeOf(device.unmap(-1n, 1))).toBe('ERR_OUT_OF_RANGE');
      expect(context.statistics?.issued ?? 0).toBe(0);
    });

    it('is EACCES in a context without the permission', async () => {
      const device = await direct({ access: 'read' });
      const error = await failure(device.write(0, pattern(1)));
      expect(error.code).toBe('EACCES');
      expect(error.status.afuCode).toBe(0x05);
      expect(error.attempts).toBe(1);
      await device.read(0, 1);
    });

    it('reports the LUN’s error when it has shrunk unnoticed', async () => {
      const device = await direct({}, 2);
      inject(context, 'capacity', 2, 500n);
      const error = await failure(device.read(600, 1));
      expect(error.sense).toMatchObject({ key: 'illegal-request', code: 0x21 });
      inject(context, 'capacity', 2, 1000n);
    });

    it('uses the other port when one fails, and reports when none is left', async () => {
      await target.lun(0, 1);
      const device = await virtual(1n);
      inject(context, 'ports', 0b10);
      await device.write(0, pattern(8));
      inject(context, 'ports', 0);
      const error = await failure(device.read(0, 1));
      expect(error.status.afuCode).toBe(0x20);
      expect(error.message).toContain('no port');
      inject(context, 'ports', 0b11);
      expect((await device.read(0, 1))[0]).toBe(8);
    });

    it('rejects at once on abort; the command still completes', async () => {
      const device = await direct({ completion: 'poll' });
      inject(context, 'hold', 1);
      const memory = target.system.allocate(SIZE);
      new Uint8Array(memory.buffer).set(pattern(6));
      const controller = new AbortController();
      const write = device.write(7, memory, { signal: controller.signal });
      const code = codeOf(write);
      controller.abort();
      expect(await code).toBe('ABORT_ERR');
      inject(context, 'hold', 0);
      await device.drained();
      expect((await device.read(7, 1))[0]).toBe(6);
      expect(await codeOf(device.read(0, 1, { signal: AbortSignal.abort() }))).toBe('ABORT_ERR');
      await context.close();
      memory.free();
    });

    it('one signal aborts twenty commands, without a leak warning of Node', async () => {
      const warnings: string[] = [];
      const onWarning = (warning: Error) => warnings.push(warning.message);
      process.on('warning', onWarning);
      try {
        const device = await direct();
        inject(context, 'hold', 1);
        const controller = new AbortController();
        const { signal } = controller;
        const reads = Array.from({ length: 20 }, (_, lba) =>
          failure(device.read(lba, 1, { signal })),
        );
        await new Promise((resolve) => setTimeout(resolve, 20));
        controller.abort();
        const names = (await Promise.all(reads)).map(({ name }) => name);
        expect(new Set(names)).toEqual(new Set(['AbortError']));
        inject(context, 'hold', 0);
        await device.drained();
        expect(warnings).toEqual([]);
      } finally {
        process.off('warning', onWarning);
      }
    });

    it('drops an aborted command that was not issued', async () => {
      const device = await direct({ queueDepth: 1, completion: 'poll' });
      inject(context, 'hold', 1);
      const first = device.write(0, pattern(1));
      const controller = new AbortController();
      const second = codeOf(device.write(0, pattern(2), { signal: controller.signal }));
      controller.abort();
      expect(await second).toBe('ABORT_ERR');
      inject(context, 'hold', 0);
      await first;
      await device.drained();
      expect((await device.read(0, 1))[0]).toBe(1);
      expect(context.statistics?.issued).toBe(2);
    });

    it('settles every command once when the context is closed', async () => {
      const device = await direct({ queueDepth: 16 });
      await device.write(0, pattern(1));
      inject(context, 'hold', 1);
      const settled: number[] = [];
      const codes = [...Array(40).keys()].map((i) =>
        codeOf(device.write(i, pattern(i)).finally(() => settled.push(i))),
      );
      const page = context.registers;
      const closing = context.close();
      expect(await Promise.all(codes)).toEqual(codes.map(() => 'ECANCELED'));
      await closing;
      expect(settled.length).toBe(40);
      expect(new Set(settled).size).toBe(40);
      expect(page.mapped).toBe(false);
      context = await target.attach(await target.lun(1));
      inject(context, 'hold', 0);
    });

    it('waits for the commands of a LUN that is detached, and cancels those not issued', async () => {
      const [lun, other] = [await target.lun(0), await target.lun(1)];
      context = await target.attach(lun, { queueDepth: 2 });
      await context.join(other);
      const device = (await context.openDirect(other)).blockDevice();
      const kept = (await context.openDirect(lun)).blockDevice();
      inject(context, 'hold', 1);
      const codes = [0, 1, 2, 3].map((i) => codeOf(device.read(i, 1)));
      const fine = kept.read(0, 1);
      let detached = false;
      const detach = context.detach(other).then(() => {
        detached = true;
      });
      expect(await codeOf(device.read(4, 1))).toBe('ERR_INVALID_STATE');
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(detached).toBe(false);
      inject(context, 'hold', 0);
      await detach;
      expect(await Promise.all(codes)).toEqual(['resolved', 'resolved', 'ECANCELED', 'ECANCELED']);
      await fine;
    });

    it('leaves events and registers of the context to the program', async () => {
      const device = await direct({ completion: 'poll' });
      const interrupt = context.context.waitForInterrupt(2, { timeout: 10_000 });
      await device.read(0, 1);
      await interrupt;
      expect(context.context.linkState()).toBe('up');
      const second = context.context.mapProblemState({ length: 65536 });
      expect(second.read64(0x38)).toBeGreaterThan(0n);
      second.unmap();
    });

    it('finds completions every watchInterval while the program reads the events', async () => {
      const device = await direct({ watchInterval: 5 });
      const controller = new AbortController();
      const other = codeOf(context.context.waitForInterrupt(4, { signal: controller.signal }));
      await device.write(0, pattern(4));
      expect((await device.read(0, 1))[0]).toBe(4);
      controller.abort();
      expect(await other).toBe('ABORT_ERR');
      await device.read(0, 1);
    });

    it('fails the commands in flight when the AFU cannot write responses', async () => {
      const device = await direct();
      await device.read(0, 1);
      // A response ring at an address without memory.
      context.registers.write64(0x28, 0x10000n);
      context.registers.write64(0x30, 0x10ff8n);
      const error = await failure(device.read(0, 1));
      expect(error.code).toBe('EREMOTEIO');
      expect(error.message).toContain('responseWrite');
      expect(await codeOf(device.read(0, 1))).toBe('EREMOTEIO');
    });

    it('refuses a resource after its release, and after the context was closed', async () => {
      const device = await direct();
      await device.resource.release();
      await device.resource.release();
      expect(await codeOf(device.read(0, 1))).toBe('ERR_INVALID_STATE');
      expect(await codeOf(device.resource.verify())).toBe('ERR_INVALID_STATE');
      const other = (await context.openDirect()).blockDevice();
      await context.close();
      expect(await codeOf(other.read(0, 1))).toBe('ERR_INVALID_STATE');
      expect(() => context.isHealthy()).toThrow(/detached/);
    });
  });
}
