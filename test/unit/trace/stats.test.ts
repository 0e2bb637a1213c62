/** `node-cxl trace FILE --stats`. */
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { scratchFolder, writeRecording } from '../record/support';
import { access, interrupt, json, output, PROGRAM, trace } from './support';

const folder = scratchFolder();
const file = writeRecording(path.join(folder, 'program'), PROGRAM);

describe('node-cxl trace --stats', () => {
  it('counts calls, time, bytes and interrupts by context, and measures the latency', async () => {
    const { contexts } = await json(file, '--stats');
    const latency = { count: 1, p50: 250, p90: 250, p99: 250, max: 250 };
    expect(contexts[1]).toEqual({
      context: 'afu0.0s#1',
      calls: 5,
      failed: 1,
      accesses: 12,
      time: 500 + 1000 + 10 + 10 + 500,
      bytesRead: 10 * 8 + 32,
      bytesWritten: 8,
      interrupts: 2,
      otherEvents: 0,
      latency,
    });
    expect(contexts[0]).toMatchObject({ context: 'memory', calls: 1, bytesWritten: 8 });
    expect(contexts[2]).toMatchObject({ context: 'sysfs', calls: 1, failed: 1, time: 50 });
    expect(contexts.length).toBe(3);
  });

  it('counts by call', async () => {
    const { calls } = await json(file, '--stats');
    expect(calls[0]).toEqual({
      name: 'ioctl(START_WORK)',
      count: 1,
      failed: 0,
      time: 1000,
      bytesRead: 0,
      bytesWritten: 0,
      duration: { count: 1, p50: 1000, p90: 1000, p99: 1000, max: 1000 },
    });
    const reads = calls.find(({ name }: { name: string }) => name === 'read64');
    expect(reads).toMatchObject({ count: 11, failed: 1, bytesRead: 80 });
    expect(reads.duration).toEqual({ count: 0, p50: null, p90: null, p99: null, max: null });
  });

  it('takes percentiles of latencies by the nearest rank; waits are no reaction', async () => {
    const records = Array.from({ length: 100 }, (_, index) => {
      const time = index * 1000;
      return [
        { type: 'events', object: 2, bytes: interrupt(1), errno: 0, time },
        { type: 'call', call: index + 1, name: 'arm', object: 2, input: {}, time: time + 1 },
        { type: 'return', call: index + 1, time: time + 1 },
        // Its changes of memory are no calls of the program either.
        { type: 'memory', object: 1, by: 'device', certain: true, time: time + 2, ranges: [] },
        access('read64', 2, 0, time + 5 + index, { value: 0n }),
      ] as never[];
    });
    const many = writeRecording(path.join(folder, 'many'), [
      ...records.flat(),
      // Without anything after it.
      { type: 'events', object: 2, bytes: interrupt(1), errno: 0, time: 200_000 },
      { type: 'end', reason: 'exit', time: 200_001 },
    ]);
    const { contexts } = await json(many, '--stats');
    expect(contexts[0]).toMatchObject({
      interrupts: 101,
      latency: { count: 100, p50: 54, p90: 94, p99: 103, max: 104 },
    });
    // The program's next call counts also where only events are wanted.
    const filtered = await json(many, '--stats', '--call', 'events', '--to', '50ms');
    expect(filtered.contexts[0].latency).toMatchObject({ count: 50, max: 54 });
    expect(filtered.calls).toEqual([]);
  });

  it('prints tables, and fields', async () => {
    const text = await output(file, '--stats');
    expect(text).toMatch(/│ afu0\.0s#1 │ 5 .*│ 0\.002020 │ 112 B │ 8 B .*│ 250 /);
    const fields = (await output(file, '--stats', '--plain')).split('\n');
    expect(fields[1]).toBe('context\tafu0.0s#1\t5\t1\t12\t2020\t112\t8\t2\t0\t250\t250\t250\t250');
  });

  it('is not combined with a file to write', async () => {
    const { error } = await trace(file, '--stats', '--html', 'x');
    expect(error?.code).toBe('commander.conflictingOption');
  });
});
