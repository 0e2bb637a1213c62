import { describe, expect, it } from 'vitest';
import { ended, prelude, runNode } from './child';

describe.skipIf(process.arch === 'ppc64')('a thread wake-up, which only POWER9 has', () => {
  it('is EOPNOTSUPP at once, also without a time-out', async () => {
    const child = await runNode(
      `${prelude}
      const queue = cxl.allocate(cxl.pageSize);
      const context = await cxl.open(device);
      const { tid } = context.attachSync({ wed: queue.address | 1n, holds: [queue], tid: true });
      const tries = [() => context.waitForWakeup(), () => context.waitForWakeup({ memory: queue })];
      for (const attempt of tries) {
        try { attempt(); } catch (error) { console.log(tid > 0, error.code, error.syscall); }
      }
      const file = addon.adoptAfu(context.fd, false);
      console.log(file.waitForWakeup(new BigUint64Array(1), 1));
      for (const word of [null, new Uint8Array(8), new BigUint64Array(0)]) {
        try { file.waitForWakeup(word, 1); } catch (error) { console.log(error.code); }
      }
      await context.close();
      `,
      { env: { CXLSIM_CAIA: '2' } },
    );
    const refused = 'ERR_INVALID_ARG_TYPE\n'.repeat(3);
    expect(child).toEqual(ended(`${'true EOPNOTSUPP waitForWakeup\n'.repeat(2)}-95\n${refused}`));
  }, 60_000);
});
