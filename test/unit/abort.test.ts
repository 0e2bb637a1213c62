/** Aborting calls that take long: they end at once, and what they began is undone. */
import { AbortError } from 'node-cxl';
import * as doe from 'node-cxl/doe';
import { describe, expect, it } from 'vitest';
import { oneCard, slave, until } from './mock-support';
import { failure } from './options-support';

const LONG = 150;

/** A signal that aborts after so many milliseconds, when the call under test is under way. */
function soon(milliseconds = 20): AbortSignal {
  const controller = new AbortController();
  setTimeout(() => controller.abort('enough'), milliseconds);
  return controller.signal;
}

describe('an abort of a slow call', () => {
  it('open() rejects at once; the node is closed when it is open', async () => {
    const mock = oneCard({ latency: { open: LONG } });
    const begin = performance.now();
    const error = await failure(() => mock.open(slave, { signal: soon() }));
    expect(performance.now() - begin).toBeLessThan(LONG - 20);
    expect(error).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: 'enough' });
    expect(error).toBeInstanceOf(AbortError);
    const opened = mock.card(0).afu(0).expectOpen({ timeout: 5000 });
    await opened;
    await until(() => mock.counters.files === 0 && mock.counters.contexts === 0);
  });

  it('open() that fails after the abort is not an unhandled rejection', async () => {
    const mock = oneCard({ latency: { open: LONG }, faults: [{ name: 'open' }] });
    expect(await failure(() => mock.open(slave, { signal: soon() }))).toBeInstanceOf(AbortError);
    await new Promise((resolve) => setTimeout(resolve, LONG));
    expect(mock.counters.files).toBe(0);
  });

  it('open() whose undoing fails is not an unhandled rejection either', async () => {
    const mock = oneCard({ latency: { open: LONG }, faults: [{ name: 'close' }] });
    expect(await failure(() => mock.open(slave, { signal: soon() }))).toBeInstanceOf(AbortError);
    await new Promise((resolve) => setTimeout(resolve, LONG + 50));
    expect(mock.counters.files).toBe(0);
  });

  it('Afu.open() as well', async () => {
    const mock = oneCard({ latency: { open: LONG } });
    const [afu] = await mock.afus();
    for (const kind of [undefined, 'slave'] as const) {
      const error = await failure(() => afu!.open(kind, { signal: soon() }));
      expect(error).toBeInstanceOf(AbortError);
    }
    await until(() => mock.counters.files === 0);
    const context = await afu!.open('slave', { signal: undefined });
    await context.close();
  });

  it('attach() rejects at once and closes the context, whether START_WORK succeeds or not', async () => {
    // With the longer delay it fails with EBUSY.
    for (const delay of [LONG, 10 * LONG]) {
      const mock = oneCard({ attachTimeout: 2 * LONG });
      mock.card(0).afu(0).delayNextAttach(delay);
      const context = await mock.open(slave);
      const begin = performance.now();
      const attaching = context.attach({ wed: 0n, signal: soon() });
      expect(await failure(() => attaching)).toBeInstanceOf(AbortError);
      expect(performance.now() - begin).toBeLessThan(LONG - 20);
      expect([context.closed, context.attached]).toEqual([true, false]);
      expect((await failure(() => context.attach({ wed: 0n }))).message).toContain('closed');
      await context.close();
      expect(mock.counters).toMatchObject({ files: 0, contexts: 0 });
    }
  });

  it('a signal that aborts after success changes nothing, and keeps no listener', async () => {
    const mock = oneCard();
    const controller = new AbortController();
    const { signal } = controller;
    const context = await mock.open(slave, { signal });
    await context.attach({ wed: 0n, signal });
    controller.abort();
    expect(context.attached).toBe(true);
    await context.close();
  });
});

describe('AbortError', () => {
  it('is one class for every entry point that exports it', () => {
    expect(doe.AbortError).toBe(AbortError);
    expect(require('node-cxl').AbortError).toBe(AbortError);
    expect(require('node-cxl/doe').AbortError).toBe(AbortError);
  });
});
