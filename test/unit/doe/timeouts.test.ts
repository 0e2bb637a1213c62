/** How long exchanges, aborts and locks of mailboxes wait, by a clock that the test sets. */
import { performance as realPerformance } from 'node:perf_hooks';
import type { ExchangeOptions } from 'node-cxl/doe';
import { createMockDoe, type MockFaults, type MockProtocol } from 'node-cxl/mock';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { failure } from '../options-support';

const ADDRESS = '0000:01:00.0';
const STATUS = 0x0c;
const echoProtocol = { vendorId: 0x1234, type: 7 };
const echo: MockProtocol = { ...echoProtocol, answer: (request) => Buffer.from(request) };
const payload = Buffer.from('0011223344556677', 'hex');

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  // Accesses that block the event loop for long let it run, by the real clock: here they never do.
  vi.spyOn(realPerformance, 'now').mockReturnValue(0);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function setUp(faults: MockFaults = {}) {
  const doe = createMockDoe({
    functions: [{ address: ADDRESS, mailboxes: [{ protocols: [echo], faults }] }],
  });
  const [mailbox] = await doe.mailboxes(ADDRESS);
  const device = doe.function(ADDRESS).mailboxes[0]!;
  device.log.length = 0;
  return {
    doe,
    mailbox: mailbox!,
    device,
    exchange: (options: ExchangeOptions = {}) => mailbox!.exchange(echoProtocol, payload, options),
    polls: () => device.log.filter((a) => a.kind === 'read' && a.register === STATUS).length,
  };
}

/** Lets time pass until the call has ended: its error, and how many milliseconds it took. */
async function failed(call: Promise<unknown>): Promise<{ error: unknown; time: number }> {
  const start = performance.now();
  let error: unknown;
  call.catch((reason) => {
    error = reason;
  });
  while (error === undefined) await vi.advanceTimersToNextTimerAsync();
  return { error, time: performance.now() - start };
}

/** The milliseconds, of so many, after which `count` had grown. */
async function growth(count: () => number, milliseconds: number): Promise<number[]> {
  const times: number[] = [];
  await vi.advanceTimersByTimeAsync(0);
  for (let time = 0, before = 0; ; time += 1) {
    if (count() > before) times.push(time);
    before = count();
    if (time === milliseconds) return times;
    await vi.advanceTimersByTimeAsync(1);
  }
}

describe('the pauses between two reads of the status', () => {
  const EXPECTED = [0, 1, 3, 7, 15, 23, 31, 39];

  it('of a device that takes its time grow to 8 ms', async () => {
    const { exchange, polls } = await setUp({ delay: 35 });
    const answer = exchange();
    expect(await growth(polls, 45)).toEqual(EXPECTED);
    expect(await answer).toEqual(payload);
  });

  it('of an abort grow to 8 ms', async () => {
    const { mailbox, device, polls } = await setUp({ ignoresAbort: true });
    device.leaveBehind('ready');
    const reset = mailbox.reset();
    expect(await growth(polls, 45)).toEqual(EXPECTED);
    device.faults = {};
    expect(await failed(reset)).toMatchObject({ error: { code: 'EIO' } });
  });
});

describe('an exchange', () => {
  it('is over when the device has not answered in the time that it has', async () => {
    const { exchange, mailbox } = await setUp({ silent: true });
    const expected = { error: { code: 'ETIMEDOUT', syscall: 'doe(wait)' } };
    // The status is read after 7 ms, and next after 15.
    expect((await failed(exchange({ timeout: 7 }))).time).toBe(7);
    for (const [options, least] of [
      [{ timeout: 100 }, 100],
      [{}, 1000],
      [{ timeout: 5000 }, 5000],
    ] as const) {
      const end = await failed(exchange(options));
      expect(end).toMatchObject(expected);
      expect(end.time).toBeGreaterThanOrEqual(least);
      expect(end.time).toBeLessThanOrEqual(least + 8);
      expect(mailbox.phase).toBe('idle');
    }
  });

  it('has an answer that is there when its time ends', async () => {
    const { exchange } = await setUp({ delay: 50 });
    const answer = exchange({ timeout: 50 });
    await vi.advanceTimersByTimeAsync(0);
    // One pause over the whole time.
    vi.advanceTimersByTime(60);
    expect(await answer).toEqual(payload);
  });
});

