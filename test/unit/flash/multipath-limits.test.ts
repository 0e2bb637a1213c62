/** Transfers with a time limit or a signal, when the path of their LUN fails. */
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { begunOn, coded, gone, open, turns } from './multipath-script';
import { VirtualTime } from './virtual-time';

/** Runs `use` with a clock that stands, but not at 0. */
function during(use: (time: VirtualTime) => Promise<void>): Promise<void> {
  const time = new VirtualTime();
  time.now = 1000;
  return time.during(() => use(time));
}

const outcomeOf = (promise: Promise<unknown>) => {
  const outcome: { error?: unknown } = {};
  promise.catch((error) => {
    outcome.error = error;
  });
  return outcome;
};

describe('a call whose path fails', () => {
  it('ends with its time limit or its signal while no path can be used', () =>
    during(async (time) => {
      const { device, paths, read } = open([true]);
      let attached = () => {};
      paths[0]!.attaching = () =>
        new Promise((resolve) => {
          attached = resolve;
        });
      const { signal, abort } = abortable();
      const limited = outcomeOf(read(0, { timeout: 20 }));
      const aborted = outcomeOf(read(2, { signal }));
      const begun = begunOn(paths[0]);
      expect(begun.map(({ options }) => options)).toEqual([{ timeout: 20 }, { signal }]);
      time.pass(5);
      for (const { settle } of begun) settle(gone());
      await turns();
      time.pass(14);
      await turns();
      expect([limited, time.timers, getEventListeners(signal, 'abort').length]).toEqual([{}, 1, 1]);
      time.pass(1);
      await turns();
      expect(limited.error).toMatchObject({
        ...{ code: 'ETIMEDOUT', syscall: 'transfer' },
        message: expect.stringContaining('no path to the LUN was usable in time'),
      });
      expect(aborted).toEqual({});
      abort();
      await turns();
      expect(aborted.error).toMatchObject({ code: 'ABORT_ERR', cause: 'enough' });
      expect(device.statistics).toMatchObject({ errors: 2, failedOver: 0 });
      // Neither ends the wait of others.
      const done = read(4);
      attached();
      await turns();
      begunOn(paths[0])[0]?.settle();
      await done;
    }));

  it('is not repeated once its signal has aborted', async () => {
    const { paths, read } = open([true, true]);
    const { signal, abort } = abortable();
    const done = read(0, { signal });
    abort();
    begunOn(paths[0])[0]?.settle(gone());
    await expect(done).rejects.toMatchObject({ code: 'ABORT_ERR', cause: 'enough' });
    await turns();
    expect(begunOn(paths[1])).toEqual([]);
  });

  it('has the rest of its time on the next path, in whole milliseconds', () =>
    during(async (time) => {
      const { paths, read } = open([true, true]);
      const { signal } = abortable();
      void read(0, { timeout: 60_000, priority: 'low' });
      void read(2, { signal, priority: 'low' });
      time.pass(10.5);
      for (const { settle } of begunOn(paths[0])) settle(gone());
      await turns();
      expect(begunOn(paths[1]).map(({ options }) => options)).toEqual([
        { timeout: 59_990, priority: 'low' },
        { timeout: undefined, signal, priority: 'low' },
      ]);
      // Nothing is left of the wait for that path.
      expect([time.timers, getEventListeners(signal, 'abort')]).toEqual([0, []]);
    }));

  it('of no time at all is refused by the next path', () =>
    during(async () => {
      const { paths, read } = open([true, true]);
      const done = read(0, { timeout: 0 });
      begunOn(paths[0])[0]?.settle(gone());
      await turns();
      expect(begunOn(paths[1])).toEqual([]);
      await expect(done).rejects.toThrow(coded('ETIMEDOUT'));
    }));
});

function abortable() {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort('enough') };
}
