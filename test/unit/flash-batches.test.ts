/** What goes together in the command queue: doorbells, completions, and turns of the event loop. */
import type { Cxl } from 'node-cxl';
import { type BlockDevice, type FlashContext, openLun } from 'node-cxl/flash';
import { createMockCxl, type MockCxl } from 'node-cxl/mock';
import { afterEach, describe, expect, it } from 'vitest';
import { type Failure, withHook } from './flash-seam';

const SIZE = 4096;
const DOORBELLS = { ioarrin: 'write64(0x20)', sq: 'write64(0x68)' } as const;

const read = (lba: number) => ({
  operation: 'read' as const,
  lba,
  into: new Uint8Array(SIZE),
});
const write = (lba: number) => ({
  operation: 'write' as const,
  lba,
  from: new Uint8Array(SIZE).fill(lba + 1),
});
const range = (count: number) => Array.from({ length: count }, (_, index) => index);

for (const commandMode of ['ioarrin', 'sq'] as const) {
  describe(`a batch, ${commandMode} mode`, () => {
    let mock: MockCxl;
    let context: FlashContext;
    let calls: string[] = [];
    let failing: (call: string) => Failure = () => undefined;

    async function open(completion: 'interrupt' | 'poll', queueDepth = 16): Promise<BlockDevice> {
      mock = createMockCxl({ cards: [], flash: [{ commandMode, luns: [{ blocks: 65536 }] }] });
      const system: Cxl = withHook(mock, (call) => {
        calls.push(call);
        return failing(call);
      });
      const lun = await openLun('/dev/sg1', { system });
      await lun.enableSuperpipe();
      context = await lun.attach({ completion, queueDepth });
      const device = (await context.openDirect()).blockDevice();
      await device.write(0, new Uint8Array(SIZE));
      calls = [];
      return device;
    }
    const count = (name: string) => calls.filter((call) => call === name).length;

    afterEach(async () => {
      failing = () => undefined;
      await context.close().catch(() => undefined);
    });

    it('of commands submitted together rings the doorbell of a ring once', async () => {
      const device = await open('interrupt');
      await Promise.all(device.submit(range(8).map(read)));
      expect(count(DOORBELLS[commandMode])).toBe(commandMode === 'sq' ? 1 : 8);
    });

    it('of separate calls in one turn of the event loop rings the doorbell of a ring once', async () => {
      const device = await open('interrupt');
      const lanes = range(8).map(async (lba) => {
        await device.read(lba, 1);
        // The completions of all have come together, and so these calls do.
        await device.read(lba, 1);
      });
      await Promise.all(lanes);
      expect(count(DOORBELLS[commandMode])).toBe(commandMode === 'sq' ? 2 : 16);
    });

    it('of many commands rings the doorbell for 16 at a time, so that the AFU begins', async () => {
      const device = await open('interrupt', 64);
      const reads = range(40).map((lba) => device.read(lba, 1));
      if (commandMode === 'sq') expect(count(DOORBELLS.sq)).toBe(2);
      await Promise.all([...reads, ...device.submit(range(24).map(read))]);
      expect(count(DOORBELLS[commandMode])).toBe(commandMode === 'sq' ? 4 : 64);
    });

    it('is rung for where a program has replaced process.nextTick()', async () => {
      const device = await open('interrupt');
      const { nextTick } = process;
      process.nextTick = () => undefined;
      const reading = device.read(0, 1);
      process.nextTick = nextTick;
      expect(await reading).toHaveLength(SIZE);
    });

    it('that waits for its doorbell when the context is recovered is carried out once', async () => {
      const device = await open('interrupt');
      const executed = mock.flash.adapters[0]?.executed ?? 0;
      const writes = range(4).map((lba) => device.write(lba, write(lba).from));
      const recovery = context.recover();
      await Promise.all([...writes, recovery]);
      expect((await recovery).reset).toBe(false);
      expect(device.queueStatistics.contextResets).toBe(0);
      expect((mock.flash.adapters[0]?.executed ?? 0) - executed).toBe(4);
    });

    it('whose doorbell faults is carried out after a reset of the context, each command once', async () => {
      const device = await open('interrupt');
      let faults = 1;
      failing = (call) => {
        if (call !== DOORBELLS[commandMode] || faults === 0) return undefined;
        faults -= 1;
        return 'fault';
      };
      let settled = 0;
      const transfers = device.submit(range(8).map(write));
      for (const transfer of transfers) {
        transfer.then(() => {
          settled += 1;
        });
      }
      await Promise.all(transfers);
      expect(settled).toBe(8);
      for (const lba of range(8)) {
        expect((await device.read(lba, 1))[0]).toBe(lba + 1);
      }
      expect(device.queueStatistics.contextResets + device.queueStatistics.resets).toBe(1);
    });

    it('with a command that cannot be prepared announces the others', async () => {
      const device = await open('interrupt');
      const detached = new Uint8Array(new ArrayBuffer(SIZE));
      const requests = range(6).map((lba) =>
        lba === 3 ? { operation: 'write' as const, lba, from: detached } : write(lba),
      );
      // The slots are taken, so that the commands wait while the buffer goes away.
      mock.flash.adapters[0]?.hold(true);
      const before = device.submit(range(16).map(read));
      const transfers = device.submit(requests);
      structuredClone(detached.buffer, { transfer: [detached.buffer] });
      mock.flash.adapters[0]?.hold(false);
      const results = await Promise.allSettled([...before, ...transfers]);
      expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(1);
    });

    it('of completions settles by one interrupt, in one turn of the event loop', async () => {
      const device = await open('interrupt');
      mock.flash.adapters[0]?.hold(true);
      let turn = 0;
      const turns = new Set<number>();
      const transfers = device.submit(range(16).map(read));
      for (const transfer of transfers) transfer.then(() => turns.add(turn));
      const clock = setInterval(() => {
        turn += 1;
      }, 0);
      const { interrupts } = device.queueStatistics;
      mock.flash.adapters[0]?.hold(false);
      await Promise.all(transfers);
      clearInterval(clock);
      expect(turns.size).toBe(1);
      expect(device.queueStatistics.interrupts - interrupts).toBeLessThanOrEqual(1);
    });
  });
}

describe('polling at depth 128', () => {
  it('lets timers run on time', async () => {
    const mock = createMockCxl({ cards: [], flash: [{ luns: [{ blocks: 65536 }] }] });
    const lun = await openLun('/dev/sg1', { system: mock });
    await lun.enableSuperpipe();
    const context = await lun.attach({ completion: 'poll', queueDepth: 128 });
    const device = (await context.openDirect()).blockDevice();
    const end = performance.now() + 500;
    let commands = 0;
    const lanes = range(128).map(async (lane) => {
      const buffer = new Uint8Array(SIZE);
      while (performance.now() < end) {
        await device.read(lane, buffer);
        commands += 1;
      }
    });
    // Processor time, so that a busy machine changes nothing: of a turn of the event loop, and so
    // how late a timer can be.
    let [ticks, longest, before] = [0, 0, process.cpuUsage()];
    const clock = setInterval(() => {
      ticks += 1;
    }, 5);
    const turn = () => {
      const { user, system } = process.cpuUsage(before);
      longest = Math.max(longest, (user + system) / 1000);
      before = process.cpuUsage();
      if (performance.now() < end) setImmediate(turn);
    };
    turn();
    await Promise.all(lanes);
    clearInterval(clock);
    expect(commands).toBeGreaterThan(128);
    expect(ticks).toBeGreaterThan(0);
    expect(longest).toBeLessThan(100);
    await context.close();
    await lun.close();
  });
});
