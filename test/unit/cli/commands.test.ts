/** The command-line program: its output, exit codes, and messages on stderr. */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { Folder, json, manifest, program, run, TIMEOUT } from './run';

const require = createRequire(import.meta.url);
const { version } = JSON.parse(readFileSync(manifest, 'utf8'));
const folder = new Folder();
const file = (name: string) => folder.file(name);
const config = (name: string, options: object) => folder.mock(name, options);

describe('list and info', () => {
  it(
    'show the same devices as a tree and as JSON',
    async () => {
      const listing = await json(['list', '--mock']);
      expect(listing.backend).toBe('mock');
      expect(listing.adapters.map((each: { name: string }) => each.name)).toEqual([
        'card0',
        'card1',
        'card2',
      ]);
      const [afu] = listing.adapters[0].afus;
      expect(afu).toMatchObject({
        name: 'afu0.0',
        mode: 'afu_directed',
        vendorId: '0x1014',
        deviceId: '0x4350',
        nodes: ['/dev/cxl/afu0.0m', '/dev/cxl/afu0.0s'],
      });
      const { code, stdout, stderr } = await run(['list', '--mock']);
      expect([code, stderr]).toEqual([0, '']);
      const lines = stdout.trimEnd().split('\n');
      expect(lines[0]).toMatch(/^card0 {2}CAIA 1\.0, PSL revision 1, user image, \/sys/);
      expect(lines.slice(1, 4)).toEqual([
        `└─ afu0.0  afu_directed, 1014:4350, interrupts ${afu.irqsMin} to ${afu.irqsMax}, problem state area ${afu.mmioSizeBytes} bytes`,
        '   ├─ /dev/cxl/afu0.0m',
        '   └─ /dev/cxl/afu0.0s',
      ]);
    },
    TIMEOUT,
  );

  it(
    'show every attribute, also absent ones',
    async () => {
      const env = config('guest.json', { flavor: 'guest', cards: [{}] });
      const card = await json(['info', 'card0'], { env });
      expect(card).toMatchObject({ caiaVersion: '1.0', baseImage: null, loadImageOnPerst: null });
      const afu = await json(['info', '/dev/cxl/afu0.0s'], { env });
      expect(afu).toMatchObject({
        name: 'afu0.0',
        apiVersion: 3,
        perProcessMmioOffsetBytes: null,
        configurationRecords: [{ index: 0, vendorId: '0x1014', deviceId: '0x4350' }],
      });
      const { stdout } = await run(['info', 'card0'], { env });
      const rows = stdout.trimEnd().split('\n');
      expect(rows).toHaveLength(Object.keys(card).length);
      expect(rows.find((row) => row.startsWith('base image'))).toMatch(/ -\s*$/);
    },
    TIMEOUT,
  );

  it(
    'exit with 3 where there is no card',
    async () => {
      const env = config('empty.json', { cards: [] });
      for (const command of ['list', 'info']) {
        const told = await run([command, '--json'], { env });
        expect(JSON.parse(told.stdout)).toEqual({ backend: 'mock', adapters: [] });
        expect(JSON.parse(told.stderr).error).toMatchObject({ code: 'ENODEV', exitCode: 3 });
        const { code, stdout, stderr } = await run([command], { env });
        expect([told.code, code, stdout]).toEqual([3, 3, '']);
        expect(stderr).toMatch(/^node-cxl: ENODEV.*no CAPI card.*\n$/);
      }
    },
    TIMEOUT,
  );
});

describe('memcpy', () => {
  for (const mode of ['interrupts', 'polling']) {
    it(
      `copies a file by ${mode}`,
      async () => {
        const contents = randomBytes(300_001);
        writeFileSync(file('source'), contents);
        const how = mode === 'polling' ? ['--poll'] : [];
        const args = ['memcpy', '--mock', '--in', file('source'), '--out', file('copy'), ...how];
        const outcome = await json(args);
        expect(readFileSync(file('copy')).equals(contents)).toBe(true);
        expect(outcome).toMatchObject({
          afu: 'afu0.0',
          bytes: contents.length,
          sha256: createHash('sha256').update(contents).digest('hex'),
          identical: true,
        });
        expect(outcome.events > 0).toBe(mode === 'interrupts');
        const { stdout, stderr } = await run([...args, '--progress', 'always']);
        expect(stdout).toMatch(/card0, afu0\.0, process element \d+/);
        expect(stdout).toMatch(/: identical$/m);
        expect(stderr).toMatch(/100% of 293\.0 KiB/);
      },
      TIMEOUT,
    );
  }

  it(
    'copies an empty file, and on a PSL9 more than its queue holds at once',
    async () => {
      const env = config('psl9.json', { flavor: 'guest', cards: [{ caiaVersion: '2.0' }] });
      for (const size of [0, 1, 3_000_000]) {
        const contents = randomBytes(size);
        writeFileSync(file('source'), contents);
        const outcome = await json(['memcpy', '--in', file('source'), '--out', file('copy')], {
          env,
        });
        expect(readFileSync(file('copy')).equals(contents)).toBe(true);
        expect(outcome).toMatchObject({ bytes: size, workElements: Math.ceil(size / 128) });
        expect(outcome.processElement % 4).toBe(1);
      }
    },
    TIMEOUT,
  );

  it(
    'refuses to copy a file onto itself, and does not change it',
    async () => {
      writeFileSync(file('same'), 'contents');
      const { code, stderr } = await run([
        ...['memcpy', '--mock', '--in', file('same'), '--out', path.join(folder.path, '.', 'same')],
      ]);
      expect(code).toBe(2);
      expect(stderr).toBe('node-cxl: --in and --out are the same file\n');
      expect(readFileSync(file('same'), 'utf8')).toBe('contents');
    },
    TIMEOUT,
  );
});

