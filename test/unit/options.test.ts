/** Options objects of the public API: names that do not exist are refused, whatever their value. */
import type { Afu, Context, Cxl } from 'node-cxl';
import { createMockCxl } from 'node-cxl/mock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { failure, refuses } from './options-support';

describe('unknown options of adapters, AFUs, contexts and memory', () => {
  let system: Cxl;
  let afu: Afu;
  let context: Context;

  beforeEach(async () => {
    system = createMockCxl();
    afu = (await system.afus())[0]!;
    context = await afu.open();
  });
  afterEach(() => context.close());

  it('are refused by every method that takes options', async () => {
    const [adapter] = await system.adapters();
    await refuses((options) => adapter!.reset(options), { forced: 'force' });
    await refuses((options) => adapter!.downloadImage(new Uint8Array(1), options), {
      needsHeader: 'needHeader',
      abortSignal: 'signal',
    });
    await refuses((options) => system.allocate(4096, options), {
      align: 'alignment',
      hugepages: 'hugePages',
      numanode: 'numaNode',
    });
    await refuses((options) => system.adopt(0, options), { own: 'owned', mmioSzie: 'mmioSize' });
    await refuses((options) => context.attach(options), {
      interupts: 'interrupts',
      errFF: 'errFf',
    });
    await refuses((options) => context.attach(options), { hold: 'holds' });
    expect((await failure(() => context.attach({ wed: 0n, tid: true } as never))).code).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
    await refuses((options) => context.attachSync(options), { Tid: 'tid' });
    await context.attach({ wed: 0n });
    await refuses((options) => context.mapProblemState(options), { endain: 'endian' });
    await refuses((options) => context.waitForEvent(options), { timeoutMs: 'timeout' });
    await refuses((options) => context.waitForInterrupt(1, options), { timeout_ms: 'timeout' });
    await refuses((options) => context.events(options), { singal: 'signal' });
    expect((await failure(() => context.events({ timeout: 5 } as never))).code).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
    const memory = system.allocate(4096);
    await refuses((options) => memory.free(options), { forced: 'force' });
    await refuses((options) => memory.load32(0, options), { endianness: 'endian' });
    await refuses((options) => memory.store64(0, 0n, options), { endianess: 'endian' });
  });

  it('an AbortSignal in place of { signal } is refused, not ignored', async () => {
    await context.attach({ wed: 0n });
    const { signal } = new AbortController();
    const error = await failure(() => context.waitForEvent(signal as never));
    expect(error.code).toBe('ERR_INVALID_ARG_VALUE');
    expect(error.message).toContain('is not an option');
  });
});
