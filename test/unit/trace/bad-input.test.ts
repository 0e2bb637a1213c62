/** What `node-cxl trace` and its forms do with files that are no whole recordings. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createMockCxl } from 'node-cxl/mock';
import { recordCxl } from 'node-cxl/record';
import { beforeAll, describe, expect, it } from 'vitest';
import { copyText, scratchFolder, writeRecording } from '../record/support';
import { PROGRAM, trace } from './support';

const folder = scratchFolder();
const whole = path.join(folder, 'whole');
const out = path.join(folder, 'out');
/** Each way to look at a file. */
const forms = (file: string): string[][] => [
  [file],
  [file, '--json'],
  [file, '--stats'],
  [file, '--perfetto', out],
  [file, '--html', out],
  ['diff', file, file],
];
let killed: Buffer;

beforeAll(async () => {
  // As a process leaves it that is killed: of many blocks.
  const recorded = recordCxl(createMockCxl(), { file: whole, snapshot: false });
  await copyText(recorded);
  killed = readFileSync(whole);
  recorded.stop();
});

function save(name: string, bytes: string | Uint8Array): string {
  const file = path.join(folder, name);
  writeFileSync(file, bytes);
  return file;
}

describe('bad input', () => {
  it('that is no recording, or of a newer version, is one clear line', async () => {
    const newer = writeRecording(path.join(folder, 'newer'), PROGRAM, { version: 2 });
    for (const [file, reason] of [
      [save('empty', ''), 'it is empty'],
      [save('text', 'no recording at all'), 'it is no file that node-cxl recorded'],
      [save('cut', readFileSync(whole).subarray(0, 30)), 'its header is damaged or cut off'],
      [newer, 'reads up to 1: update node-cxl'],
    ] as const) {
      for (const words of forms(file)) {
        const { stdout, stderr, error } = await trace(...words);
        expect([stdout, stderr]).toEqual(['', '']);
        expect(error?.code).toBe('ERR_CXL_BAD_RECORDING');
        expect(error?.message).toContain(file);
        expect(error?.message).toContain(reason);
      }
    }
    expect((await trace(path.join(folder, 'none'))).error?.code).toBe('ENOENT');
  });

  it('that was cut off shows what there is, and warns', async () => {
    const { stdout: all } = await trace(save('killed', killed));
    let shown = 0;
    for (let length = 400; length < killed.length; length += 97) {
      const file = save('truncated', killed.subarray(0, length));
      const { stdout, stderr, error } = await trace(file);
      expect(error).toBeUndefined();
      expect(stderr).toMatch(/^warning: .*truncated: at byte \d+: the recording ends here/);
      expect(stderr.trim()).not.toContain('\n');
      const lines = stdout.split('\n').filter((line) => !line.includes('<unfinished>'));
      // All but the line of a call that returns later is as in the whole.
      for (const line of lines) expect(all).toContain(line.replace(/ = .*/, ''));
      shown = Math.max(shown, lines.length);
    }
    expect(shown).toBeGreaterThan(15);
    for (const words of forms(save('truncated', killed.subarray(0, 1000)))) {
      const { stderr, error } = await trace(...words);
      expect(error).toBeUndefined();
      expect(stderr).toMatch(/^(warning: |\{"warning":)/);
    }
  });

  it('that is damaged shows the rest, and fails', async () => {
    const bytes = Buffer.from(killed);
    bytes.fill(0xff, 1000, 1100);
    const file = save('damaged', bytes);
    for (const words of forms(file)) {
      const { stdout, stderr, error } = await trace(...words);
      expect(error?.code).toBe('ERR_CXL_BAD_RECORDING');
      expect(error?.message).toMatch(/damaged: at byte \d+: \d+ records? (is|are) missing/);
      expect(stdout.length).toBeGreaterThan(0);
      // It has no end either.
      expect(stderr.trim().split('\n').length).toBe(words[0] === 'diff' ? 3 : 1);
    }
  });

  it('beside a recording, of a worker, is told, and the rest is shown', async () => {
    const main = save('main', readFileSync(whole));
    const part = save('main.12-1', readFileSync(whole).subarray(0, 30));
    for (const words of forms(main)) {
      const { stdout, error } = await trace(...words);
      expect(error?.code).toBe('ERR_CXL_BAD_RECORDING');
      expect(error?.message).toBe(
        `${part}: cannot be read as a recording: its header is damaged or cut off`,
      );
      expect(stdout.length).toBeGreaterThan(0);
    }
  });

  it('with records of an unknown type shows the others', async () => {
    const file = writeRecording(path.join(folder, 'unknown'), [
      { type: 'dream', time: 5 } as never,
      ...PROGRAM,
    ]);
    const { stdout, error } = await trace(file);
    expect(error?.message).toContain('a record of type "dream", which this version does not know');
    expect(stdout.split('\n').length).toBe(15);
  });

  it('that has control characters of a terminal is shown without them', async () => {
    const text = 'one\x1b]0;two\x07\x9b31m\x7f\rthree';
    const file = writeRecording(path.join(folder, 'controls'), [
      { type: 'call', call: 1, name: 'sysfs.read', object: 0, time: 1, input: { path: text } },
      { type: 'call', call: 2, name: text as 'close', object: 0, time: 2, input: {} },
      { type: 'end', time: 3 },
    ] as never);
    for (const words of [[file], [file, '--json'], [file, '--stats'], [file, '--plain']]) {
      const { stdout, stderr } = await trace(...words);
      expect(stdout).toContain('three');
      // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
      expect(stdout + stderr).not.toMatch(/[\0-\x08\x0b-\x1f\x7f-\x9f]/);
    }
  });
});
