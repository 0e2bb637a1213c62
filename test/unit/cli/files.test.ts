/** The files that commands write and read: replaced at the end, links, FIFOs and descriptors. */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { Folder, manifest, run, TIMEOUT } from './run';

const folder = new Folder();
const file = (name: string) => folder.file(name);
const contents = randomBytes(100_000);
const memcpy = (...args: string[]) => ['memcpy', '--mock', '--in', file('source'), ...args];

beforeAll(() => {
  writeFileSync(file('source'), contents);
});

/** Files that were left behind beside their place. */
function leftovers(): string[] {
  return readdirSync(folder.path).filter((name) => name.endsWith('.node-cxl'));
}

function makeFifo(name: string): string {
  rmSync(file(name), { force: true });
  execFileSync('mkfifo', [file(name)]);
  return file(name);
}

describe('--out', { timeout: TIMEOUT }, () => {
  it('memcpy: a time-out leaves the old file as it was, and says the time that was asked for', async () => {
    writeFileSync(file('old'), 'old contents');
    const env = folder.mock('silent.json', { faults: [{ name: 'lost-interrupt', times: 99 }] });
    const { code, stderr } = await run(
      ['memcpy', '--in', manifest, '--out', file('old'), '--timeout', '300ms'],
      { env },
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(/^node-cxl: ETIMEDOUT.*within 300 ms\)\n$/);
    expect(readFileSync(file('old'), 'utf8')).toBe('old contents');
    expect(leftovers()).toEqual([]);
  });

  it('flash read: a LUN that cannot be read leaves the old file as it was', async () => {
    writeFileSync(file('old'), 'old contents');
    for (const args of [
      ['/dev/sg9', '--count', '1'],
      ['/dev/sg1', '--count', '1'],
      ['/dev/sg1', '--count', '1', '--superpipe', '--lba', '262144'],
    ]) {
      const { code } = await run(['flash', 'read', '--mock', ...args, '--out', file('old')]);
      expect(code).toBeGreaterThan(0);
      expect(readFileSync(file('old'), 'utf8')).toBe('old contents');
    }
    expect(leftovers()).toEqual([]);
  });

  it('a file keeps its permissions, and is another file with the whole contents', async () => {
    writeFileSync(file('mode'), 'old contents');
    chmodSync(file('mode'), 0o640);
    const before = statSync(file('mode'));
    expect((await run(memcpy('--out', file('mode')))).code).toBe(0);
    const after = statSync(file('mode'));
    expect(after.mode & 0o777).toBe(0o640);
    expect(after.ino).not.toBe(before.ino);
    expect(readFileSync(file('mode')).equals(contents)).toBe(true);
    expect(leftovers()).toEqual([]);
  });

  it('a symbolic link stays, and its target is written, also one that is not there yet', async () => {
    for (const target of ['target', 'target-to-be']) {
      rmSync(file('link'), { force: true });
      symlinkSync(target, file('link'));
      if (target === 'target') writeFileSync(file(target), 'old contents');
      expect((await run(memcpy('--out', file('link')))).code).toBe(0);
      expect(readlinkSync(file('link'))).toBe(target);
      expect(readFileSync(file(target)).equals(contents)).toBe(true);
    }
  });

  it('a FIFO is written to', async () => {
    const fifo = makeFifo('fifo-out');
    const [read, { code }] = await Promise.all([readFile(fifo), run(memcpy('--out', fifo))]);
    expect([code, read.equals(contents), lstatSync(fifo).isFIFO()]).toEqual([0, true, true]);
  });

  it('standard output has the contents alone, by each of its names', async () => {
    for (const name of ['-', '/dev/stdout', '/dev/fd/1', '/proc/self/fd/1']) {
      const output = openSync(file('stdout'), 'w');
      const { code } = await run(memcpy('--out', name), { stdout: output });
      closeSync(output);
      expect([name, code, readFileSync(file('stdout')).equals(contents)]).toEqual([name, 0, true]);
    }
  });

  it('an error is about the file that was named', async () => {
    const { code, stderr } = await run(memcpy('--out', file('no/such/folder')));
    expect(code).toBe(1);
    expect(stderr).toContain(`'${file('no')}`);
    symlinkSync('/dev/full', file('full'));
    const full = await run(memcpy('--out', file('full')));
    expect([full.code, full.stderr.split('\n').length]).toEqual([1, 2]);
    expect(full.stderr).toMatch(/^node-cxl: ENOSPC/);
    const directory = await run(memcpy('--out', folder.path));
    expect([directory.code, directory.stderr.includes('is a directory')]).toEqual([2, true]);
  });
});

