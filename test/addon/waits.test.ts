/** Waits on the event loop: what they leave in it, and what becomes of one that cannot begin. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { ended, prelude, runNode } from './child';

describe('a wait on the event loop', () => {
  it('leaves nothing that wakes the thread, but once for an event that nobody waits for', async () => {
    const child = await runNode(
      `${prelude}
      const { context } = await attached();
      const area = context.mapProblemState({ endian: 'big' });
      const raise = (irq) => area.write64(0x1000, (1n << 56n) | irq);
      const switches = () => Number(/^voluntary_ctxt_switches:\\s*(\\d+)/m.exec(
        readFileSync('/proc/self/task/' + process.pid + '/status', 'latin1'))[1]);
      const wait = context.waitForInterrupt(1);
      raise(1n);
      await wait;
      raise(2n); // stays in the kernel: the descriptor is ready from now on
      await sleep(100);
      const before = switches();
      await sleep(500);
      console.log(switches() - before < 5);
      await context.waitForInterrupt(2);
      await context.close();
      `,
    );
    expect(child).toEqual(ended('true\n'));
  }, 60_000);

  it('is begun again by the listener of an event, and ended by a close within it', async () => {
    const child = await runNode(
      `${prelude}
      const open = await Promise.all(Array.from({ length: 200 }, attached));
      const areas = open.map(({ context }) => context.mapProblemState({ endian: 'big' }));
      let seen = 0;
      // Each closes its neighbor, whose event came in the same turn.
      const waits = open.map(async ({ context }, i) => {
        try {
          await context.waitForInterrupt(1);
          seen += 1;
          await context.waitForInterrupt(2, { timeout: 1 }).catch(() => {});
          await open[i ^ 1].context.close();
        } catch (error) {
          if (error.code !== 'ECANCELED') throw error;
        }
      });
      for (const area of areas) area.write64(0x1000, (1n << 56n) | 1n);
      await Promise.all(waits);
      console.log(seen >= 100);
      for (const { context } of open) await context.close();
      console.log(JSON.parse(readFileSync('/dev/cxl-sim', 'utf8')).openContexts);
      `,
    );
    expect(child).toEqual(ended('true\n0\n'));
  }, 60_000);

  it('fails without descriptors, and the next one gets its event', () => {
    const script = `${prelude}
      import { closeSync, openSync } from 'node:fs';
      const { context } = await attached();
      const area = context.mapProblemState({ endian: 'big' });
      const taken = [];
      try { for (;;) taken.push(openSync('/dev/null')); } catch {}
      const show = ({ code, syscall }) => code + ' ' + syscall;
      console.log(await context.waitForEvent().catch(show));
      console.log(await context.events().next().catch(show));
      taken.forEach((fd) => closeSync(fd));
      area.write64(0x1000, (1n << 56n) | 1n);
      await context.waitForInterrupt(1);
      await context.close();
    `;
    const limited = ['ulimit -n 256; exec "$0" --input-type=module -e "$1"'];
    const node = process.env['CXL_TEST_NODE'] ?? process.execPath;
    const { status, stdout, stderr } = spawnSync('sh', ['-c', ...limited, node, script], {
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    expect([status, stdout, stderr]).toEqual([0, 'EMFILE read\nEMFILE read\n', '']);
  });

  it('is EIO without a link, and works again once the link is back and the context attached', async () => {
    const child = await runNode(
      `${prelude}
      import { closeSync, openSync, writeFileSync } from 'node:fs';
      const tell = (line) => writeFileSync('/dev/cxl-sim', line);
      const show = ({ code }) => code;
      const { context, queue } = await attached();
      const fd = openSync(device, 'r+');
      const adopted = cxl.adopt(fd);
      await adopted.attach({ wed: queue.address | 1n });
      for (const each of [context, adopted]) {
        const area = each.mapProblemState({ endian: 'big' });
        tell('link-down card0');
        console.log(await each.waitForEvent({ timeout: 0 }).catch(show));
        console.log(await each.waitForEvent({ timeout: 20 }).catch(show), each.linkState());
        console.log(await each.waitForEvent({ timeout: 1500 }).catch(show));
        tell('link-up card0');
        area.write64(0x1000, (1n << 56n) | 3n);
        await each.waitForInterrupt(1);
        await each.waitForInterrupt(2);
        console.log('events', each.linkState());
      }
      await context.close();
      await adopted.close();
      closeSync(fd);
      `,
    );
    // A read of an adopted descriptor might block, so it is made only when poll() says that it does
    // not; every second its context is looked after.
    const own = 'EIO\nEIO down\nEIO\nevents up\n';
    const adopted = 'ETIMEDOUT\nETIMEDOUT down\nEIO\nevents up\n';
    expect(child).toEqual(ended(own + adopted));
  }, 60_000);
});
