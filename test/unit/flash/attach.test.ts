// What attach() undoes when a step after the ioctl fails.
import { openLun } from 'node-cxl/flash';
import { createMockCxl } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { codeOf } from '../../conformance/flash-target';
import { withHook } from '../flash-seam';

describe('an attach() that fails after ATTACH', () => {
  for (const name of ['adopt', 'map'] as const) {
    it(`leaves no context behind: ${name} fails`, async () => {
      const system = createMockCxl({ cards: [], flash: [{ contexts: 1 }] });
      const node = system.flash.adapters[0]?.nodes[0] ?? '';
      const lun = await openLun(node, { system });
      await lun.enableSuperpipe();
      for (let i = 0; i < 3; i += 1) {
        system.inject({ name, errno: 'ENOMEM' });
        expect(await codeOf(lun.attach())).toBe('ENOMEM');
      }
      // The adapter has one context, and it is free.
      const context = await lun.attach();
      expect(await codeOf(lun.attach())).toBe('ENODEV');
      await context.close();
      await lun.disableSuperpipe();
      await lun.close();
    });
  }
});

// READ CAPACITY is the LUN's answer, which the driver passes on: blocks of 0 bytes would be divided by,
// and with none that a command can transfer, splitting a transfer would not end.
describe('a LUN whose blocks cannot be transferred', () => {
  const geometries = [
    { blockSize: 0n },
    { blockSize: 511n },
    { blockSize: 8192n },
    { blockSize: 2n ** 32n - 1n },
    { maxXfer: 0n },
    { maxXfer: 2n ** 20n },
  ];
  for (const geometry of geometries) {
    const [[field, value] = []] = Object.entries(geometry);
    it(`is refused, and detached: ${field} ${value}`, async () => {
      const mock = createMockCxl({
        cards: [],
        flash: [{ ports: 1, luns: [{ blocks: 65536 }, { blocks: 65536 }] }],
      });
      let wrong = true;
      const system = withHook(
        mock,
        () => undefined,
        (name, answer) => (name === 'ATTACH' && wrong ? { ...answer, ...geometry } : answer),
      );
      const [lun, other] = await Promise.all(
        ['/dev/sg1', '/dev/sg2'].map((node) => openLun(node, { system })),
      );
      for (const each of [lun!, other!]) await each.enableSuperpipe();
      const refusal = await lun!.attach().catch((error) => error);
      expect(refusal).toMatchObject({
        code: 'EBADMSG',
        syscall: 'ioctl(ATTACH)',
        path: '/dev/sg1',
      });
      expect(refusal.message).toContain('the LUN says');
      expect(mock.counters.contexts).toBe(0);
      wrong = false;
      const context = await lun!.attach();
      wrong = true;
      expect(await codeOf(context.join(other!))).toBe('EBADMSG');
      expect(context.luns).toEqual([lun]);
      // It is not attached: it can be.
      wrong = false;
      await context.join(other!);
      expect(await (await context.openDirect(other)).blockDevice().read(0, 1)).toHaveLength(4096);
      await context.close();
      expect(mock.counters).toMatchObject({ files: 0, contexts: 0 });
    });
  }
});