describe('a dead mailbox', () => {
  it('is declared when it is not idle a second after the abort; the call rejects with the first failure', async () => {
    const { mailbox, exchange, device } = await setUp({ errorAt: 'go', ignoresAbort: true });
    const { error, time } = await failed(exchange());
    expect(error).toMatchObject({ code: 'EIO', syscall: 'doe(wait)' });
    expect(time).toBeGreaterThanOrEqual(1000);
    expect(time).toBeLessThanOrEqual(1008);
    expect(mailbox.phase).toBe('dead');
    device.log.length = 0;
    const refused = await failure(() => exchange());
    expect(refused).toMatchObject({ code: 'EIO', syscall: 'doe(dead)' });
    expect(refused.message).toContain('not idle 1 s after an abort');
    await expect(mailbox.discover()).rejects.toMatchObject({ syscall: 'doe(dead)' });
    expect(device.log).toEqual([]);
  });

  it('is one that an earlier user left with an error, if the abort has no effect', async () => {
    const { mailbox, exchange, device } = await setUp({ ignoresAbort: true });
    device.leaveBehind('error');
    const { error } = await failed(exchange());
    expect(error).toMatchObject({ code: 'EIO', syscall: 'doe(abort)' });
    expect(mailbox.phase).toBe('dead');
  });

  it('is dead for every DoeMailbox object, until reset()', async () => {
    const { doe, mailbox, exchange, device } = await setUp({ errorAt: 'go', ignoresAbort: true });
    await failed(exchange());
    const [again] = await doe.mailboxes(ADDRESS);
    expect(again!.phase).toBe('dead');
    expect(await failed(again!.reset())).toMatchObject({ error: { code: 'EIO' } });
    expect(again!.phase).toBe('dead');
    await expect(exchange()).rejects.toMatchObject({ syscall: 'doe(dead)' });
    device.faults = {};
    await again!.reset();
    expect(mailbox.phase).toBe('idle');
    expect(await exchange()).toEqual(payload);
  });

  it('stays dead when reset() is refused', async () => {
    const { doe, mailbox, device, exchange } = await setUp({ errorAt: 'go', ignoresAbort: true });
    await failed(exchange());
    doe.function(ADDRESS).driver = 'cxl_pci';
    device.log.length = 0;
    await expect(mailbox.reset()).rejects.toMatchObject({ syscall: 'doe(claim)' });
    expect(mailbox.phase).toBe('dead');
    await expect(exchange({ force: true })).rejects.toMatchObject({ syscall: 'doe(dead)' });
    expect(device.log).toEqual([]);
  });

  it('is reset although it is busy, with an exchange of this process', async () => {
    const { mailbox, device, exchange } = await setUp({ errorAt: 'go', ignoresAbort: true });
    await failed(exchange());
    device.faults = { busy: true };
    expect(await failed(mailbox.reset())).toMatchObject({ error: { syscall: 'doe(abort)' } });
    device.faults = {};
    await mailbox.reset();
    expect(await exchange()).toEqual(payload);
  });
});

describe('the lock that processes share', () => {
  it('is tried again after 1 to 8 ms, for 10 s', async () => {
    const { doe, mailbox, device } = await setUp({ silent: true });
    const [elsewhere] = await doe.anotherProcess().mailboxes(ADDRESS);
    const holder = new AbortController();
    const { signal } = holder;
    const held = failure(() =>
      elsewhere!.exchange(echoProtocol, payload, { signal, timeout: 6e4 }),
    );
    await vi.advanceTimersByTimeAsync(20);
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.25);
    const timeouts = vi.spyOn(globalThis, 'setTimeout');
    const waiting = mailbox.exchange(echoProtocol, payload);
    const refused = failure(() => waiting);
    await vi.advanceTimersByTimeAsync(0);
    expect(timeouts).toHaveBeenCalledWith(expect.any(Function), 2.75);
    random.mockReturnValue(0.5);
    await vi.advanceTimersByTimeAsync(3);
    expect(timeouts).toHaveBeenCalledWith(expect.any(Function), 4.5);
    let ended = false;
    void refused.then(() => {
      ended = true;
    });
    // Each is one pause that took long.
    vi.advanceTimersByTime(9990);
    await vi.advanceTimersByTimeAsync(0);
    expect(ended).toBe(false);
    vi.advanceTimersByTime(9);
    await vi.advanceTimersByTimeAsync(0);
    expect(await refused).toMatchObject({
      code: 'ETIMEDOUT',
      syscall: 'fcntl(F_OFD_SETLK)',
      path: 'mock:0000:01:00.0',
    });
    expect((await refused).message).toContain('for 10 s');

    holder.abort();
    await held;
    device.faults = {};
    expect(await mailbox.exchange(echoProtocol, payload)).toEqual(payload);
  });
});