describe('watch', () => {
  it(
    'prints one event per line, and ends after --count events',
    async () => {
      const args = ['watch', '--mock', 'afu1.0', '--write', '0x10=0x80', '--count', '1'];
      const { code, stdout, stderr } = await run([...args, '--json']);
      expect(code).toBe(0);
      expect(JSON.parse(stderr).note.message).toMatch(
        /^watching \/dev\/cxl\/afu1\.0s, process element \d+$/,
      );
      const event = JSON.parse(stdout);
      expect(event).toMatchObject({ type: 'data-storage', address: '0x80' });
      const text = await run(args);
      expect(text.stderr).toMatch(/^note: watching \/dev\/cxl\/afu1\.0s, process element \d+\n$/);
      expect(text.stdout).toMatch(/ {2}data storage fault at 0x80, .*\(process element \d+\)\n$/);
    },
    TIMEOUT,
  );

  it(
    'ends after --for, and at Ctrl-C with 130',
    async () => {
      const timed = await run(['watch', '--mock', 'afu0.0m', '--for', '50ms']);
      expect([timed.code, timed.stdout]).toEqual([0, '']);
      const interrupted = await run(['watch', '--mock', 'afu0.0'], {
        onOutput: (child, text) => {
          if (text.includes('watching')) child.kill('SIGINT');
        },
      });
      expect([interrupted.code, interrupted.signal]).toEqual([130, null]);
    },
    TIMEOUT,
  );
});

