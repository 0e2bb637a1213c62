/** How often an ioctl is repeated that the driver answers with EAGAIN, and when. */
import { setImmediate as loopTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { retryOnEagain } from '../../../lib/flash/retry';
import { systemError } from '../../../lib/shared/errors';
import { VirtualTime } from './virtual-time';

const again = () => systemError('EAGAIN', 'ioctl(RELEASE)');

/** The call as it went: when it was repeated, in milliseconds, and its end. */
async function repeated(
  call: (calls: number) => unknown,
  atLeast?: number,
  signal?: AbortSignal,
): Promise<{ times: number[]; end: unknown }> {
  const time = new VirtualTime();
  const times: number[] = [];
  let end: unknown;
  await time.during(async () => {
    const running = retryOnEagain(
      async () => {
        times.push(time.now);
        const answer = call(times.length);
        if (answer instanceof Error) throw answer;
        return answer;
      },
      signal,
      atLeast,
    );
    running.then(
      (answer) => {
        end = answer;
      },
      (error) => {
        end = error;
      },
    );
    await loopTurn();
    for (let turn = 0; end === undefined && turn < 10_000; turn += 1) {
      time.pass(1);
      await loopTurn();
    }
    expect(time.timers).toBe(0);
  });
  return { times, end };
}

describe('a call that fails with EAGAIN', () => {
  it('is repeated after pauses that double from 1 ms to 100 ms, 20 times', async () => {
    const { times, end } = await repeated(again);
    expect(end).toMatchObject({ code: 'EAGAIN' });
    expect(times.slice(0, 10)).toEqual([0, 1, 3, 7, 15, 31, 63, 127, 227, 327]);
    expect([times.length, times.at(-1)]).toEqual([21, 1427]);
    const last = await repeated((calls) => (calls < 21 ? again() : 'answer'));
    expect(last.end).toEqual({ answer: 'answer', retries: 20 });
  });

  it('is repeated for a longer time where that is asked for', async () => {
    const { times, end } = await repeated(again, 2000);
    expect(end).toMatchObject({ code: 'EAGAIN' });
    expect([times.length, times.at(-1)]).toEqual([27, 2027]);
    // The end of the time, to the millisecond.
    expect((await repeated(again, 2027)).times.at(-1)).toBe(2027);
    expect((await repeated(again, 2028)).times.at(-1)).toBe(2127);
  });

  it('is not repeated after an answer, or another error', async () => {
    expect(await repeated(() => 'answer')).toEqual({
      times: [0],
      end: { answer: 'answer', retries: 0 },
    });
    for (const error of [
      systemError('EIO', 'ioctl(RELEASE)'),
      systemError('EAGAIN', 'pthread_create'),
      Object.assign(new Error('not of the driver'), { code: 'EAGAIN' }),
    ]) {
      const { times, end } = await repeated(() => error);
      expect([times, end]).toEqual([[0], error]);
    }
  });

  it('is not repeated after an abort', async () => {
    const controller = new AbortController();
    const during = await repeated(
      (calls) => {
        if (calls === 2) controller.abort();
        return again();
      },
      0,
      controller.signal,
    );
    expect([during.times, during.end]).toMatchObject([[0, 1], { code: 'ABORT_ERR' }]);
    const before = await repeated(() => 'answer', 0, controller.signal);
    expect([before.times, before.end]).toMatchObject([[], { code: 'ABORT_ERR' }]);
  });
});
