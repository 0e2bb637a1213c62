/** `node-cxl trace diff A B`. */
import path from 'node:path';
import type { Cxl } from 'node-cxl';
import { createMockCxl, memcpyAfu } from 'node-cxl/mock';
import { type RecordedItem, recordCxl } from 'node-cxl/record';
import { describe, expect, it } from 'vitest';
import { copyText, scratchFolder, writeRecording } from '../record/support';
import { access, interrupt, output, PROGRAM, trace } from './support';

const folder = scratchFolder();
let count = 0;

async function record(
  program: (system: Cxl) => Promise<unknown>,
  system: Cxl = createMockCxl(),
): Promise<string> {
  count += 1;
  const file = path.join(folder, `run${count}`);
  const recorded = recordCxl(system, { file });
  await program(recorded);
  recorded.stop();
  return file;
}

function write(records: readonly RecordedItem[]): string {
  count += 1;
  return writeRecording(path.join(folder, `run${count}`), records);
}

/** What differs. The command must fail, with one line. */
async function difference(a: string, b: string) {
  const { stdout, error } = await trace('diff', a, b, '--json');
  expect(error?.message).toBe(`${a} and ${b} part`);
  return JSON.parse(stdout);
}

describe('node-cxl trace diff', () => {
  it('finds two runs of one program the same, whatever its times and addresses', async () => {
    const a = await record((system) => copyText(system));
    const b = await record(async (system) => copyText(system));
    expect(await output('diff', a, b)).toContain('the same in both: memory, sysfs, afu0.0s#1');
  });

  it('says in a line each what tells one card from another', async () => {
    const a = await record((system) => copyText(system));
    const b = await record(
      (system) => copyText(system),
      createMockCxl({ cards: [{ afus: [{ model: memcpyAfu() }], pslRevision: 2 }] }),
    );
    const { card, contexts } = await difference(a, b);
    expect(contexts).toEqual([]);
    expect(card).toContainEqual({ path: 'card0/psl_revision', a: '1', b: '2' });
    const { stdout } = await trace('diff', a, b);
    expect(stdout).toContain('another card: card0/psl_revision is 1 in A, 2 in B\n');
  });

  it('parts exactly where a program was changed, and says what memory differs', async () => {
    const a = await record((system) => copyText(system, 'Hello'));
    const b = await record((system) => copyText(system, 'Hallo'));
    const { contexts, memory, same } = await difference(a, b);
    expect(contexts).toEqual([]);
    expect(same).toContain('afu0.0s#1');
    // The source, and the copy.
    expect(memory.map(({ memory: name }: { memory: string }) => name)).toEqual(['mem2', 'mem3']);
    expect(memory[0]).toMatchObject({
      words: 1,
      offset: 0,
      a: { text: Buffer.from('Hello\0\0\0').toString('hex') },
      b: { text: Buffer.from('Hallo\0\0\0').toString('hex') },
    });
  });

  it('says which call came in each run, with its time and place', async () => {
    const changed = PROGRAM.map((item) =>
      item.type === 'access' && item.name === 'write64' ? { ...item, offset: 24 } : item,
    );
    const a = write(PROGRAM);
    const b = write(changed);
    const { contexts, memory, same } = await difference(a, b);
    expect(memory).toEqual([]);
    expect(same).toEqual(['memory', 'sysfs']);
    expect(contexts.length).toBe(1);
    expect(contexts[0]).toMatchObject({
      context: 'afu0.0s#1',
      departures: [
        {
          kind: 'call',
          index: 4,
          a: { name: 'write64', time: 3000, input: { offset: 16, value: 'mem1+0x8' } },
          b: { name: 'write64', time: 3000, input: { offset: 24 } },
        },
      ],
    });
    const { stdout } = await trace('diff', a, b);
    expect(stdout).toMatch(
      /another call after 4 that agree:\n {4}A 0\.003000 write64\(0x10, &mem1\+0x8\) \(record \d+, block at byte \d+\)\n {4}B 0\.003000 write64\(0x18/,
    );
    const { stdout: fields } = await trace('diff', a, b, '--plain');
    expect(fields).toBe('afu0.0s#1\tcall\t4\twrite64(0x10, &mem1+0x8)\twrite64(0x18, &mem1+0x8)\n');
  });

  it('tells another result from another call, and a run that ends earlier', async () => {
    const changed = PROGRAM.filter(({ type }) => type !== 'end').flatMap((item): RecordedItem[] => {
      if (item.type === 'return' && item.call === 3) return [{ ...item, errno: -16 }];
      return item.time >= 6000 ? [] : [item];
    });
    const { contexts } = await difference(write(PROGRAM), write(changed));
    const [{ departures }] = contexts;
    expect(departures.map(({ kind, index }: never) => [kind, index])).toEqual([
      ['result', 1],
      ['call', 8],
    ]);
    expect(departures[0].b).toMatchObject({ name: 'ioctl(START_WORK)', error: 'EBUSY' });
    expect(departures[1]).toMatchObject({ a: { name: 'close' }, b: null });
  });

  it('takes polls as one load with the last value, and does not mind how events are batched', async () => {
    const load = (offset: number, value: bigint, time: number) =>
      access('read64', 2, offset, time, { value });
    const events = (...irqs: number[]) =>
      ({
        ...{ type: 'events', object: 2, errno: 0, time: 50 },
        bytes: Buffer.concat(irqs.map((irq) => interrupt(irq))),
      }) as RecordedItem;
    const end: RecordedItem = { type: 'end', reason: 'exit', time: 99 };
    const slow = write([
      ...[0n, 0n, 0n, 1n].flatMap((value, at) => [load(8, value, at), load(16, 5n, at)]),
      events(1),
      events(2),
      end,
    ]);
    const fast = write([load(8, 1n, 1), load(16, 5n, 2), events(1, 2), end]);
    expect(await output('diff', slow, fast)).toContain('the same in both: object2');
    const other = write([load(8, 2n, 1), load(16, 5n, 2), events(1, 3), end]);
    const { contexts } = await difference(fast, other);
    expect(contexts[0].departures).toMatchObject([
      { kind: 'result', index: 0, a: { result: '0x1' }, b: { result: '0x2' } },
    ]);
    const less = write([load(8, 1n, 1), load(16, 5n, 2), events(1), end]);
    const [{ departures }] = (await difference(fast, less)).contexts;
    expect(departures).toMatchObject([{ kind: 'call', index: 3, b: null }]);
  });

  it('compares free order across contexts, and names contexts of one run alone', async () => {
    const early = PROGRAM.filter((item) => !('call' in item && item.call === 4));
    const { contexts, same } = await difference(write(PROGRAM), write(early));
    expect(contexts).toMatchObject([{ context: 'sysfs', countA: 1, countB: 0 }]);
    expect(same).toEqual(['memory', 'afu0.0s#1']);
  });
});
