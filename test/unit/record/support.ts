/** Recordings that tests make and read. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Cxl } from 'node-cxl';
import {
  type RecordedEntry,
  type RecordedItem,
  type RecordingHeader,
  readRecording,
} from 'node-cxl/record';
import { afterAll } from 'vitest';

const require = createRequire(import.meta.url);
const { RecordingWriter } = require(path.resolve('dist/record/writer.js'));

/** Writes a recording of these records. Without an `end` among them it is one of a killed process. */
export function writeRecording(
  file: string,
  records: readonly RecordedItem[],
  header: Partial<RecordingHeader> = {},
): string {
  const writer = new RecordingWriter(file, 'w', {
    format: 'node-cxl recording',
    version: 1,
    package: '0.1.0',
    group: 'one',
    pid: 1234,
    threadId: 0,
    started: Date.UTC(2026, 0, 1),
    argv: ['node', 'app.js'],
    nodeVersion: 'v20.0.0',
    platform: 'linux',
    arch: 'ppc64',
    endian: 'little',
    ...header,
  });
  for (const record of records) writer.add(record);
  writer.close();
  return file;
}

/** A folder that is removed after the tests of the file. */
export function scratchFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'node-cxl-record-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The first program of the README: copies a text by the memcpy AFU. */
export async function copyText(system: Cxl, text = 'Hello, accelerator'): Promise<string> {
  const queue = system.allocate(4096, { endian: 'big' });
  const source = system.allocate(128);
  const target = system.allocate(128);
  Buffer.from(source.buffer).write(text);
  const context = await system.open('/dev/cxl/afu0.0s');
  try {
    await context.attach({
      wed: queue.address | 32n,
      interrupts: 4,
      holds: [queue, source, target],
    });
    const registers = context.mapProblemState({ endian: 'big' });
    registers.read64(0x08);
    queue.store16(2, 128);
    queue.store64(16, source.address);
    queue.store64(24, target.address);
    queue.store16(34, 1);
    queue.store8(32, 0x81);
    system.memoryBarrier();
    queue.store8(0, 0x80);
    await context.waitForInterrupt(1, { timeout: 10_000 });
    return Buffer.from(target.buffer).toString('utf8', 0, text.length);
  } finally {
    await context.close();
  }
}

/** The records of a file, and what could not be read. */
export function read(file: string | Uint8Array) {
  const recording = readRecording(file);
  const records: RecordedEntry[] = [...recording];
  return { records, problems: recording.problems, header: recording.header };
}
