/** The timelines that `node-cxl trace` writes: trace events for Perfetto, and the data of the page. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { inflateRawSync } from 'node:zlib';
import { createMockCxl } from 'node-cxl/mock';
import { recordCxl } from 'node-cxl/record';
import { describe, expect, it } from 'vitest';
import { copyText, scratchFolder, writeRecording } from '../record/support';
import { json, output, PROGRAM, trace } from './support';

const folder = scratchFolder();
const file = writeRecording(path.join(folder, 'program'), PROGRAM);

/** An event of the trace-event format, as far as it is used. */
interface TraceEvent {
  ph: string;
  name: string;
  cat: string;
  ts: number;
  dur: number;
  pid: number;
  tid: number;
  id: number;
  bp?: string;
  args: Record<string, unknown>;
}

async function perfetto(recording: string): Promise<TraceEvent[]> {
  const out = `${recording}.json`;
  await output(recording, '--perfetto', out);
  const { traceEvents, displayTimeUnit } = JSON.parse(readFileSync(out, 'utf8'));
  expect(['ms', 'ns']).toContain(displayTimeUnit);
  return traceEvents;
}

const row = ({ pid, tid }: TraceEvent) => `${pid} ${tid}`;

/** The rules of the trace-event format for the events that are used: M, X, and the flows s, t, f. */
function checkRules(events: readonly TraceEvent[]): void {
  const names = new Set<string>();
  const slices = new Map<string, TraceEvent[]>();
  const flows = new Map<number, TraceEvent[]>();
  for (const event of events) {
    expect(typeof event.name).toBe('string');
    expect(Number.isInteger(event.pid) && Number.isInteger(event.tid)).toBe(true);
    if (event.ph === 'M') {
      expect(['process_name', 'thread_name', 'thread_sort_index']).toContain(event.name);
      if (event.name === 'process_name') names.add(`${event.pid}`);
      if (event.name === 'thread_name') names.add(row(event));
      continue;
    }
    expect(event.ts).toBeGreaterThanOrEqual(0);
    if (event.ph === 'X') {
      expect(event.dur).toBeGreaterThan(0);
      slices.set(row(event), [...(slices.get(row(event)) ?? []), event]);
    } else {
      expect(['s', 't', 'f']).toContain(event.ph);
      if (event.ph === 'f') expect(event.bp).toBe('e');
      flows.set(event.id, [...(flows.get(event.id) ?? []), event]);
    }
  }
  for (const [key, list] of slices) {
    expect(names).toContain(key);
    expect(names).toContain(key.split(' ')[0]);
    // Slices of a thread must nest; these do not even touch.
    list.sort((a, b) => a.ts - b.ts);
    for (const [index, { ts }] of list.entries()) {
      const before = list[index - 1];
      if (before !== undefined) expect(ts).toBeGreaterThanOrEqual(before.ts + before.dur - 0.001);
    }
  }
  for (const steps of flows.values()) {
    expect(steps.map(({ ph }) => ph)).toEqual(['s', 't', 'f']);
    const times = steps.map(({ ts }) => ts);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    for (const step of steps) {
      expect([step.name, step.cat]).toEqual([steps[0]?.name, steps[0]?.cat]);
      // What it is bound to: the slice around it.
      const around = (slices.get(row(step)) ?? []).filter(
        ({ ts, dur }) => ts <= step.ts && step.ts < ts + dur,
      );
      expect(around.length).toBe(1);
    }
  }
}

