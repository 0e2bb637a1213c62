// What attach() undoes when a step after the ioctl fails.
import { openLun } from 'node-cxl/flash';
import { createMockCxl } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { codeOf } from '../../conformance/flash-target';

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
