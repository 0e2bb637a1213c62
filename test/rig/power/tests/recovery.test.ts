/** Recovery and unbinding, as only the real driver does them. */
import { existsSync, writeFileSync } from 'node:fs';
import { type Context, cxl, type ProblemState } from 'node-cxl';
import { afterEach, describe, expect, it } from 'vitest';
import { ALL_ONES_64 } from '../../../../lib/shared/all-ones';
import { inject, injectAndWait, mappingGone } from '../../../conformance/support/injection';
import { until } from '../../../conformance/support/work-queue';

const slave = '/dev/cxl/afu0.0s';
const driver = '/sys/bus/platform/drivers/cxl_of';
const device = '30000000.coherent-platform-facility';
// The driver reads the state of its AFUs every three seconds.
const patience = 60_000;
const wait = { timeout: 30_000 };
const open: Context[] = [];

afterEach(async () => {
  for (const context of open.splice(0)) await context.close();
});

async function started(errFf = false): Promise<{ context: Context; regs: ProblemState }> {
  const context = await cxl.open(slave);
  open.push(context);
  await context.attach({ wed: 0n, interrupts: 4, errFf });
  return { context, regs: context.mapProblemState({ endian: 'big' }) };
}

async function codeOf(call: () => unknown): Promise<string | undefined> {
  try {
    await call();
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
  return undefined;
}

async function reopened(): Promise<Context> {
  for (const end = Date.now() + 30_000; ; ) {
    try {
      return await cxl.open(slave);
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

describe('error state', () => {
  it(
    'is all ones, then EIO for who waits, then over',
    async () => {
      const { context, regs } = await started();
      const waiting = codeOf(() => context.waitForInterrupt(1, wait));
      inject(regs, 'errorState', { argument: 500n });
      await until(() => context.linkState() === 'down', 'the error state');
      expect(await codeOf(() => cxl.open(slave))).toBe('EIO');
      // All ones are data: the mapping is there until the driver has noticed.
      const seen = await codeOf(() => expect(regs.read64(0x08)).toBe(ALL_ONES_64));
      expect([undefined, 'EIO']).toContain(seen);
      expect(await waiting).toBe('EIO');
      await mappingGone(regs);
      const again = await reopened();
      open.push(again);
      await again.attach({ wed: 0n });
      expect(again.linkState()).toBe('up');
      // A context that was attached before stays detached.
      expect(context.linkState()).toBe('down');
      expect(await codeOf(() => context.waitForEvent(wait))).toBe('EIO');
    },
    patience,
  );

  it(
    'leaves all ones with ERR_FF',
    async () => {
      const { context, regs } = await started(true);
      inject(regs, 'errorState', { argument: 1n });
      expect(await codeOf(() => context.waitForEvent(wait))).toBe('EIO');
      await (await reopened()).close();
      expect(regs.read64(0x08)).toBe(ALL_ONES_64);
      regs.write64(0x08, 7n);
      expect(regs.read64(0x08)).toBe(7n);
    },
    patience,
  );
});

describe('an AFU that goes away', () => {
  it(
    'ends every wait, and is found again when it is back',
    async () => {
      const { context } = await started();
      const event = codeOf(() => context.waitForEvent(wait));
      writeFileSync(`${driver}/unbind`, device);
      try {
        expect(await event).toBe('EIO');
        expect(await cxl.adapters()).toEqual([]);
        expect(await cxl.afus()).toEqual([]);
        expect(await codeOf(() => cxl.open(slave))).toBe('ENOENT');
        await context.close();
      } finally {
        writeFileSync(`${driver}/bind`, device);
      }
      await until(() => existsSync(slave), 'the node');
      expect((await cxl.afus()).map((afu) => afu.name)).toEqual(['afu0.0', 'afu0.1']);
      const { regs, context: again } = await started();
      await injectAndWait(regs, 'interrupt', { argument: 1n });
      await again.waitForInterrupt(1, wait);
    },
    patience,
  );
});

describe('the card’s own node', () => {
  it(
    'is never opened to look: a context lives through any enumeration',
    async () => {
      const { context, regs } = await started();
      for (const adapter of await cxl.adapters()) {
        await adapter.attributes();
        for (const afu of await adapter.afus()) await afu.attributes();
      }
      expect(context.linkState()).toBe('up');
      await injectAndWait(regs, 'interrupt', { argument: 2n });
      await context.waitForInterrupt(2, wait);
    },
    patience,
  );

  it(
    'refuses an image that is none, and the card works on',
    async () => {
      const [adapter] = await cxl.adapters();
      // No header: the bytes in its place describe no image.
      const image = new Uint8Array(4096);
      expect(await codeOf(() => adapter?.downloadImage(image, { needHeader: false }))).toBe(
        'EINVAL',
      );
      const { regs, context } = await started();
      await injectAndWait(regs, 'interrupt', { argument: 1n });
      await context.waitForInterrupt(1, wait);
    },
    patience,
  );
});
