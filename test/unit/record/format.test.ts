/** The file of a recording: written and read, cut off, damaged. */
import fs, { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { inspect } from 'node:util';
import { createMockCxl } from 'node-cxl/mock';
import { type RecordedEntry, recordCxl } from 'node-cxl/record';
import { beforeAll, describe, expect, it } from 'vitest';
import { copyText, read, scratchFolder } from './support';

const folder = scratchFolder();
const file = path.join(folder, 'copy.rec');
let whole: ReturnType<typeof read>;
/** As a process leaves it that is killed: of many blocks. */
let unfinished: Buffer;
/** Its records. */
let texts: string[];

beforeAll(async () => {
  const recorded = recordCxl(createMockCxl(), { file });
  expect(await copyText(recorded)).toBe('Hello, accelerator');
  recorded.stop();
  whole = read(file);
  const short = path.join(folder, 'short.rec');
  const again = recordCxl(createMockCxl(), { file: short, snapshot: false });
  await copyText(again);
  unfinished = readFileSync(short);
  texts = read(unfinished).records.map(textOf);
  again.stop();
});

/** Without its place, which damage moves. */
function textOf({ place: _, ...record }: RecordedEntry): string {
  return inspect(record, { depth: 9 });
}

/** The records that are read of a damaged file. Undefined: none of it can be read. */
function readable(damaged: Uint8Array): string[] | undefined {
  try {
    const { records, problems } = read(damaged);
    expect(problems).not.toEqual([]);
    for (const { message, offset } of problems) {
      expect(message).not.toContain('\n');
      expect(offset).toBeLessThanOrEqual(damaged.length);
    }
    return records.map(textOf);
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_CXL_BAD_RECORDING' });
    expect((error as Error).message).not.toContain('\n');
    return undefined;
  }
}

describe('a recording', () => {
  it('has every call, access, event and change of memory, in order', () => {
    const { records, problems, header } = whole;
    expect(problems).toEqual([]);
    expect(header).toMatchObject({ format: 'node-cxl recording', version: 1, threadId: 0 });
    const shown = records.flatMap((record) => {
      if (record.type === 'call') return record.name.startsWith('sysfs') ? [] : [record.name];
      if (record.type === 'access') return [record.name];
      if (record.type === 'memory') return [`${record.by} wrote ${record.object}`];
      return record.type === 'events' || record.type === 'end' ? [record.type] : [];
    });
    expect(shown).toEqual([
      ...['allocate', 'allocate', 'allocate', 'open', 'program wrote 2', 'ioctl(START_WORK)'],
      ...['mmap', 'read64', 'store16', 'store64', 'store64', 'store16', 'store8'],
      ...['memoryBarrier', 'store8', 'arm', 'device wrote 1', 'device wrote 3', 'events'],
      ...['munmap', 'close', 'end'],
    ]);
  });

  it('has addresses by the memory that they lie in', () => {
    const start = whole.records.find(
      (record) => record.type === 'call' && record.name === 'ioctl(START_WORK)',
    );
    expect(start).toMatchObject({
      addresses: { workElementDescriptor: { memory: 1, offset: 32 } },
    });
    const stores = whole.records.filter(
      (record) => record.type === 'access' && record.name === 'store64',
    );
    expect(stores).toMatchObject([
      { object: 1, offset: 16, address: { memory: 2, offset: 0 } },
      { object: 1, offset: 24, address: { memory: 3, offset: 0 } },
    ]);
  });

  it('has the attributes of the card as they were', () => {
    const mode = whole.records.find(
      (record) => record.type === 'sysfs' && record.path === '/sys/class/cxl/afu0.0/mode',
    );
    const { data } = mode as { data: Uint8Array };
    expect(Buffer.from(data).toString()).toBe('afu_directed\n');
  });

  it('is read up to where it was cut, at every byte', () => {
    let count = 0;
    let refused = 0;
    for (let length = 0; length <= unfinished.length; length += 1) {
      const found = readable(unfinished.subarray(0, length));
      if (found === undefined) {
        refused += 1;
        continue;
      }
      // Nothing that was read before is missing now, and nothing is other than it was.
      expect(found.length).toBeGreaterThanOrEqual(count);
      if (found.length > count) expect(found).toEqual(texts.slice(0, found.length));
      count = found.length;
    }
    expect(count).toBe(texts.length);
    // Those within the header.
    expect(refused).toBeLessThan(400);
  });

  it('is read around damage, at random places', () => {
    let seed = 1;
    const random = (limit: number) => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return Math.floor((seed / 2 ** 31) * limit);
    };
    const known = new Set(texts);
    let most = 0;
    for (let run = 0; run < 300; run += 1) {
      const damaged = Buffer.from(unfinished);
      for (let n = random(4); n >= 0; n -= 1) {
        const at = random(damaged.length);
        damaged[at] = damaged[at]! ^ (1 + random(255));
      }
      const found = readable(damaged) ?? [];
      for (const text of found) expect(known.has(text)).toBe(true);
      most = Math.max(most, found.length);
    }
    // What lies after the damage is read too.
    expect(most).toBeGreaterThan(texts.length / 2);
  });

  it('is whole at every step of compressing it', async () => {
    // The process can be killed between any two writes of the file, and in one.
    const big = path.join(folder, 'big.rec');
    const states: Buffer[] = [];
    const { writeSync, ftruncateSync } = fs;
    const recorded = recordCxl(createMockCxl(), { file: big, snapshot: false });
    await copyText(recorded);
    const before = read(big).records.length;
    fs.writeSync = ((fd: number, bytes: Uint8Array, offset: number, length: number, at: number) => {
      const half = writeSync(fd, bytes, offset, Math.ceil(length / 2), at);
      states.push(readFileSync(big));
      return half;
    }) as typeof fs.writeSync;
    fs.ftruncateSync = (fd, length) => {
      states.push(readFileSync(big));
      ftruncateSync(fd, length);
    };
    try {
      recorded.stop();
    } finally {
      fs.writeSync = writeSync;
      fs.ftruncateSync = ftruncateSync;
    }
    expect(states.length).toBeGreaterThan(20);
    for (const state of states) expect(read(state).records.length).toBeGreaterThanOrEqual(before);
    expect(read(big)).toMatchObject({ problems: [] });
    expect(read(big).records).toHaveLength(before + 1);
  });

  it('says in one line what is no recording, and what is of a newer version', () => {
    const other = path.join(folder, 'other');
    writeFileSync(other, 'a text');
    expect(() => read(other)).toThrow(/other cannot be read as a recording: it is no file that/);
    expect(() => read(Buffer.alloc(0))).toThrow('it is empty');
    const newer = Buffer.from(unfinished);
    const at = newer.indexOf('version') + 'version'.length;
    expect(newer[at]).toBe(1);
    newer[at] = 2;
    expect(() => read(newer)).toThrow(
      'it has version 2 of the format, and this node-cxl reads up to 1: update node-cxl',
    );
  });

  it('is data: what is nested without end is damage, and __proto__ is a name as others', () => {
    const at = unfinished.indexOf(Buffer.from('ncxl', 'latin1')) - 1;
    // A block of one record that is stored as it is.
    const block = (record: Uint8Array) => {
      const head = Buffer.from([
        0xda, 0x6e, 0x63, 0x78, 0x6c, 0x85, 0, 1, 0, 0x1a, 0, 0, 0, 0, 0x5a,
      ]);
      head.writeUInt32BE(crc32(record), 10);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(record.length);
      return Buffer.concat([unfinished.subarray(0, at), head, length, record]);
    };
    const deep = read(block(Buffer.concat([Buffer.alloc(1_000_000, 0x81), Buffer.from([0xf6])])));
    expect(deep.records).toEqual([]);
    expect(deep.problems[0]).toMatchObject({ kind: 'damaged' });
    const item = [0xa2, 0x69, ...Buffer.from('__proto__'), 0xa1, 0x63, ...Buffer.from('own'), 1];
    const named = [0x64, ...Buffer.from('type'), 0x64, ...Buffer.from('note')];
    const [record] = read(block(Uint8Array.from([...item, ...named]))).records;
    expect(record).toMatchObject({ type: 'note' });
    expect(Object.getPrototypeOf(record)).toBe(Object.prototype);
    expect('own' in {}).toBe(false);
  });
});

/** Node has its own since 20.15. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffff_ffff) >>> 0;
}
