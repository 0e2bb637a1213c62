/** Recordings that the tests of traces look at, and how the command is run within the test's process. */
import type { RecordedItem } from 'node-cxl/record';
import { outputHere, runHere } from '../cli/in-process';

/** struct cxl_event of an AFU interrupt. */
export function interrupt(irq: number, endian: 'big' | 'little' = 'little'): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(16));
  const little = endian === 'little';
  bytes.setUint16(0, 1, little);
  bytes.setUint16(2, 16, little);
  bytes.setUint16(4, 7, little);
  bytes.setUint16(10, irq, little);
  return new Uint8Array(bytes.buffer);
}

/** What `node-cxl trace` prints with these words, and ends with. */
export const trace = (...words: string[]) => runHere(['trace', ...words]);

/** What it prints when it must succeed and complain of nothing. */
export const output = (...words: string[]) => outputHere(['trace', ...words]);

/** The objects of its lines, or its document. */
export async function json(...words: string[]) {
  return JSON.parse(await output(...words, '--json'));
}

export async function jsonLines(...words: string[]) {
  const lines = (await output(...words, '--json')).trim().split('\n');
  return lines.map((line) => JSON.parse(line));
}

const call = (
  number: number,
  name: string,
  object: number,
  time: number,
  input: Record<string, unknown> = {},
  more: object = {},
) => ({ type: 'call', call: number, name, object, time, input, ...more }) as RecordedItem;

const returned = (number: number, time: number, more: object = {}) =>
  ({ type: 'return', call: number, time, ...more }) as RecordedItem;

export const access = (
  name: string,
  object: number,
  offset: number,
  time: number,
  more: object,
) => {
  const last = { times: 1, last: time };
  return { type: 'access', name, object, offset, time, ...last, ...more } as RecordedItem;
};

/** What a program does that opens a context, waits for an interrupt and closes. Times are exact. */
export const PROGRAM: readonly RecordedItem[] = [
  { type: 'system', system: 'cxl', backend: 'mock', pageSize: 4096, flash: false, time: 0 },
  call(1, 'allocate', 0, 100, { size: 4096 }),
  returned(1, 150, { answer: { address: 0x1000n, size: 4096 }, created: 1 }),
  call(2, 'open', 0, 200, { path: '/dev/cxl/afu0.0s' }),
  returned(2, 700, { answer: { fd: 5 }, created: 2 }),
  {
    type: 'memory',
    object: 1,
    by: 'program',
    certain: true,
    time: 790,
    ranges: [{ offset: 8, bytes: Buffer.from('0123456789abcdef', 'hex') }],
  },
  call(
    3,
    'ioctl(START_WORK)',
    2,
    800,
    { workElementDescriptor: 0x1020n },
    {
      addresses: { workElementDescriptor: { memory: 1, offset: 32 } },
    },
  ),
  // Another call while this one is under way.
  call(4, 'sysfs.read', 0, 900, { path: '/sys/class/cxl/afu0.0s/mmio_size' }),
  returned(4, 950, { errno: -2 }),
  returned(3, 1800, { answer: {} }),
  call(5, 'mmap', 2, 1900, { offset: 0, length: 4096, endian: 'big' }),
  returned(5, 1910, { answer: { length: 4096 }, created: 3 }),
  access('read64', 3, 8, 2000, { value: 1n, times: 10, last: 2900 }),
  access('write64', 3, 16, 3000, { value: 0x1008n, address: { memory: 1, offset: 8 } }),
  call(6, 'arm', 2, 3100),
  returned(6, 3110),
  {
    type: 'events',
    object: 2,
    bytes: Buffer.concat([interrupt(1), interrupt(3)]),
    errno: 0,
    time: 5000,
  },
  access('read64', 3, 8, 5250, { failed: true }),
  call(7, 'close', 2, 6000),
  returned(7, 6500, { answer: 0 }),
  { type: 'end', reason: 'exit', code: 0, time: 7000 },
];
