/** The queue of a context's events over a file whose batches the test gives. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AfuFile } from '../../dist/binding';
import type { CxlEvent } from '../../dist/events/events';
import type { PendingEvents } from '../../dist/events/pending';
import { EventQueue } from '../../dist/events/queue';
import { ERRNOS } from '../../dist/shared/errno';
import { codeOf, thrownCode } from './mock-support';
import { bytesOf, findAny, irqOf, ScriptedFile } from './scripted-file';

const PATH = '/dev/cxl/afu0.0s';
const LONG = { timeout: 15_000 };

const MALFORMED = new Uint8Array(Uint16Array.of(1, 4, 0, 0).buffer);

const findIrq = (irq: number) => (pending: PendingEvents) => pending.interrupt(irq, []);

let file: ScriptedFile;
let queue: EventQueue;
beforeEach(() => {
  file = new ScriptedFile();
  queue = new EventQueue(file as unknown as AfuFile, PATH);
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a wait', () => {
  it('reads only while it lasts, and again as long as batches have not what it is for', async () => {
    const wait = queue.wait(findIrq(2), 'call', LONG);
    expect(file.taken()).toEqual(['arm']);
    file.deliver(bytesOf(1, 3));
    expect(file.taken()).toEqual(['arm']);
    file.deliver(bytesOf(2));
    expect(file.taken()).toEqual(['disarm']);
    expect(irqOf(await wait)).toBe(2);
    // What it passed over is pending: no read is needed.
    expect(irqOf(await queue.wait(findAny, 'call', LONG))).toBe(1);
    expect(irqOf(queue.poll(findAny))).toBe(3);
    expect(file.taken()).toEqual([]);
    expect(queue.poll(findAny)).toBeUndefined();
    expect(file.taken()).toEqual(['readSync 0 0']);
  });

  it('ends once: what comes later stays for the next', async () => {
    const controller = new AbortController();
    const wait = queue.wait(findAny, 'call', { signal: controller.signal });
    controller.abort('enough');
    queue.cancel();
    await expect(wait).rejects.toMatchObject({ name: 'AbortError', cause: 'enough' });
    file.deliver(bytesOf(1));
    expect(file.taken()).toEqual(['arm', 'disarm']);
    expect(irqOf(await queue.wait(findAny, 'call', LONG))).toBe(1);
    expect(await codeOf(queue.wait(findAny, 'call', controller))).toBe('ABORT_ERR');
    expect(file.taken()).toEqual([]);
  });

  it('leaves no listener and no timer', async () => {
    vi.useFakeTimers();
    const present = new EventQueue(file as unknown as AfuFile, PATH, () => true);
    const { signal } = new AbortController();
    const removed = vi.spyOn(signal, 'removeEventListener');
    const wait = present.wait(findAny, 'call', { signal, timeout: 60_000 });
    expect(vi.getTimerCount()).toBe(2);
    file.deliver(bytesOf(1));
    await wait;
    expect(vi.getTimerCount()).toBe(0);
    expect(removed).toHaveBeenCalledTimes(1);
    const other = queue.wait(findAny, 'call', {});
    expect(vi.getTimerCount()).toBe(0);
    queue.close();
    expect(await codeOf(other)).toBe('ECANCELED');
  });

  it('has a second one refused while it waits', async () => {
    const wait = queue.wait(findAny, 'call', LONG);
    const other = await queue.wait(findAny, 'call', LONG).catch((error) => error);
    expect(other).toMatchObject({ code: 'ERR_INVALID_STATE' });
    expect(other.message).toContain('still waiting');
    file.deliver(bytesOf(1));
    expect(irqOf(await wait)).toBe(1);
  });

  it('that times out looks for what the file has, whose batch the timer came before', async () => {
    const found = queue.wait(findAny, 'call', { timeout: 1 });
    file.reads.push({ bytes: bytesOf(4) });
    expect(irqOf(await found)).toBe(4);
    expect(file.taken()).toEqual(['arm', 'disarm', 'readSync 0 0']);
    const error = await queue.wait(findAny, 'call', { timeout: 1 }).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'ETIMEDOUT', syscall: 'call', path: PATH });
    expect(error.message).toContain('nothing within 1 ms');
  });

  it('of no time does not ask for a batch', async () => {
    const error = await queue.wait(findAny, 'call', { timeout: 0 }).catch((reason) => reason);
    expect(error).toMatchObject({ code: 'ETIMEDOUT', syscall: 'call' });
    expect(error.message).toContain('nothing is pending');
    expect(file.taken()).toEqual(['readSync 0 0']);
  });

  it('that spins does so within its time, and sleeps for the rest', async () => {
    file.reads.push({ bytes: bytesOf(1) });
    expect(irqOf(await queue.wait(findAny, 'call', { spin: 5_000_000 }))).toBe(1);
    expect(file.taken()).toEqual(['readSync 5000 5000000']);
    // 1 ms of 40 was spent.
    vi.useFakeTimers();
    const wait = codeOf(queue.wait(findAny, 'call', { spin: 1000, timeout: 41 }));
    expect(file.taken().at(-1)).toBe('arm');
    vi.advanceTimersByTime(39);
    expect(file.taken()).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(file.taken()[0]).toBe('disarm');
    expect(await wait).toBe('ETIMEDOUT');
    // All of the time: no batch is asked for.
    file.taken();
    expect(await codeOf(queue.wait(findAny, 'call', { spin: 9000, timeout: 1 }))).toBe('ETIMEDOUT');
    expect(file.taken()).not.toContain('arm');
  });
});

describe('a wait that blocks the thread', () => {
  it('reads until it finds, for the time that is left', () => {
    const interrupted = { answer: -ERRNOS.EINTR, after: 20 };
    file.reads.push({ bytes: bytesOf(1) }, interrupted, { bytes: bytesOf(2) });
    expect(irqOf(queue.waitSync(findIrq(2), 'call', { timeout: 60_000, spin: 2e9 }))).toBe(2);
    const calls = file.taken();
    expect(calls).toHaveLength(3);
    for (const call of calls) {
      const [, milliseconds, spin] = call.split(' ').map(Number);
      expect(milliseconds).toBeGreaterThan(50_000);
      expect(milliseconds).toBeLessThanOrEqual(60_000);
      // The same time has passed of both, in milliseconds and microseconds.
      expect(Math.abs(2e9 - (spin ?? 0) - (60_000 - (milliseconds ?? 0)) * 1000)).toBeLessThan(1e4);
    }
    file.reads.push({ bytes: bytesOf(3) });
    expect(irqOf(queue.waitSync(findIrq(3), 'call', {}))).toBe(3);
    expect(file.taken()).toEqual(['readSync Infinity 0']);
    expect(irqOf(queue.waitSync(findIrq(1), 'call', LONG))).toBe(1);
    expect(file.taken()).toEqual([]);
  });

  it('ends with its time, after a last read', () => {
    const start = performance.now();
    const error = thrown(() => queue.waitSync(findAny, 'call', { timeout: 5, spin: 20_000 }));
    expect(performance.now() - start).toBeGreaterThanOrEqual(5);
    expect(error).toMatchObject({ code: 'ETIMEDOUT', syscall: 'call', path: PATH });
    expect(file.taken().at(-1)).toMatch(/^readSync 0 /);
  });

  it('reads at most 64 batches after its time, of an AFU driver that is faster', () => {
    const other = { bytes: bytesOf(1) };
    for (let n = 0; n < 100; n += 1) file.reads.push(other);
    expect(queue.poll(findIrq(2))).toBeUndefined();
    expect(file.taken()).toHaveLength(64);
    // While there is time left, as many as come.
    expect(queue.poll(findIrq(2))).toBeUndefined();
    for (let n = 0; n < 100; n += 1) file.reads.push(other);
    file.reads.push({ bytes: bytesOf(3) });
    expect(irqOf(queue.waitSync(findIrq(3), 'call', LONG))).toBe(3);
    // The last of them counts.
    for (let n = 0; n < 100; n += 1) file.reads.push(other);
    file.reads.splice(63, 37, { bytes: bytesOf(2) });
    expect(irqOf(queue.poll(findIrq(2)))).toBe(2);
  });
});

function thrown(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('readers', () => {
  it('are one at a time, and only the reader can let another one in', () => {
    const first = queue.claim();
    const refused = thrown(() => queue.claim());
    expect(refused).toMatchObject({ code: 'ERR_INVALID_STATE' });
    expect((refused as Error).message).toContain('one reader at a time');
    queue.release(first);
    const second = queue.claim();
    queue.release(first);
    expect(thrownCode(() => queue.claim())).toBe('ERR_INVALID_STATE');
    queue.release(second);
    expect(queue.claim().description).toBe('reader');
  });
});

describe('what ends the events', () => {
  it('bytes that are no event: thrown once, after the events before them', async () => {
    const wait = queue.wait(findAny, 'call', LONG);
    file.deliver(Buffer.concat([bytesOf(1), MALFORMED]));
    expect(irqOf(await wait)).toBe(1);
    await expect(queue.wait(findAny, 'call', LONG)).rejects.toMatchObject({
      code: 'EBADMSG',
      path: PATH,
    });
    expect(await codeOf(queue.wait(findAny, 'call', { timeout: 0 }))).toBe('ETIMEDOUT');
    // A wait that batches without its event do not end.
    const other = codeOf(queue.wait(findIrq(2), 'call', LONG));
    file.deliver(Buffer.concat([bytesOf(1), MALFORMED]));
    expect(await other).toBe('EBADMSG');
  });

  it('an errno of read() or of arm(): thrown once, as read() gave it', async () => {
    file.reads.push({ bytes: bytesOf(), errno: -ERRNOS.ENOMEM });
    expect(thrown(() => queue.poll(findAny))).toMatchObject({
      code: 'ENOMEM',
      syscall: 'read',
      path: PATH,
    });
    expect(queue.detached).toBe(false);
    expect(queue.poll(findAny)).toBeUndefined();
    file.armErrno = -ERRNOS.EBADF;
    file.taken();
    await expect(queue.wait(findAny, 'call', LONG)).rejects.toMatchObject({
      code: 'EBADF',
      syscall: 'read',
    });
    expect(file.taken()).toEqual(['arm', 'disarm']);
    file.armErrno = 0;
    const wait = queue.wait(findAny, 'call', LONG);
    file.deliver(bytesOf(7), -ERRNOS.ENOMEM);
    expect(irqOf(await wait)).toBe(7);
    expect(thrownCode(() => queue.poll(findAny))).toBe('ENOMEM');
  });

  it('EIO is that of a detached context, until a read succeeds', () => {
    file.reads.push({ bytes: bytesOf(), errno: -ERRNOS.EIO });
    expect(queue.detached).toBe(false);
    expect(thrown(() => queue.poll(findAny))).toMatchObject({ code: 'EIO', syscall: 'read' });
    expect(queue.detached).toBe(true);
    // After events it comes again with the next read, if it still holds.
    file.reads.push({ bytes: bytesOf(1, 2), errno: -ERRNOS.EIO });
    expect(irqOf(queue.poll(findAny))).toBe(1);
    expect(queue.detached).toBe(true);
    expect(irqOf(queue.poll(findAny))).toBe(2);
    file.reads.push({ bytes: bytesOf(3) });
    expect(irqOf(queue.poll(findAny))).toBe(3);
    expect(queue.detached).toBe(false);
  });

  it('close(): the wait in progress and each later one, after what is pending', async () => {
    file.reads.push({ bytes: bytesOf(1, 2) });
    expect(irqOf(queue.poll(findIrq(1)))).toBe(1);
    const wait = queue.wait(findIrq(1), 'call', LONG);
    queue.close();
    await expect(wait).rejects.toMatchObject({ code: 'ECANCELED', syscall: 'read', path: PATH });
    expect(irqOf(queue.poll(findAny))).toBe(2);
    file.taken();
    expect(await codeOf(queue.wait(findAny, 'call', LONG))).toBe('ECANCELED');
    expect(thrownCode(() => queue.poll(findAny))).toBe('ECANCELED');
    expect(file.taken()).toEqual([]);
  });

  it('cancel(): the wait in progress alone', async () => {
    queue.cancel();
    const wait = queue.wait(findAny, 'call', LONG);
    queue.cancel();
    await expect(wait).rejects.toMatchObject({ code: 'ECANCELED' });
    expect(queue.poll(findAny)).toBeUndefined();
  });

  it('counts the events of AFU drivers that waits have passed over too often', () => {
    const event = new Uint8Array(Uint16Array.of(99, 8, 0, 0).buffer);
    for (let n = 0; n < 1030; n += 1) file.reads.push({ bytes: event });
    for (let n = 0; n < 20; n += 1) queue.poll(findAny);
    expect(queue.dropped).toBe(6);
  });
});

describe('an adopted context, which may be gone without a word of the kernel', () => {
  let present: boolean;
  let asked: number;
  beforeEach(() => {
    present = true;
    asked = 0;
    queue = new EventQueue(file as unknown as AfuFile, PATH, () => {
      asked += 1;
      return present;
    });
  });

  it('is looked for once a second while a wait lasts', async () => {
    vi.useFakeTimers();
    const wait = queue.wait(findAny, 'call', {});
    const ended = expect(wait).rejects.toMatchObject({ code: 'EIO', syscall: 'read', path: PATH });
    vi.advanceTimersByTime(3500);
    expect(asked).toBe(3);
    expect(queue.detached).toBe(false);
    present = false;
    vi.advanceTimersByTime(500);
    await ended;
    expect(queue.detached).toBe(true);
    expect(file.taken()).toEqual(['arm', 'disarm']);
  });

  it('that has come back is waited for again', async () => {
    vi.useFakeTimers();
    present = false;
    const ended = codeOf(queue.wait(findAny, 'call', {}));
    vi.advanceTimersByTime(1000);
    expect(await ended).toBe('EIO');
    expect(await codeOf(queue.wait(findAny, 'call', LONG))).toBe('EIO');
    expect(thrownCode(() => queue.poll(findAny))).toBe('EIO');
    expect(thrownCode(() => queue.waitSync(findAny, 'call', LONG))).toBe('EIO');
    expect(file.taken()).toEqual(['arm', 'disarm']);
    present = true;
    expect(queue.poll(findAny)).toBeUndefined();
    expect(queue.detached).toBe(false);
    const wait = queue.wait(findAny, 'call', LONG);
    file.deliver(bytesOf(1));
    expect(irqOf(await wait)).toBe(1);
  });

  it('is looked for at least once a second while the thread is blocked', () => {
    file.reads.push(-ERRNOS.EINTR, -ERRNOS.EAGAIN, { bytes: bytesOf(1) });
    expect(irqOf(queue.waitSync(findAny, 'call', {}))).toBe(1);
    expect(file.taken()).toEqual(Array(3).fill('readSync 1000 0'));
    expect(asked).toBe(1);
    present = false;
    expect(thrownCode(() => queue.waitSync(findAny, 'call', {}))).toBe('EIO');
    expect(file.taken()).toEqual(['readSync 1000 0']);
    expect(queue.detached).toBe(true);
  });
});

describe('a subscription', () => {
  let got: (number | undefined)[][];
  let failures: unknown[];
  const subscriber = {
    events: (events: readonly CxlEvent[]) => void got.push(events.map(irqOf)),
    failed: (error: unknown) => void failures.push(error),
  };
  beforeEach(() => {
    got = [];
    failures = [];
  });

  it('gets all that a batch brings at once, and what was pending, in a later turn', async () => {
    file.reads.push({ bytes: bytesOf(1, 2, 3) });
    expect(irqOf(queue.poll(findIrq(2)))).toBe(2);
    file.taken();
    const end = queue.subscribe(findAny, subscriber);
    expect([got, file.taken()]).toEqual([[], []]);
    await Promise.resolve();
    expect([got, file.taken()]).toEqual([[[1, 3]], ['arm']]);
    file.deliver(bytesOf(4, 4, 1));
    expect([got.at(-1), file.taken()]).toEqual([[4, 1], ['arm']]);
    end();
    end();
    expect(file.taken()).toEqual(['disarm']);
    file.deliver(bytesOf(2));
    expect(got).toHaveLength(2);
    expect(failures).toEqual([]);
    // What came later is there for the next reader.
    expect(irqOf(await queue.wait(findAny, 'call', LONG))).toBe(2);
  });

  it('is not called for a batch that has nothing for it', async () => {
    queue.subscribe(findIrq(2), subscriber);
    await Promise.resolve();
    file.deliver(bytesOf(1));
    expect(got).toEqual([]);
    expect(file.taken()).toEqual(['arm', 'arm']);
  });

  it('that has been ended in the same turn, or by its own subscriber, is over', async () => {
    file.reads.push({ bytes: bytesOf(1, 2) });
    queue.poll(findIrq(1));
    file.taken();
    queue.subscribe(findAny, subscriber)();
    await Promise.resolve();
    expect([got, file.taken()]).toEqual([[], ['disarm']]);
    expect(irqOf(queue.poll(findAny))).toBe(2);
    const end = queue.subscribe(findAny, { ...subscriber, events: () => end() });
    await Promise.resolve();
    file.deliver(bytesOf(1));
    expect(file.taken()).toEqual(['arm', 'disarm']);
    expect(irqOf(await waited())).toBe(5);
  });

  /** Another wait gets events: nothing of the subscription is left. */
  async function waited(): Promise<CxlEvent> {
    const wait = queue.wait(findAny, 'call', LONG);
    file.deliver(bytesOf(5));
    return await wait;
  }

  it('fails once with what a wait would reject with, after the events before it', async () => {
    queue.subscribe(findAny, subscriber);
    await Promise.resolve();
    file.deliver(Buffer.concat([bytesOf(1), MALFORMED]));
    expect(got).toEqual([[1]]);
    expect(failures).toMatchObject([{ code: 'EBADMSG' }]);
    expect(irqOf(await waited())).toBe(5);

    file.armErrno = -ERRNOS.EBADF;
    queue.subscribe(findAny, subscriber);
    expect(failures).toHaveLength(1);
    await Promise.resolve();
    expect(failures).toMatchObject([{}, { code: 'EBADF', syscall: 'read' }]);
    file.armErrno = 0;
    expect(irqOf(await waited())).toBe(5);
  });

  it('is canceled by close()', async () => {
    queue.subscribe(findAny, subscriber);
    await Promise.resolve();
    queue.close();
    expect(failures).toMatchObject([{ code: 'ECANCELED', syscall: 'read', path: PATH }]);
    expect(file.taken()).toEqual(['arm', 'disarm']);
    queue.close();
    expect(failures).toHaveLength(1);
    queue.subscribe(findAny, subscriber);
    await Promise.resolve();
    expect(failures).toMatchObject([{}, { code: 'ECANCELED' }]);
  });

  it('to a context that is gone asks again whether it is there', async () => {
    let present = false;
    queue = new EventQueue(file as unknown as AfuFile, PATH, () => present);
    expect(thrownCode(() => queue.waitSync(findAny, 'call', {}))).toBe('EIO');
    present = true;
    queue.subscribe(findAny, subscriber);
    await Promise.resolve();
    expect(failures).toEqual([]);
    file.deliver(bytesOf(3));
    expect(got).toEqual([[3]]);
  });
});
