/** `node-cxl record` and `node-cxl record test`. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { readRecording, recordingFiles } from 'node-cxl/record';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { manifest, program, run, TIMEOUT } from './run';

const root = path.dirname(manifest);
/** Within the package, so that programs in it find the package by its name. */
let folder: string;
const file = (name: string) => path.join(folder, name);
const APP = `
import { cxl } from 'node-cxl';
const context = await cxl.open('/dev/cxl/afu0.0s');
await context.attach({ wed: 0n });
console.log('element', context.mapProblemState({ endian: 'big' }).read64(8) >> 48n, process.argv[2]);
await context.close();
process.exitCode = Number(process.argv[3] ?? 0);
`;

beforeAll(() => {
  mkdirSync(path.join(root, 'build'), { recursive: true });
  folder = mkdtempSync(path.join(root, 'build/record-cli-'));
  writeFileSync(file('app.mjs'), APP);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const record = (out: string, ...args: string[]) =>
  run(['record', '--mock', '--out', out, '--', process.execPath, ...args]);

describe('record', () => {
  it(
    'records a program, and passes its output and exit code on',
    async () => {
      const told = await record(file('run.rec'), file('app.mjs'), 'word', '7');
      expect(told).toMatchObject({ code: 7, stdout: 'element 0n word\n', stderr: '' });
      const recording = readRecording(file('run.rec'));
      const names = [...recording].flatMap((each) => (each.type === 'call' ? [each.name] : []));
      expect(names).toContain('ioctl(START_WORK)');
      expect(recording.header.argv.slice(1)).toEqual([file('app.mjs'), 'word', '7']);
      expect([...recording].at(-1)).toMatchObject({ type: 'end', reason: 'exit', code: 7 });
    },
    TIMEOUT,
  );

  it(
    'replaces an older recording, and nothing else',
    async () => {
      await record(file('again.rec'), file('app.mjs'), 'one');
      await record(file('again.rec'), file('app.mjs'), 'two');
      expect(readRecording(file('again.rec')).header.argv[2]).toBe('two');
      writeFileSync(file('text'), 'of mine');
      const refused = await record(file('text'), file('app.mjs'));
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain('cannot be read as a recording');
      expect(readFileSync(file('text'), 'utf8')).toBe('of mine');
    },
    TIMEOUT,
  );

  it(
    'has a file for each process that the program starts',
    async () => {
      const script = `${process.execPath} ${file('app.mjs')} one && ${process.execPath} ${file('app.mjs')} two`;
      const told = await run([
        'record',
        '--mock',
        '--out',
        file('sh.rec'),
        '--',
        'sh',
        '-c',
        script,
      ]);
      expect(told.code).toBe(0);
      const files = recordingFiles(file('sh.rec'));
      expect(files).toHaveLength(2);
      expect(files.map((each) => readRecording(each).header.argv[2])).toEqual(['one', 'two']);
    },
    TIMEOUT,
  );

  it(
    'passes a signal on to the program',
    async () => {
      const waits = `process.on('SIGTERM', () => process.exit(9)); console.log('up'); setInterval(() => {}, 1000);`;
      const args = ['record', '--out', file('signal.rec'), '--', process.execPath, '-e', waits];
      const child = spawn(process.execPath, [program, ...args]);
      child.stdout.once('data', () => child.kill('SIGTERM'));
      const code = await new Promise((resolve) => child.once('close', resolve));
      expect(code).toBe(9);
    },
    TIMEOUT,
  );

  it(
    'refuses to run without a program or a file',
    async () => {
      expect((await run(['record', '--out', file('none')])).code).toBe(2);
      expect((await run(['record', '--', 'true'])).code).toBe(2);
      expect((await run(['record', '--out', file('x/y'), '--', 'true'])).stderr).toContain(
        'ENOENT',
      );
    },
    TIMEOUT,
  );
});

describe('record test', () => {
  it(
    'writes tests for vitest and node:test, which fail where the program is changed',
    async () => {
      await record(file('case.rec'), file('app.mjs'), 'word');
      const made = await run(['record', 'test', file('case.rec')]);
      expect(made).toMatchObject({ code: 0, stdout: `${file('case.rec.test.mjs')}\n` });
      const node = file('case.node-test.mjs');
      await run(['record', 'test', file('case.rec'), '--framework', 'node', '--out', node]);
      writeFileSync(
        file('vitest.config.mjs'),
        "export default { test: { include: ['*.test.mjs'] } };\n",
      );
      const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
      const { NODE_OPTIONS: _, VITEST: __, ...env } = process.env;
      const options = { cwd: folder, encoding: 'utf8', env: { ...env, NO_COLOR: '1' } } as const;
      const both = () => [
        spawnSync(process.execPath, [vitest, 'run', '--root', folder], options),
        spawnSync(process.execPath, ['--test', '--test-reporter=tap', node], options),
      ];
      expect(both().map(({ status }) => status)).toEqual([0, 0]);
      writeFileSync(file('app.mjs'), APP.replace('wed: 0n', 'wed: 1n'));
      const failed = both();
      writeFileSync(file('app.mjs'), APP);
      expect(failed.map(({ status }) => status)).toEqual([1, 1]);
      for (const { stdout, stderr } of failed) {
        expect(stdout + stderr).toContain('the program departs from the recording');
      }
      // It does not replace a file.
      expect((await run(['record', 'test', file('case.rec')])).stderr).toContain('EEXIST');
      expect(existsSync(file('case.rec.test.mjs'))).toBe(true);
    },
    TIMEOUT * 2,
  );

  it(
    'writes nothing of a recording but as text: the program and its arguments that it names',
    async () => {
      const words = [
        '`\u0024{process.exit(3)}`',
        '*/ process.exit(3)',
        "'\u2028\n",
        '--eval=process.exit(3)',
      ];
      await record(file('words.rec'), file('app.mjs'), ...words);
      const made = file('words.test.mjs');
      await run(['record', 'test', file('words.rec'), '--framework', 'node', '--out', made]);
      const lines = readFileSync(made, 'utf8').split('\n');
      expect(lines).toContain(`const program = pathOf("app.mjs");`);
      expect(lines).toContain(`const args = ${JSON.stringify(words)};`);
      expect(spawnSync(process.execPath, ['--check', made]).status).toBe(0);
    },
    TIMEOUT,
  );
});
