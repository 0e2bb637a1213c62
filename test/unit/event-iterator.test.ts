/** What Context.events() returns, over a file whose batches the test gives. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { AfuFile } from '../../dist/binding';
import type { CxlEvent } from '../../dist/events/events';
import { EventIterator } from '../../dist/events/iterator';
import { EventQueue } from '../../dist/events/queue';
import { codeOf, thrownCode } from './mock-support';
import { bytesOf, findAny, irqOf, ScriptedFile } from './scripted-file';

const DONE = { done: true, value: undefined };

let file: ScriptedFile;
let queue: EventQueue;
let controller: AbortController;
let iterator: EventIterator<CxlEvent>;
beforeEach(() => {
  file = new ScriptedFile();
  queue = new EventQueue(file as unknown as AfuFile, '/dev/cxl/afu0.0s');
  controller = new AbortController();
  iterator = iterate(controller.signal);
});

/** As Context.events(): the constructor is not in the declarations. */
function iterate(signal?: AbortSignal): EventIterator<CxlEvent> {
  return Reflect.construct(EventIterator, [
    queue,
    () => queue.claim(),
    () => queue.wait(findAny, 'events', { signal }),
  ]);
}

/** Another reader can be the only one. */
function expectFree(): void {
  queue.release(queue.claim());
}

describe('an iterator over events', () => {
  it('is the reader from its first next() until return()', async () => {
    expectFree();
    expect(iterator[Symbol.asyncIterator]()).toBe(iterator);
    const next = iterator.next();
    expect(thrownCode(() => queue.claim())).toBe('ERR_INVALID_STATE');
    file.deliver(bytesOf(2, 3));
    const { done, value } = await next;
    expect([done, irqOf(value)]).toEqual([false, 2]);
    expect(thrownCode(() => queue.claim())).toBe('ERR_INVALID_STATE');
    expect(irqOf((await iterator.next()).value)).toBe(3);
    expect(await iterator.return()).toEqual(DONE);
    expectFree();
    expect(await iterator.next()).toEqual(DONE);
    expect(file.taken()).toEqual(['arm', 'disarm']);
  });

  it('that is ended before its first next() never becomes the reader', async () => {
    const reader = queue.claim();
    const wait = queue.wait(findAny, 'call', {});
    expect(await iterator.return()).toEqual(DONE);
    expect(await iterator.next()).toEqual(DONE);
    file.deliver(bytesOf(1));
    expect(irqOf(await wait)).toBe(1);
    queue.release(reader);
  });

  it('ends a next() that is waiting by return(), and no wait of another reader after it', async () => {
    for (const end of ['return', Symbol.asyncDispose] as const) {
      const ended = iterate();
      const next = ended.next();
      await ended[end]();
      expect(await next).toEqual(DONE);
      const reader = queue.claim();
      const wait = queue.wait(findAny, 'call', {});
      await ended[end]();
      expect(thrownCode(() => queue.claim())).toBe('ERR_INVALID_STATE');
      file.deliver(bytesOf(1));
      expect(irqOf(await wait)).toBe(1);
      queue.release(reader);
    }
  });

  it('ends with the error of a wait, and without one when the context is closed', async () => {
    const aborted = iterator.next();
    controller.abort();
    expect(await codeOf(aborted)).toBe('ABORT_ERR');
    expect(await iterator.next()).toEqual(DONE);
    expectFree();
    const other = iterate();
    const next = other.next();
    queue.close();
    expect(await next).toEqual(DONE);
    expectFree();
  });

  it('goes on after a call that the state did not allow', async () => {
    const reader = queue.claim();
    expect(await codeOf(iterator.next())).toBe('ERR_INVALID_STATE');
    queue.release(reader);
    const first = iterator.next();
    expect(await codeOf(iterator.next())).toBe('ERR_INVALID_STATE');
    file.deliver(bytesOf(4));
    expect(irqOf((await first).value)).toBe(4);
    expect(thrownCode(() => queue.claim())).toBe('ERR_INVALID_STATE');
    await iterator.return();
  });
});
