import type { BlockDevice, FlashContext } from 'node-cxl/flash';
import { describe, expect, it } from 'vitest';
import { ALL_ONES_64 } from '../../lib/shared/all-ones';
import { CHUNK, COMMAND_MODES, codeOf, inject, testTarget } from './flash-target';

const SIZE = 4096;

function block(round: number, index: number): Uint8Array {
  const bytes = new Uint8Array(SIZE).fill(index);
  new DataView(bytes.buffer).setUint32(0, round);
  return bytes;
}

for (const mode of COMMAND_MODES) {
  describe(`recovery, ${mode} mode`, () => {
    const target = testTarget(mode);
    let context: FlashContext;

    async function device(options = {}): Promise<BlockDevice> {
      context = await target.attach(await target.lun(), { watchInterval: 10, ...options });
      return (await context.openVirtual({ blocks: 1000 })).blockDevice();
    }

    it('registers read as all ones; recover() replaces descriptor, mapping and id', async () => {
      const disk = await device();
      await disk.write(3, block(1, 3));
      const { id, registers: page, context: plain } = context;
      expect(context.isHealthy()).toBe(true);
      inject(context, 'errorState', 30);
      expect(page.read64(0)).toBe(ALL_ONES_64);
      expect(context.isHealthy()).toBe(false);
      const recovery = await context.recover();
      expect(recovery).toMatchObject({ reset: true, previousId: id, id: context.id });
      expect(context.id).not.toBe(id);
      expect(page.mapped).toBe(false);
      expect(plain.closed).toBe(true);
      expect(context.context.closed).toBe(false);
      expect(context.isHealthy()).toBe(true);
      expect(Buffer.from(await disk.read(3, 1)).equals(block(1, 3))).toBe(true);
    });

    it('is done by the calls that open and join', async () => {
      const lun = await target.lun();
      const other = await target.lun(1);
      context = await target.attach(lun, { watchInterval: 1000 });
      const reset = () => inject(context, 'errorState', 5);
      reset();
      const resource = await context.openVirtual({ blocks: 1 });
      expect(resource.blocks).toBe(CHUNK);
      reset();
      await context.join(other);
      reset();
      const direct = await context.openDirect(other);
      const disk = direct.blockDevice();
      await disk.write(1, block(2, 1));
      expect(Buffer.from(await disk.read(1, 1)).equals(block(2, 1))).toBe(true);
      // What has another reason stays an error.
      expect(await codeOf(context.join(other))).toBe('EINVAL');
      expect(await codeOf(context.openVirtual({ lun: other }))).toBe('EINVAL');
    });

    it('is shared by concurrent calls; a second call does nothing', async () => {
      await device();
      inject(context, 'errorState', 20);
      const [one, two] = await Promise.all([context.recover(), context.recover()]);
      expect(one).toBe(two);
      expect((await context.recover()).reset).toBe(false);
    });

    it('makes other calls wait until the reset is over', async () => {
      await device();
      inject(context, 'errorState', 30);
      const lun = await target.lun(1);
      const other = await lun.attach();
      expect(other.isHealthy()).toBe(true);
      await other.close();
    });

    it('blocks every call except MANAGE_LUN until the reset is over', async () => {
      await device();
      const [lun, other] = [await target.lun(0), await target.lun(1)];
      const order: string[] = [];
      inject(context, 'errorState', 500);
      const waiting = other.attach().finally(() => order.push('ATTACH'));
      const release = lun
        .call('RELEASE', { contextId: context.id, rsrcHandle: 0n })
        .finally(() => order.push('RELEASE'));
      await lun.enableSuperpipe().finally(() => order.push('MANAGE_LUN'));
      await release;
      await (await waiting).close();
      expect(order[0]).toBe('MANAGE_LUN');
      expect(order.length).toBe(3);
    });

    it('makes the old id invalid', async () => {
      await device();
      await context.join(await target.lun(1));
      const old = context.id;
      inject(context, 'errorState', 10);
      await context.recover();
      for (const lun of context.luns) {
        expect(await codeOf(lun.call('RECOVER_AFU', { contextId: old }))).toBe('EINVAL');
        expect(await codeOf(lun.call('RECOVER_AFU', { contextId: context.id }))).toBe('resolved');
      }
    });

    it('during 64 writes loses none: each acknowledged one reads back', async () => {
      const disk = await device({ completion: 'poll' });
      let issued = 0;
      for (let round = 1; round <= 5; round += 1) {
        const acknowledged = new Set<number>();
        const writes = [...Array(64).keys()].map((i) =>
          disk.write(i, block(round, i)).then(() => acknowledged.add(i)),
        );
        // Some are executed; the rest is held in the AFU.
        if (round % 2 === 0) inject(context, 'hold', 1);
        inject(context, 'errorState', 15);
        await Promise.all(writes);
        expect(acknowledged.size).toBe(64);
        for (const i of acknowledged) {
          expect(Buffer.from(await disk.read(i, 1)).equals(block(round, i))).toBe(true);
        }
        issued = context.statistics?.issued ?? 0;
      }
      const statistics = context.statistics;
      expect(statistics?.resets).toBe(5);
      expect(statistics?.failed).toBe(0);
      expect(statistics?.completed).toBe(5 * 64 * 2);
      expect(issued).toBe(5 * 64 * 2 + (statistics?.reissued ?? 0));
    });

    it('fails each command that it ended with ECANCELED under onReset: fail', async () => {
      const disk = await device({ onReset: 'fail', queueDepth: 64 });
      await disk.write(0, block(1, 0));
      inject(context, 'hold', 1);
      const codes = [...Array(64).keys()].map((i) => codeOf(disk.write(i, block(2, i))));
      inject(context, 'errorState', 15);
      const outcome = await Promise.all(codes);
      expect(outcome).toEqual(codes.map(() => 'ECANCELED'));
      // The context works again; the writes that failed were not executed here.
      expect(Buffer.from(await disk.read(0, 1)).equals(block(1, 0))).toBe(true);
      await disk.write(5, block(3, 5));
      expect(Buffer.from(await disk.read(5, 1)).equals(block(3, 5))).toBe(true);
    });
  });
}
