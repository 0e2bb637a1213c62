/** The forms of output: JSON, --plain, tables as wide as the terminal; standard output that is full. */
import { execFile } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { outputHere } from './in-process';
import { Folder, manifest, program, run, TIMEOUT } from './run';

const folder = new Folder();
const DEVICE = '0000:0d:00.0';
/** A command that sends an SPDM request has it in a file. */
const payload = () => folder.file('payload');

beforeAll(() => {
  writeFileSync(payload(), Buffer.from([0x10, 0x84, 0, 0]));
});

/** Every command that prints a document. */
const DOCUMENTS: readonly (() => string[])[] = [
  () => ['list'],
  () => ['info'],
  () => ['info', 'card0'],
  () => ['info', 'afu0.0'],
  () => ['doctor'],
  () => ['reset', 'afu0.0'],
  () => ['set', 'afu0.0', 'irqs_max=8'],
  () => ['errors', 'afu0.0'],
  () => ['memcpy', '--in', manifest, '--out', folder.file('copy')],
  () => ['flash', 'list'],
  () => ['flash', 'status', '/dev/sg1'],
  () => ['flash', 'read', '/dev/sg1', '--superpipe', '--count', '1', '--out', folder.file('block')],
  () => ['flash', 'write', '/dev/sg1', '--superpipe', '--yes', '--pad', '--in', manifest],
  () => ['flash', 'bench', '/dev/sg1', '--superpipe', '--for', '50ms'],
  () => ['doe', 'list'],
  () => ['doe', 'discover', DEVICE],
  () => ['doe', 'cdat', DEVICE],
  () => ['doe', 'compliance', DEVICE, 'caps'],
  () => ['doe', 'compliance', DEVICE, 'status'],
  () => ['doe', 'raw', DEVICE, '1', '1', payload()],
];

/** Commands that choose their backend themselves, and `list`, run as processes. */
const AS_PROCESSES = ['list', 'doctor', 'doe'];

/** What a command prints over mock devices; it must succeed and say nothing else. */
async function printed(...args: string[]): Promise<string> {
  if (!AS_PROCESSES.includes(args[0] as string)) return outputHere(args);
  const { code, stdout, stderr } = await run([...args, '--mock']);
  expect([code, stderr]).toEqual([0, '']);
  return stdout;
}

/** Every property in a document, with its key. */
function* properties(value: unknown, key = ''): Generator<[key: string, value: unknown]> {
  if (Array.isArray(value)) {
    for (const each of value) yield* properties(each, key);
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, inner] of Object.entries(value)) yield* properties(inner, name);
  } else {
    yield [key, value];
  }
}

describe('--json', { timeout: TIMEOUT }, () => {
  for (const document of DOCUMENTS) {
    const [name] = document().join(' ').split(' --');
    it(`${name}: an object, ids in hexadecimal, units in the names`, async () => {
      const told = JSON.parse(await printed(...document(), '--json'));
      expect(Object.prototype.toString.call(told)).toBe('[object Object]');
      for (const [key, value] of properties(told)) {
        if (value === null) continue;
        if (/^(vendorId|deviceId|class|offset|capabilities)$|Mask$/.test(key)) {
          expect([key, value]).toEqual([key, expect.stringMatching(/^0x[0-9a-f]+$/)]);
        }
        // compliance status has its unit in a property beside it.
        if (/(size|length|duration|latency|time)$/i.test(key) && key !== 'cacheSize') {
          throw new Error(`${key} has no unit`);
        }
      }
    });
  }

  it('errors are an object on one line of stderr, usage included', async () => {
    const cases: [string[], number, string][] = [
      [['frobnicate'], 2, 'ERR_USAGE'],
      [['flash'], 2, 'ERR_USAGE'],
      [['list', '--frob'], 2, 'ERR_USAGE'],
      [['memcpy', '--mock', '--in', 'x'], 2, 'ERR_USAGE'],
      [['watch', '--mock', 'afu0.0', '--for', '5'], 2, 'ERR_USAGE'],
      [['info', '--mock', 'sda'], 2, 'ERR_USAGE'],
      [['info', '--mock', 'card7'], 3, 'ENOENT'],
      [['image', 'card0', '--mock', '--yes', '--in', manifest], 3, 'ENOENT'],
      [['memcpy', '--mock', '--in', '/nothing', '--out', 'x'], 1, 'ENOENT'],
      [['flash', 'read', '--mock', '/dev/sg1', '--count', '1'], 1, 'ERR_INVALID_STATE'],
      [['doe', 'discover', '--mock', '0000:0e:00.0'], 3, 'ENOENT'],
    ];
    for (const [args, exitCode, code] of cases) {
      const { code: exited, stdout, stderr } = await run([...args, '--json']);
      expect([args, stdout, stderr.split('\n').length]).toEqual([args, '', 2]);
      const { error } = JSON.parse(stderr);
      expect([args, exited, error.exitCode, error.code]).toEqual([args, exitCode, exitCode, code]);
      expect(Object.keys(error)).toEqual([
        'code',
        'message',
        'errno',
        'syscall',
        'path',
        'exitCode',
      ]);
    }
  });
});

