/** Aborting calls that take long: they end at once, and what they began is undone. */
import { createRequire } from 'node:module';
import { AbortError } from 'node-cxl';
import * as doe from 'node-cxl/doe';
import * as flash from 'node-cxl/flash';
import { type CallName, createMockCxl, type MockCxl } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { oneCard, slave, until } from './mock-support';
import { failure } from './options-support';

/** Milliseconds: a call takes so long that the abort comes before its end, on a busy machine too. */
const LONG = 500;

const require = createRequire(import.meta.url);

/** A signal that aborts once the program has made the call, which takes long. */
function once(mock: MockCxl, name: CallName): AbortSignal {
  const controller = new AbortController();
  const before = mock.calls.filter({ name }).length;
  void until(() => mock.calls.filter({ name }).length > before).then(() =>
    controller.abort('enough'),
  );
  return controller.signal;
}

describe('an abort of a slow call', () => {
  it('open() rejects at once; the node is closed when it is open', async () => {
    const mock = oneCard({ latency: { open: LONG } });
    const order: string[] = [];
    const opened = mock
      .card(0)
      .afu(0)
      .expectOpen()
      .then(() => order.push('opened'));
    const error = await failure(() => mock.open(slave, { signal: once(mock, 'open') }));
    order.push('rejected');
    expect(error).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: 'enough' });
    expect(error).toBeInstanceOf(AbortError);
    await opened;
    expect(order).toEqual(['rejected', 'opened']);
    await until(() => mock.counters.files === 0 && mock.counters.contexts === 0);
  });

  it('open() that fails after the abort is not an unhandled rejection', async () => {
    const mock = oneCard({ latency: { open: LONG }, faults: [{ name: 'open' }] });
    expect(await failure(() => mock.open(slave, { signal: once(mock, 'open') }))).toBeInstanceOf(
      AbortError,
    );
    await new Promise((resolve) => setTimeout(resolve, LONG));
    expect(mock.counters.files).toBe(0);
  });

  it('open() whose undoing fails is not an unhandled rejection either', async () => {
    const mock = oneCard({ latency: { open: LONG }, faults: [{ name: 'close' }] });
    expect(await failure(() => mock.open(slave, { signal: once(mock, 'open') }))).toBeInstanceOf(
      AbortError,
    );
    await new Promise((resolve) => setTimeout(resolve, LONG + 50));
    expect(mock.counters.files).toBe(0);
  });

  it('Afu.open() as well', async () => {
    const mock = oneCard({ latency: { open: LONG } });
    const [afu] = await mock.afus();
    for (const kind of [undefined, 'slave'] as const) {
      const error = await failure(() => afu!.open(kind, { signal: once(mock, 'open') }));
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
      const order: string[] = [];
      const freed = mock
        .card(0)
        .afu(0)
        .expectClose()
        .then(() => order.push('freed'));
      const attaching = context.attach({ wed: 0n, signal: once(mock, 'ioctl(START_WORK)') });
      expect(await failure(() => attaching)).toBeInstanceOf(AbortError);
      order.push('rejected');
      expect([context.closed, context.attached]).toEqual([true, false]);
      expect((await failure(() => context.attach({ wed: 0n }))).message).toContain('closed');
      await context.close();
      await freed;
      expect(order).toEqual(['rejected', 'freed']);
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

describe('an abort of a call of node-cxl/flash', () => {
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  /** Aborts `begin` after 0, 1, 2… turns of the event loop, until it succeeds before. */
  async function abortAtEachStep<T>(
    begin: (signal: AbortSignal) => Promise<T>,
    end: (result: T) => Promise<void>,
  ): Promise<number> {
    for (let turns = 0; ; turns += 1) {
      const controller = new AbortController();
      const running = begin(controller.signal).then(
        (result) => ({ result }),
        (error) => ({ error }),
      );
      for (let n = 0; n < turns; n += 1) await turn();
      controller.abort();
      const outcome = await running;
      if ('result' in outcome) {
        await end(outcome.result);
        return turns;
      }
      expect(outcome.error).toBeInstanceOf(AbortError);
    }
  }

  it('leaves nothing open, at any step of opening a LUN, a host and a context', async () => {
    const mock = createMockCxl({ cards: [], flash: [{}] });
    const path = mock.flash.adapters[0]!.nodes[0]!;
    const begin = await abortAtEachStep(
      (signal) => flash.openLun(path, { system: mock, signal }),
      (lun) => lun.close(),
    );
    expect(begin).toBeGreaterThan(0);
    await abortAtEachStep(
      (signal) => flash.openFlashHost('/dev/cxlflash/cxlflash0', { system: mock, signal }),
      (host) => host.close(),
    );
    const lun = await flash.openLun(path, { system: mock });
    await lun.enableSuperpipe();
    const steps = await abortAtEachStep(
      (signal) => lun.attach({ signal }),
      (context) => context.close(),
    );
    expect(steps).toBeGreaterThan(0);
    await until(() => mock.counters.contexts === 0 && mock.counters.files === 0);
    // Nothing holds the LUN: a context could.
    await lun.disableSuperpipe();
    await lun.close();
  });

  it('enableSuperpipe() rejects before the ioctl, and the LUN stays with the block layer', async () => {
    const mock = createMockCxl({ cards: [], flash: [{}] });
    const lun = await flash.openLun(mock.flash.adapters[0]!.nodes[0]!, { system: mock });
    const modes = async () => (await flash.listLuns({ system: mock })).map(({ mode }) => mode);
    const before = await modes();
    const controller = new AbortController();
    const enabling = lun.enableSuperpipe({ signal: controller.signal });
    controller.abort();
    expect(await failure(() => enabling)).toBeInstanceOf(AbortError);
    expect(await modes()).toEqual(before);
    const signal = AbortSignal.abort();
    for (const call of [
      () => lun.enableSuperpipe({ signal }),
      () => lun.disableSuperpipe({ signal }),
      () => lun.attach({ signal }),
      () => flash.listLuns({ system: mock, signal }),
    ]) {
      expect(await failure(call)).toBeInstanceOf(AbortError);
    }
    await lun.enableSuperpipe({ signal: undefined });
    expect(await modes()).not.toEqual(before);
    await lun.close();
  });
});

describe('AbortError', () => {
  it('is one class for every entry point that exports it', () => {
    expect(doe.AbortError).toBe(AbortError);
    expect(flash.AbortError).toBe(AbortError);
    expect(require('node-cxl/flash').AbortError).toBe(AbortError);
    expect(require('node-cxl').AbortError).toBe(AbortError);
    expect(require('node-cxl/doe').AbortError).toBe(AbortError);
  });
});