describe('--in', { timeout: TIMEOUT }, () => {
  it('reads FIFOs and standard input', async () => {
    const fifo = makeFifo('fifo-in');
    const args = ['memcpy', '--mock', '--out', file('copy'), '--in'];
    const [, { code }] = await Promise.all([writeFile(fifo, contents), run([...args, fifo])]);
    expect([code, readFileSync(file('copy')).equals(contents)]).toEqual([0, true]);
    rmSync(file('copy'));
    const piped = await run([...args, '-'], { input: contents });
    expect([piped.code, readFileSync(file('copy')).equals(contents)]).toEqual([0, true]);
  });

  it('flash write fails when the file shrinks while it is read', async () => {
    const luns = [{ blocks: 1000, file: file('lun') }];
    const env = folder.mock('flash.json', { cards: [], flash: [{ luns }] });
    writeFileSync(file('shrinks'), Buffer.alloc(1000 * 4096, 'x'));
    const args = ['flash', 'write', '/dev/sg1', '--yes', '--superpipe', '--in', file('shrinks')];
    const { code, stdout, stderr } = await run(args, {
      env,
      onStart: ({ pid }) => {
        // Stops the program once it has opened the file, before it reads it.
        const timer = setInterval(() => {
          if (!isOpenIn(pid as number, file('shrinks'))) return;
          clearInterval(timer);
          process.kill(pid as number, 'SIGSTOP');
          truncateSync(file('shrinks'), 300 * 4096 + 7);
          process.kill(pid as number, 'SIGCONT');
        }, 1);
      },
    });
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/shrunk to 1228807 bytes.*the first 1048576 have been written/);
  });
});

/** Whether a process has a file open (Linux). */
function isOpenIn(pid: number, name: string): boolean {
  try {
    const descriptors = readdirSync(`/proc/${pid}/fd`);
    return descriptors.some((fd) => {
      const link = path.join(`/proc/${pid}/fd`, fd);
      return existsSync(link) && readlinkSync(link) === name;
    });
  } catch {
    return false; // It has ended, or closed one meanwhile.
  }
}

describe('the first Ctrl-C ends a command whose file is a FIFO that nobody opens', () => {
  const out = () => file('copy');
  const cases: [string, (fifo: string) => string[]][] = [
    ['memcpy --in', (fifo) => ['memcpy', '--mock', '--in', fifo, '--out', out()]],
    ['memcpy --out', (fifo) => memcpy('--out', fifo)],
    ['image --in', (fifo) => ['image', 'card0', '--mock', '--yes', '--in', fifo]],
    ['errors --out', (fifo) => ['errors', 'afu0.0', '--mock', '--out', fifo]],
    [
      'flash read --out',
      (fifo) => [
        'flash',
        'read',
        '/dev/sg1',
        '--mock',
        '--superpipe',
        '--count',
        '1',
        '--out',
        fifo,
      ],
    ],
    ['doe raw FILE', (fifo) => ['doe', 'raw', '0000:0d:00.0', '1', '1', fifo, '--mock']],
    ['doe cdat --out', (fifo) => ['doe', 'cdat', '0000:0d:00.0', '--mock', '--out', fifo]],
  ];
  for (const [what, args] of cases) {
    it(
      what,
      async () => {
        const fifo = makeFifo(`fifo-${what.replaceAll(/\W/g, '')}`);
        const { code, signal, stderr } = await run(args(fifo), { onStart: interruptOnce });
        expect([stderr, code, signal]).toEqual(['', 130, null]);
      },
      TIMEOUT,
    );
  }

  it(
    'and what needs a regular file refuses the FIFO at once',
    async () => {
      const fifo = makeFifo('fifo-refused');
      const write = ['flash', 'write', '/dev/sg1', '--mock', '--yes', '--superpipe', '--in', fifo];
      for (const args of [write, ['doe', 'list', '--mock', '--dump', fifo]]) {
        const { code, stderr } = await run(args, { onStart: interruptOnce });
        expect([code, stderr.includes('not a regular file')]).toEqual([2, true]);
      }
    },
    TIMEOUT,
  );
});

/** Milliseconds between two looks at a process, and how many in succession must find that it sleeps. */
const LOOK = 50;
const SLEEPS = 10;

/** SIGINT once the program waits; SIGKILL, which the test sees, where that was not enough. */
function interruptOnce(child: ChildProcess): void {
  let slept = 0;
  const looks = setInterval(() => {
    slept = sleeps(child.pid as number) ? slept + 1 : 0;
    if (slept < SLEEPS) return;
    clearInterval(looks);
    child.kill('SIGINT');
  }, LOOK);
  const limit = setTimeout(() => child.kill('SIGKILL'), TIMEOUT - 5000);
  child.once('close', () => {
    clearInterval(looks);
    clearTimeout(limit);
  });
}

/** Whether all threads of a process wait (Linux): not one that has no processor, on a busy machine. */
function sleeps(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).every((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1').includes(') S '),
    );
  } catch {
    return false; // It has ended, or a thread of it.
  }
}
