import { describe, expect, it } from 'vitest';
import { ended, prelude, runNode } from './child';

/** Node's own open gives a descriptor that blocks, as another program's might. */
const blocking = `${prelude}
import { openSync, closeSync, fstatSync } from 'node:fs';
const fd = openSync(device, 'r+');
const open = () => { try { fstatSync(fd); return true; } catch { return false; } };
const flags = () => parseInt(/flags:\\s*(\\d+)/.exec(readFileSync('/proc/self/fdinfo/' + fd, 'latin1'))[1], 8);
`;

describe('an adopted descriptor', () => {
  it('that blocks: events come, and no read ever waits', async () => {
    const child = await runNode(
      `${blocking}
      const before = flags();
      const context = cxl.adopt(fd, { owned: true, mmioSize: 1 << 16 });
      const queue = cxl.allocate(cxl.pageSize);
      await context.attach({ wed: queue.address | 1n, interrupts: 4, holds: [queue] });
      const area = context.mapProblemState({ endian: 'big' });
      let beats = 0;
      const timer = setInterval(() => { ++beats; }, 5);
      for (let i = 0; i < 20; ++i) {
        area.write64(0x1000, (1n << 56n) | 0b1011n);
        for (const irq of [1, 2, 4]) await context.waitForInterrupt(irq, { timeout: 5000 });
      }
      const nothing = await context.waitForEvent({ timeout: 100 }).catch((error) => error.code);
      clearInterval(timer);
      console.log(nothing, beats > 5, flags() === before);
      await context.close();
      console.log(open());
      `,
    );
    expect(child).toEqual(ended('ETIMEDOUT true true\nfalse\n'));
  }, 60_000);

  it('that is not owned stays open, and can be adopted again', async () => {
    const child = await runNode(
      `${blocking}
      for (let i = 0; i < 3; ++i) {
        const context = cxl.adopt(fd, { owned: false, mmioSize: 1 << 16 });
        await context.waitForEvent({ timeout: 1 }).catch(() => {});
        await context.close();
      }
      console.log(open());
      closeSync(fd);
      `,
    );
    expect(child).toEqual(ended('true\n'));
  }, 60_000);

  it('whose context runs already counts as attached', async () => {
    const child = await runNode(
      `${blocking}
      const first = addon.adoptAfu(fd, false);
      const free = () => addon.allocate(4096, 4096, 0, -1).free(false);
      console.log(free());
      await settled((settle) => first.startWork(0n, 1n, 0n, 0, settle));
      console.log(free());
      await settled((settle) => first.close(settle));
      console.log(free());
      const second = addon.adoptAfu(fd, true);
      console.log(free());
      await settled((settle) => second.close(settle));
      console.log(free(), open());
      `,
    );
    expect(child).toEqual(ended('0\n-16\n0\n-16\n0 false\n'));
  }, 60_000);

  it('that is none of cxl is refused, and left alone', async () => {
    const child = await runNode(
      `${prelude}
      import { openSync, fstatSync } from 'node:fs';
      const file = openSync('/proc/self/status', 'r');
      console.log([file, 1, 4242, -1].map((fd) => addon.adoptAfu(fd, true)).join());
      fstatSync(file);
      `,
    );
    expect(child).toEqual(ended('-19,-19,-9,-9\n'));
  }, 60_000);
});
