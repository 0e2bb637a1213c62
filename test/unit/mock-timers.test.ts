/** What the driver and the card of the mock do after some time. */
import { describe, expect, it } from 'vitest';
import { Timers } from '../../dist/mock/kernel/timers';
import { sleep } from './mock-support';

/** The event loop stands still for so many milliseconds. */
function block(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

describe('the timers of the modeled kernel', () => {
  it('run in a call that blocks, by their times, and once', async () => {
    const timers = new Timers();
    const ran: string[] = [];
    timers.after(60_000, () => ran.push('later'));
    timers.runDue();
    expect(ran).toEqual([]);
    // Far apart, as the test can be held up between the two.
    timers.after(1000, () => ran.push('second'));
    timers.after(1, () => ran.push('first'));
    block(1005);
    timers.runDue();
    expect(ran).toEqual(['first', 'second']);
    timers.runDue();
    await sleep(10);
    expect(ran).toEqual(['first', 'second']);
  });

  it('run on the event loop otherwise', async () => {
    const timers = new Timers();
    const ran: string[] = [];
    timers.after(1, () => ran.push('ran'));
    await sleep(20);
    timers.runDue();
    expect(ran).toEqual(['ran']);
  });

  it('do not run once they are taken back, also by one that is due with them', async () => {
    const timers = new Timers();
    const ran: string[] = [];
    timers.after(0, () => ran.push('canceled'))();
    let cancel = () => {};
    timers.after(1, () => {
      ran.push('first');
      cancel();
    });
    cancel = timers.after(2, () => ran.push('second'));
    block(10);
    timers.runDue();
    await sleep(10);
    expect(ran).toEqual(['first']);
  });
});