describe('--plain', { timeout: TIMEOUT }, () => {
  for (const document of DOCUMENTS) {
    const [name] = document().join(' ').split(' --');
    it(`${name}: lines of tab-separated fields`, async () => {
      const stdout = await printed(...document(), '--plain');
      const rows = stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split('\t'));
      expect(new Set(rows.map((row) => row.length)).size).toBe(1);
      expect(rows[0]?.length).toBeGreaterThan(1);
      expect(stdout).not.toMatch(/[│┌─└]/);
    });
  }

  it('and --json exclude each other', async () => {
    const { code, stderr } = await run(['list', '--mock', '--plain', '--json']);
    expect([code, JSON.parse(stderr).error.code]).toEqual([2, 'ERR_USAGE']);
  });
});

describe('a terminal', { timeout: TIMEOUT }, () => {
  /** What a command prints on a terminal with so many columns. */
  async function onTerminal(columns: number, ...args: string[]): Promise<string[]> {
    const line = [process.execPath, program, ...args].map((word) => `'${word}'`).join(' ');
    const words = ['-qec', `stty cols ${columns}; ${line}`, '/dev/null'];
    const { stdout } = await promisify(execFile)('script', words);
    return stdout.replaceAll('\r', '').trimEnd().split('\n');
  }

  it('gets no line longer than it is wide, and the same words', async () => {
    let wrapped = 0;
    const commands = [
      ['list'],
      ['info', 'afu0.0'],
      ['flash', 'list'],
      ['flash', 'status', '/dev/sg1'],
    ];
    for (const command of [...commands, ['doe', 'list'], ['doe', 'cdat', DEVICE], ['doctor']]) {
      const wide = await onTerminal(500, ...command, '--mock');
      const lines = await onTerminal(62, ...command, '--mock');
      wrapped += lines.length - wide.length;
      const longest = Math.max(...lines.map((line) => line.length));
      expect([command, longest <= 62]).toEqual([command, true]);
      const letters = (all: string[]) =>
        all.join('').replace(/[^\w]/g, '').split('').sort().join('');
      expect(letters(lines)).toBe(letters(wide));
    }
    expect(wrapped).toBeGreaterThan(10);
  });
});

describe('standard output that takes no more', { timeout: TIMEOUT }, () => {
  it('is one line on stderr, and a failure', async () => {
    for (const args of [
      ['list'],
      ['flash', 'list', '--json'],
      ['doe', 'cdat', DEVICE],
      ['--help'],
    ]) {
      const full = openSync('/dev/full', 'w');
      const mock = args[0] === '--help' ? [] : ['--mock'];
      const { code, stderr } = await run([...args, ...mock], { stdout: full });
      closeSync(full);
      expect([args, code, stderr.split('\n').length]).toEqual([args, 1, 2]);
      expect(stderr).toMatch(/ENOSPC/);
    }
  });

  it('ends a command that would go on, which closes what it has opened', async () => {
    const args = ['flash', 'read', '/dev/sg1', '--mock', '--superpipe', '--count', '262144'];
    const full = openSync('/dev/full', 'w');
    const { code, stderr } = await run(args, { stdout: full, env: { NODE_DEBUG: 'cxl' } });
    closeSync(full);
    expect(code).toBe(1);
    expect(stderr).toMatch(/close/);
    expect(stderr.split('\n').filter((line) => line.startsWith('node-cxl: '))).toHaveLength(1);
  });
});
