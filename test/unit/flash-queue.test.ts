/** The command queue where something fails while it moves a command: on a mock whose seam fails. */
import type { Cxl } from 'node-cxl';
import { type FlashAttachOptions, type FlashContext, type Lun, openLun } from 'node-cxl/flash';
import { createMockCxl, type MockCxl } from 'node-cxl/mock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codeOf, inject, statusWord } from '../conformance/flash-target';
import { type Failure, withHook } from './flash-seam';

const SIZE = 4096;
const EIO = -5;
const ENODEV = -19;
const EMFILE = -24;
const CHUNK = 65536;

const filled = (value: number, blocks = 1) => new Uint8Array(blocks * SIZE).fill(value);
const sleep = (time: number) => new Promise((resolve) => setTimeout(resolve, time));

/** Whether the promise settles within `time` milliseconds. */
function settles(promise: Promise<unknown>, time = 2000): Promise<boolean> {
  const settled = promise.then(
    () => true,
    () => true,
  );
  return Promise.race([settled, sleep(time).then(() => false)]);
}

for (const commandMode of ['ioarrin', 'sq'] as const) {
  describe(`the command queue, ${commandMode} mode`, () => {
    const doorbell = commandMode === 'sq' ? 'write64(0x68)' : 'write64(0x20)';
    let mock: MockCxl;
    let system: Cxl;
    let lun: Lun;
    let context: FlashContext;
    /** Decides which calls fail. */
    let failing: (call: string) => Failure;
    let calls: string[];

    beforeEach(async () => {
      mock = createMockCxl({
        cards: [],
        flash: [{ commandMode, commandRoom: 2, luns: [{ blocks: 4 * CHUNK }, { blocks: 1000 }] }],
      });
      calls = [];
      failing = () => undefined;
      system = withHook(mock, (call) => {
        calls.push(call);
        return failing(call);
      });
      lun = await openLun('/dev/sg1', { system });
      await lun.enableSuperpipe();
    });

    afterEach(async () => {
      failing = () => undefined;
      await context.close().catch(() => undefined);
      mock.flash.adapters[0]?.hold(false);
      expect(mock.counters.contexts).toBe(0);
    });

    async function virtual(options: FlashAttachOptions = {}, blocks = 1000) {
      context = await lun.attach({ watchInterval: 20, ...options });
      return (await context.openVirtual({ blocks })).blockDevice();
    }

    /** The n-th call of that name from now on fails, once. */
    function failOnce(name: string, n: number, failure: Failure): void {
      let count = 0;
      failing = (call) => {
        if (call !== name) return undefined;
        count += 1;
        return count === n ? failure : undefined;
      };
    }

    it('issues a command once when a later one’s doorbell or cmd_room fails', async () => {
      for (const name of [doorbell, 'read64(0x38)']) {
        const device = await virtual({ queueDepth: 8 });
        await device.read(0, 1);
        const before = mock.flash.adapters[0]?.executed ?? 0;
        failOnce(name, 2, 'fault');
        const writes = [...Array(6).keys()].map((i) => device.write(i, filled(i + 1)));
        await Promise.all(writes);
        await device.drained();
        const statistics = context.statistics;
        const executed = (mock.flash.adapters[0]?.executed ?? 0) - before;
        expect(executed).toBeLessThanOrEqual(6 + (statistics?.reissued ?? 0));
        for (let i = 0; i < 6; i += 1) expect((await device.read(i, 1))[0]).toBe(i + 1);
        expect(statistics?.completed).toBe(13);
        await context.close();
      }
    });

    it('counts the most in flight and the room that ran out; drained() waits for all', async () => {
      const adapter = mock.flash.adapters[0];
      const device = await virtual({ queueDepth: 8 });
      adapter?.hold(true);
      const writes = [...Array(6).keys()].map((i) => device.write(i, filled(i + 1)));
      const drained = device.drained();
      expect(await settles(drained, 50)).toBe(false);
      adapter?.hold(false);
      await Promise.all(writes);
      await drained;
      const { maxInFlight, roomExhausted, unexpectedResponses } = context.statistics!;
      expect(maxInFlight).toBeGreaterThan(1);
      // A ring has room for all that has a slot.
      expect(roomExhausted > 0).toBe(commandMode === 'ioarrin');
      expect(unexpectedResponses).toBe(0);
      await device.read(0, 1);
      expect(context.statistics).toMatchObject({ maxInFlight, roomExhausted });
    });

    it('does not run a write that was rejected (onReset: fail)', async () => {
      const adapter = mock.flash.adapters[0];
      const device = await virtual({ queueDepth: 2, onReset: 'fail' });
      inject(context, 'hold', 1);
      const writes = [...Array(8).keys()].map((i) => codeOf(device.write(i, filled(2))));
      // The first two are in flight. When they have completed, a third one is held in the AFU, and
      // the doorbell of the fourth faults: the adapter is in error. A ring has one doorbell for both.
      const faulty = commandMode === 'sq' ? 1 : 2;
      let stores = 0;
      failing = (call) => {
        if (call !== doorbell) return undefined;
        stores += 1;
        if (stores === 1) adapter?.hold(true);
        if (stores !== faulty) return undefined;
        failing = () => undefined;
        adapter?.reset(20);
        return 'fault';
      };
      adapter?.hold(false);
      const codes = await Promise.all(writes);
      await device.write(9, filled(3));
      await device.drained();
      expect(codes).toContain('ECANCELED');
      for (const [i, code] of codes.entries()) {
        const [byte] = await device.read(i, 1);
        expect([i, code, byte]).toEqual([i, code, code === 'resolved' ? 2 : 0]);
      }
    });

    it('gets a slot back whose doorbell faulted: drained() ends', async () => {
      const device = await virtual({ queueDepth: 4 });
      await device.read(0, 1);
      for (let i = 0; i < 8; i += 1) {
        failOnce(doorbell, 1, 'fault');
        const write = device.write(i, filled(i + 1));
        expect(await settles(write)).toBe(true);
        expect(await settles(device.drained())).toBe(true);
      }
      expect((await device.read(7, 1))[0]).toBe(8);
    });

    it('a write of a resource that is released does not reach the next resource', async () => {
      const device = await virtual({ queueDepth: 1 });
      const { resource } = device;
      inject(context, 'hold', 1);
      const first = codeOf(device.write(0, filled(1)));
      const second = codeOf(device.write(1, filled(2)));
      const release = resource.release();
      expect(await codeOf(device.write(2, filled(3)))).toBe('ERR_INVALID_STATE');
      await sleep(20);
      mock.flash.adapters[0]?.hold(false);
      await release;
      expect([await first, await second]).toEqual(['resolved', 'ECANCELED']);
      const next = await context.openVirtual({ blocks: 1000 });
      expect(next.handle).toBe(resource.handle);
      await next.blockDevice().write(5, filled(5));
      const executed = mock.flash.adapters[0]?.executed;
      await sleep(20);
      expect(mock.flash.adapters[0]?.executed).toBe(executed);
      expect((await next.blockDevice().read(1, 1))[0]).not.toBe(2);
    });

    it('a retry of a resource that is released does not reach the next resource', async () => {
      const device = await virtual();
      inject(context, 'status', 0, statusWord({ scsi: 8 }), 1);
      const write = codeOf(device.write(1, filled(9)));
      for (let i = 0; i < 200 && context.statistics?.retried === 0; i += 1) await sleep(1);
      await device.resource.release();
      const next = await context.openVirtual({ blocks: 1000 });
      await next.blockDevice().write(1, filled(1));
      expect(await write).toBe('ECANCELED');
      await sleep(50);
      expect((await next.blockDevice().read(1, 1))[0]).toBe(1);
    });

    it('a resource that could not be released can be used again', async () => {
      const device = await virtual();
      failOnce('ioctl(RELEASE)', 1, EIO);
      expect(await codeOf(device.resource.release())).toBe('EIO');
      await device.write(0, filled(1));
      await device.resource.release();
      expect(device.resource.released).toBe(true);
    });

    it('a write beyond the new end is canceled before the LUN shrinks', async () => {
      const device = await virtual({ queueDepth: 1 }, 2 * CHUNK);
      inject(context, 'hold', 1);
      const first = codeOf(device.write(CHUNK, filled(1)));
      const beyond = codeOf(device.write(CHUNK + 1, filled(2)));
      const within = codeOf(device.write(3, filled(3)));
      const resize = device.resource.resize(CHUNK);
      await sleep(5);
      expect(await codeOf(device.write(CHUNK, filled(4)))).toBe('ERR_OUT_OF_RANGE');
      mock.flash.adapters[0]?.hold(false);
      expect((await resize).blocks).toBe(BigInt(CHUNK));
      expect([await first, await beyond, await within]).toEqual([
        'resolved',
        'ECANCELED',
        'resolved',
      ]);
    });

    it('refuses a Memory that was freed, also while the command waits', async () => {
      const device = await virtual({ queueDepth: 1 });
      const freed = system.allocate(SIZE);
      freed.free({ force: true });
      expect(await codeOf(device.read(0, freed))).toBe('ERR_INVALID_STATE');
      inject(context, 'hold', 1);
      const first = device.read(0, 1);
      const later = system.allocate(SIZE);
      const second = codeOf(device.read(0, later));
      later.free({ force: true });
      mock.flash.adapters[0]?.hold(false);
      await first;
      expect(await second).toBe('ERR_INVALID_STATE');
      await device.drained();
    });

    it('keeps the Memory of a command that is in flight, also an aborted one', async () => {
      const device = await virtual();
      const memory = system.allocate(SIZE);
      inject(context, 'hold', 1);
      const controller = new AbortController();
      const aborted = codeOf(device.read(0, memory, { signal: controller.signal }));
      const read = device.read(0, memory);
      expect(() => memory.free()).toThrow(/EBUSY.*a transfer in flight \(resource handle 0\)/);
      controller.abort();
      expect(await aborted).toBe('ABORT_ERR');
      memory[Symbol.dispose]();
      expect(memory.freed).toBe(false);
      mock.flash.adapters[0]?.hold(false);
      await read;
      await device.drained();
      expect(memory.freed).toBe(true);
      const next = system.allocate(SIZE);
      await device.read(0, next);
      next.free();
    });

    it('rejects a transfer whose buffer is detached, and nothing else', async () => {
      const device = await virtual({ queueDepth: 2 });
      inject(context, 'hold', 1);
      const buffers = [...Array(6).keys()].map((i) => filled(i + 1));
      const writes = buffers.map((buffer, i) => codeOf(device.write(i, buffer)));
      const target = filled(0);
      const readBefore = device.read(9, 1);
      const read = codeOf(device.read(8, target));
      // Of the writes, the third one waits.
      structuredClone(buffers[2], { transfer: [(buffers[2] as Uint8Array).buffer as ArrayBuffer] });
      structuredClone(target, { transfer: [target.buffer] });
      mock.flash.adapters[0]?.hold(false);
      expect(await Promise.all(writes)).toEqual(
        buffers.map((_, i) => (i === 2 ? 'ERR_INVALID_STATE' : 'resolved')),
      );
      expect(await read).toBe('ERR_INVALID_STATE');
      await readBefore;
      expect(await settles(device.drained())).toBe(true);
      expect((await device.read(5, 1))[0]).toBe(6);
    });

    for (const completion of ['interrupt', 'poll'] as const) {
      it(`rejects a read whose buffer is detached in flight, by ${completion}`, async () => {
        const device = await virtual({ queueDepth: 2, completion });
        inject(context, 'hold', 1);
        const target = filled(0);
        const other = device.read(1, 1);
        const read = codeOf(device.read(0, target));
        structuredClone(target, { transfer: [target.buffer] });
        mock.flash.adapters[0]?.hold(false);
        expect(await settles(read)).toBe(true);
        expect(await read).toBe('ERR_INVALID_STATE');
        await other;
        expect(await settles(device.drained())).toBe(true);
      });
    }

    for (const [step, failure] of [
      ['ioctl(RECOVER_AFU)', EIO],
      ['adopt', EMFILE],
      ['adopt', ENODEV],
      ['map', EIO],
      ['write64(0x28)', 'fault'],
      ['read64(0x40)', 'ones'],
    ] as const) {
      it(`loses nothing when recovery fails at ${step}, ${failure}`, async () => {
        const device = await virtual({ queueDepth: 8 });
        await device.write(0, filled(1));
        const { id } = context;
        inject(context, 'hold', 1);
        const writes = [...Array(12).keys()].map((i) => device.write(i, filled(i + 2)));
        failOnce(step, 1, failure);
        inject(context, 'errorState', 10);
        expect(await settles(Promise.all(writes), 10_000)).toBe(true);
        await Promise.all(writes);
        expect(context.id).not.toBe(id);
        for (let i = 0; i < 12; i += 1) expect((await device.read(i, 1))[0]).toBe(i + 2);
        expect((await context.recover()).reset).toBe(false);
        await context.close();
      });

      it(`recover() goes on where it failed at ${step}, ${failure}`, async () => {
        const device = await virtual();
        await device.write(0, filled(1));
        const { id } = context;
        inject(context, 'errorState', 10);
        failOnce(step, 1, failure);
        expect(await codeOf(context.recover())).toBe(failure === EMFILE ? 'EMFILE' : 'EIO');
        await context.recover();
        expect(context.id).not.toBe(id);
        expect((await device.read(0, 1))[0]).toBe(1);
      });

      it(`close() works after recovery failed at ${step}, ${failure}`, async () => {
        const device = await virtual();
        await device.write(0, filled(1));
        inject(context, 'errorState', 10);
        failOnce(step, 1, failure);
        expect(await codeOf(context.recover())).not.toBe('resolved');
        await context.close();
        expect(mock.counters.contexts).toBe(0);
        expect(mock.counters.mappings).toBe(0);
      });
    }

    it('survives a reset between RECOVER_AFU and the use of its answer', async () => {
      const device = await virtual({ queueDepth: 8 });
      await device.write(0, filled(1));
      const { id } = context;
      inject(context, 'hold', 1);
      const writes = [...Array(12).keys()].map((i) => device.write(i, filled(i + 2)));
      let resets = 0;
      failing = (call) => {
        if (call === 'adopt' && resets < 2) {
          resets += 1;
          mock.flash.adapters[0]?.reset(2);
        }
        return undefined;
      };
      inject(context, 'errorState', 10);
      expect(await settles(Promise.all(writes), 10_000)).toBe(true);
      await Promise.all(writes);
      expect(resets).toBe(2);
      expect(context.id).not.toBe(id);
      for (let i = 0; i < 12; i += 1) expect((await device.read(i, 1))[0]).toBe(i + 2);
    });

    it('rejects the commands when recovery keeps failing, and works again when it does not', async () => {
      const device = await virtual();
      await device.write(0, filled(1));
      failing = (call) => (call === 'ioctl(RECOVER_AFU)' ? EIO : undefined);
      inject(context, 'hold', 1);
      const codes = [1, 2, 3].map((i) => codeOf(device.write(i, filled(2))));
      inject(context, 'errorState', 5);
      expect(await Promise.all(codes)).toEqual(['EIO', 'EIO', 'EIO']);
      failing = () => undefined;
      await device.write(4, filled(4));
      expect((await device.read(4, 1))[0]).toBe(4);
      expect((await device.read(0, 1))[0]).toBe(1);
      await device.drained();
    });

    it('resets the context when a command hangs, and issues it again', async () => {
      const device = await virtual({ responseTimeout: 60 });
      const { id } = context;
      await device.write(0, filled(1));
      inject(context, 'hold', 1);
      const write = device.write(0, filled(2));
      while (context.statistics?.contextResets === 0) await sleep(5);
      mock.flash.adapters[0]?.hold(false);
      expect(await settles(write)).toBe(true);
      await write;
      expect((await device.read(0, 1))[0]).toBe(2);
      expect(context.id).toBe(id);
      expect(context.statistics?.timeouts).toBeGreaterThan(0);
      await device.drained();
    });

    it('fails a command that hangs at every attempt with ETIMEDOUT', async () => {
      for (const [retries, onReset, attempts] of [
        [2, 'retry', 3],
        [5, 'fail', 1],
      ] as const) {
        const device = await virtual({ responseTimeout: 40, retries, onReset });
        inject(context, 'hold', 1);
        const before = context.statistics?.issued ?? 0;
        const write = device.write(0, filled(2));
        expect(await settles(write)).toBe(true);
        expect(await codeOf(write)).toBe('ETIMEDOUT');
        expect((context.statistics?.issued ?? 0) - before).toBe(attempts);
        expect(context.statistics?.timeoutFailures).toBe(1);
        mock.flash.adapters[0]?.hold(false);
        await device.write(0, filled(3));
        await device.drained();
        await context.close();
      }
    });

    it('recovers by RECOVER_AFU when a context that hangs cannot be reset', async () => {
      const device = await virtual({ responseTimeout: 40, retries: 1 });
      await device.write(0, filled(1));
      inject(context, 'hold', 1);
      const reset = commandMode === 'sq' ? 'read64(0x70)' : 'read64(0x20)';
      failing = (call) => (call === reset ? 'ones' : undefined);
      const write = codeOf(device.write(0, filled(2)));
      for (let i = 0; i < 200 && !calls.includes('ioctl(RECOVER_AFU)'); i += 1) await sleep(5);
      expect(calls).toContain('ioctl(RECOVER_AFU)');
      failing = () => undefined;
      mock.flash.adapters[0]?.hold(false);
      expect(await settles(write)).toBe(true);
      expect(await write).toBe('resolved');
      expect(context.statistics?.contextResetFailures).toBeGreaterThan(0);
    });

    it('collects completions without spinning while waits for events fail', async () => {
      const device = await virtual({ watchInterval: 60_000 });
      await device.write(0, filled(1));
      failing = (call) => (call === 'wait' ? EMFILE : undefined);
      calls.length = 0;
      inject(context, 'hold', 1);
      const write = device.write(1, filled(2));
      await sleep(500);
      const made = calls.length;
      expect(made).toBeLessThan(100);
      expect(calls).not.toContain('ioctl(RECOVER_AFU)');
      mock.flash.adapters[0]?.hold(false);
      expect(await settles(write)).toBe(true);
      failing = () => undefined;
      expect((await device.read(1, 1))[0]).toBe(2);
    });

    it('aborts waiting transfers in a time that grows with their number, not its square', async () => {
      const device = await virtual({ queueDepth: 1 });
      inject(context, 'hold', 1);
      const memory = system.allocate(SIZE);
      const abort = async (count: number): Promise<number> => {
        const controller = new AbortController();
        const { signal } = controller;
        const reads = Array.from({ length: count }, () =>
          codeOf(device.read(0, memory, { signal })),
        );
        await sleep(1);
        // Time of the processor, so that other processes do not count.
        const start = process.cpuUsage();
        controller.abort();
        const { user, system: kernel } = process.cpuUsage(start);
        expect(new Set(await Promise.all(reads))).toEqual(new Set(['ABORT_ERR']));
        return user + kernel;
      };
      await abort(1000);
      const few = Math.min(await abort(1000), await abort(1000));
      const many = await abort(10_000);
      // 10 times as many; 100 is the square of that.
      expect(many / few).toBeLessThan(50);
      mock.flash.adapters[0]?.hold(false);
      await device.drained();
      memory.free({ force: true });
    });

    it('a clone that fails halfway leaves no handles: it can be repeated', async () => {
      await virtual({}, 5);
      await context.openVirtual({ blocks: 1 });
      let verifies = 0;
      const child = withHook(mock.flash.process() as MockCxl, (call) => {
        if (call !== 'ioctl(VERIFY)') return undefined;
        verifies += 1;
        return verifies === 2 ? EIO : undefined;
      });
      const own = await openLun('/dev/sg1', { system: child });
      const clone = await own.attach();
      expect(await codeOf(clone.cloneFrom(context.cloneToken()))).toBe('EIO');
      expect(clone.resources).toEqual([]);
      const resources = await clone.cloneFrom(context.cloneToken());
      expect(resources.map(({ handle }) => handle)).toEqual([0, 1]);
      await clone.close();
    });

    it('sees errors of the AFU’s own accesses while polling', async () => {
      const device = await virtual({ completion: 'poll' });
      await device.read(0, 1);
      // A response ring at an address without memory.
      context.registers.write64(0x28, 0x10000n);
      context.registers.write64(0x30, 0x10ff8n);
      const read = device.read(0, 1);
      expect(await settles(read)).toBe(true);
      expect(await codeOf(read)).toBe('EREMOTEIO');
    });

    it('reports underrun, overrun and link codes beside a recovered error', async () => {
      const device = await virtual({ retries: 0 });
      const check = { flags: 0x80, scsi: 2 };
      for (const codes of [
        { ...check, flags: 0x90 },
        { ...check, flags: 0xa0 },
        { ...check, fc: 0x5a, flags: 0x90 },
        { ...check, fc: 0x57 },
      ]) {
        inject(context, 'status', 0x010000, statusWord(codes));
        expect(await codeOf(device.read(0, 1))).not.toBe('resolved');
      }
      inject(context, 'status', 0x010000, statusWord(check));
      await device.read(0, 1);
    });

    it('recovers over a LUN that is open, or opens one, after the program closed its LUN', async () => {
      const device = await virtual();
      const other = await openLun('/dev/sg3', { system });
      await other.enableSuperpipe();
      await context.join(other);
      await device.write(0, filled(1));
      await lun.close();
      inject(context, 'errorState', 10);
      expect((await device.read(0, 1))[0]).toBe(1);
      await other.close();
      inject(context, 'errorState', 10);
      expect((await device.read(0, 1))[0]).toBe(1);
      expect(context.statistics?.resets).toBe(2);
    });

    it('gives up when recoveries succeed and do not help, and works again when they do', async () => {
      const device = await virtual();
      await device.write(0, filled(1));
      failing = (call) => (call === doorbell ? 'fault' : undefined);
      const write = device.write(1, filled(1));
      expect(await settles(write, 10_000)).toBe(true);
      expect(await codeOf(write)).not.toBe('resolved');
      expect(calls.filter((call) => call === 'ioctl(RECOVER_AFU)').length).toBeLessThan(10);
      failing = () => undefined;
      await device.write(1, filled(2));
      expect((await device.read(1, 1))[0]).toBe(2);
      await device.drained();
    });
  });
}