describe('node-cxl trace --perfetto', () => {
  it('writes contexts as threads, calls as slices, and a flow from event to next call', async () => {
    const events = await perfetto(file);
    checkRules(events);
    const threads = events.filter(({ name }) => name === 'thread_name');
    expect(threads.map(({ args }) => args['name'])).toEqual([
      'recording',
      'memory',
      'afu0.0s#1',
      'sysfs',
      'afu0.0s#1 events',
    ]);
    expect(events.find(({ name }) => name === 'process_name')?.args['name']).toBe('node app.js');
    expect(events.find(({ name }) => name === 'ioctl(START_WORK)')).toMatchObject({
      ph: 'X',
      cat: 'call',
      ts: 800,
      dur: 1000,
      args: { input: { workElementDescriptor: 'mem1+0x20' }, error: null },
    });
    const flow = events.filter(({ ph }) => 'stf'.includes(ph));
    expect(flow.map(({ ph, ts }) => [ph, ts])).toEqual([
      ['s', 5000],
      ['t', 5000],
      ['f', 5250],
    ]);
    const slice = (name: string) => events.find((each) => each.ph === 'X' && each.name === name);
    expect(flow[0]?.tid).toBe(slice('interrupt 1, interrupt 3')?.tid);
    expect(flow[1]?.tid).toBe(slice('delivery')?.tid);
  });

  it('keeps the rules where calls overlap, and accesses come in one microsecond', async () => {
    const call = (number: number, time: number) =>
      ({ type: 'call', call: number, name: 'ioctl(VERIFY)', object: 1, input: {}, time }) as never;
    const crowded = writeRecording(path.join(folder, 'crowded'), [
      call(1, 10),
      call(2, 20),
      call(3, 30),
      { type: 'return', call: 1, time: 40 },
      { type: 'return', call: 2, time: 60 },
      ...Array.from({ length: 30 }, (_, offset) => ({
        ...{ type: 'access', name: 'read64', object: 1, offset, time: 70, last: 70, times: 1 },
        value: 0n,
      })),
      call(4, 80),
      { type: 'return', call: 4, time: 90 },
      { type: 'end', reason: 'exit', time: 100 },
    ] as never[]);
    const events = await perfetto(crowded);
    checkRules(events);
    const calls = events.filter(({ name }) => name === 'ioctl(VERIFY)');
    // The third never returned: it lasts to the end of the last mark.
    expect(calls.map(({ ts, dur }) => [ts, dur]).sort(([a = 0], [b = 0]) => a - b)).toEqual([
      [10, 30],
      [20, 40],
      [30, 70.1],
      [80, 10],
    ]);
    expect(new Set(calls.map(({ tid }) => tid)).size).toBe(3);
  });

  it('of a program on the mock keeps the rules', async () => {
    const recording = path.join(folder, 'copy');
    const recorded = recordCxl(createMockCxl(), { file: recording });
    await copyText(recorded);
    recorded.stop();
    const events = await perfetto(recording);
    checkRules(events);
    expect(events.filter(({ ph }) => ph === 's').length).toBe(1);
  });
});

describe('node-cxl trace --html', () => {
  it('writes one page with everything in it', async () => {
    const out = path.join(folder, 'page.html');
    const { file: name, bytes } = await json(file, '--html', out);
    const page = readFileSync(out, 'utf8');
    expect([name, bytes]).toEqual([out, Buffer.byteLength(page)]);
    expect(page).not.toMatch(/<(script|link|img)[^>]+(src|href)=/);
    expect(page).toContain('Permission is hereby granted'); // uPlot's license
    expect(page).not.toMatch(/\/\*(STYLES|SCRIPT|LICENSE)\*\/|<!--DATA-->/);
    const [, packed = ''] = /id="data">([^<]*)</.exec(page) ?? [];
    const data = JSON.parse(inflateRawSync(Buffer.from(packed, 'base64')).toString());
    expect(data.rows.map(({ lane }: { lane: string }) => lane)).toEqual([
      'recording',
      'memory',
      'afu0.0s#1',
      'afu0.0s#1 events',
      'sysfs',
    ]);
    expect(data.arrows.length).toBe(1);
    const [from, over, to] = data.arrows[0];
    const textOf = (item: number) => data.texts[data.items.name[item]];
    expect([from, over, to].map(textOf)).toEqual([
      'interrupt 1, interrupt 3',
      'delivery',
      'read64 0x8',
    ]);
    expect(data.items.failed[to]).toBe(1);
    expect(data.items.row.length).toBe(15);
  });

  it('leaves an old file as it was when the recording cannot be read', async () => {
    const out = path.join(folder, 'old.html');
    writeFileSync(out, 'old');
    expect((await trace(out, '--html', out)).error?.code).toBe('ERR_CXL_BAD_RECORDING');
    expect(readFileSync(out, 'utf8')).toBe('old');
    expect(readdirSync(folder).filter((name) => name.endsWith('.node-cxl'))).toEqual([]);
  });
});