describe('failures', () => {
  const cases: [string, string[], number, RegExp][] = [
    ['an unknown command', ['frobnicate'], 2, /unknown command 'frobnicate'/],
    ['an unknown option', ['list', '--frob'], 2, /unknown option '--frob'/],
    ['an option without its value', ['memcpy', '--mock', '--in'], 2, /argument missing/],
    ['a required option left out', ['memcpy', '--mock', '--in', 'x'], 2, /'--out <file>'/],
    [
      'a name of neither a card nor an AFU',
      ['info', '--mock', 'sda'],
      2,
      /'sda' is not the name of a card or AFU/,
    ],
    ['an invalid number', ['watch', '--mock', 'afu0.0', '--wed', '1e3'], 2, /0x…/],
    ['an invalid register', ['watch', '--mock', 'afu0.0', '--write', '3'], 2, /OFFSET=VALUE/],
    ['a misaligned register', ['watch', '--mock', 'afu1.0', '--write', '3=1'], 2, /multiple of 8/],
    ['an absent card', ['info', '--mock', 'card7'], 3, /card7.*there are card0, card1/],
    ['an absent AFU', ['watch', '--mock', 'afu7.0'], 3, /afu7\.0/],
    ['an absent node', ['watch', '--mock', 'afu0.0d'], 3, /ENOENT.*afu0\.0d/],
    ['an absent file', ['memcpy', '--mock', '--in', '/nothing', '--out', 'x'], 1, /ENOENT/],
    ['an image without --yes', ['image', '--mock', 'card0', '--in', 'x'], 2, /pass --yes/],
  ];
  for (const [what, args, expected, line] of cases) {
    it(
      `${what} exits ${expected}, with one line on stderr`,
      async () => {
        const { code, stdout, stderr } = await run(args);
        expect(stdout).toBe('');
        const lines = stderr.split('\n').filter((each) => each !== '');
        expect(lines.filter((each) => each.startsWith('node-cxl: '))).toHaveLength(1);
        expect(lines.at(-1)).toMatch(line);
        expect(code).toBe(expected);
      },
      TIMEOUT,
    );
  }

  it(
    'no process element or interrupt left is busy; an image on bare metal has no device',
    async () => {
      const env = config('busy.json', { cards: [{ interrupts: 2 }] });
      const busy = await run(['watch', 'afu0.0'], { env });
      expect([busy.code, busy.stderr.split('\n').length]).toEqual([5, 2]);
      expect(busy.stderr).toMatch(/ENOSPC/);
      writeFileSync(file('image'), 'not an image');
      const image = await run(['image', 'card0', '--mock', '--yes', '--in', file('image')]);
      expect([image.code, image.stderr.split('\n').length]).toEqual([3, 2]);
    },
    TIMEOUT,
  );

  it(
    'a node without permission has its exit code and a hint',
    async () => {
      const env = config('denied.json', { faults: [{ name: 'open', errno: 'EACCES' }] });
      const { code, stderr } = await run(['watch', 'afu0.0'], { env });
      expect(code).toBe(4);
      expect(stderr).toMatch(/^node-cxl: EACCES: .*70-node-cxl\.rules.*\n$/);
    },
    TIMEOUT,
  );

  it(
    'an AFU that does not complete a copy, or does not interrupt, fails the command',
    async () => {
      const args = ['memcpy', '--in', manifest, '--out', file('copy')];
      const fault = config('fault.json', {
        faults: [{ name: 'translation', after: 1, times: 99 }],
      });
      const lost = await run(args, { env: fault });
      expect([lost.code, lost.stderr.split('\n').length]).toEqual([1, 2]);
      expect(lost.stderr).toMatch(/data storage fault|translation fault/);
      const silent = config('silent.json', { faults: [{ name: 'lost-interrupt', times: 99 }] });
      const late = await run([...args, '--timeout', '300ms'], { env: silent });
      expect([late.code, late.stderr.split('\n').length]).toEqual([1, 2]);
      expect(late.stderr).toMatch(/ETIMEDOUT/);
    },
    TIMEOUT,
  );

  it(
    'a copy that differs fails the command, and leaves no file',
    async () => {
      // An AFU whose interrupt comes before its last store.
      writeFileSync(
        file('early.cjs'),
        `const { Context, Cxl } = require(${JSON.stringify(require.resolve('node-cxl'))});
        const { allocate } = Cxl.prototype;
        const { waitForInterrupt } = Context.prototype;
        let target;
        Cxl.prototype.allocate = function (...args) {
          target = allocate.apply(this, args);
          return target;
        };
        Context.prototype.waitForInterrupt = async function (...args) {
          const event = await waitForInterrupt.apply(this, args);
          target.store8(5, ~target.load8(5) & 0xff);
          return event;
        };`,
      );
      const copy = file('differs');
      const { code, stderr } = await run(['memcpy', '--mock', '--in', manifest, '--out', copy], {
        env: { NODE_OPTIONS: `--require ${file('early.cjs')}` },
      });
      expect([code, existsSync(copy)]).toEqual([1, false]);
      expect(stderr).toMatch(/EIO: .*the copy differs from its source, within the first 1 KiB/);
    },
    TIMEOUT,
  );

  it(
    'with another AFU a warning is printed, and the command times out',
    async () => {
      const args = ['memcpy', '--mock', '--in', manifest, '--out', file('copy')];
      const { code, stderr } = await run([...args, '--afu', 'afu1.0', '--timeout', '200ms']);
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /^warning: afu1\.0 has no configuration record of the memcpy AFU.*\n.*ETIMEDOUT/,
      );
      const right = await run([...args, '--afu', 'afu0.0']);
      expect([right.code, right.stderr]).toEqual([0, '']);
    },
    TIMEOUT,
  );

  it(
    'a closed pipe on stdout is no failure',
    async () => {
      const child = spawn(
        'bash',
        ['-c', 'set -o pipefail; "$0" "$1" list --mock --json | true', process.execPath, program],
        { stdio: ['ignore', 'ignore', 'pipe'] },
      );
      let stderr = '';
      child.stderr.setEncoding('utf8').on('data', (text) => {
        stderr += text;
      });
      const code = await new Promise((resolve) => child.on('close', resolve));
      expect([code, stderr]).toEqual([0, '']);
    },
    TIMEOUT,
  );
});

describe('help and version', () => {
  it(
    'are on stdout',
    async () => {
      const help = await run(['--help']);
      expect([help.code, help.stderr]).toEqual([0, '']);
      for (const command of ['list', 'info', 'memcpy', 'watch', 'image', 'Exit codes:']) {
        expect(help.stdout).toContain(command);
      }
      expect((await run(['--version'])).stdout).toBe(`${version}\n`);
    },
    TIMEOUT,
  );
});
