/**
 * The command-line program, disturbed at random instants: signals, full disks, pipes that are closed,
 * FIFOs and symbolic links. A file under its final name is the old one or the whole new one, nothing
 * else is left beside it, and the exit code is the documented one.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../random.mjs';
import type { Theme, Turn } from '../turn';

const LANES = 2;
/** Bytes of the file that is copied; less fits on the disk that is full, or below the limit. */
const SIZE = 300_000;
const ROOM = 128 * 1024;
/** Milliseconds that a command takes, as far as known: signals come up to half as late again. */
let usual = 300;
const OLD = Buffer.from('what was there before\n');
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL'] as const;

const require = createRequire(import.meta.url);
const program = path.join(
  path.dirname(require.resolve('node-cxl/package.json')),
  'dist/cli/main.js',
);
const contents = Buffer.alloc(SIZE, 'copied by the AFU ');

interface Work {
  readonly name: string;
  readonly args: (output: string) => readonly string[];
  /** What is written, in full; undefined where that is not known, and is only not partial. */
  readonly whole: Buffer | undefined;
}

function works(turn: Turn, folder: string): Work[] {
  const mock = turn.targetName === 'mock';
  const input = path.join(folder, 'input');
  const lun = mock ? '/dev/sg1' : '/dev/sg90';
  const blocks = 64;
  const read = ['flash', 'read', lun, '--superpipe', '--count', String(blocks)];
  return [
    {
      name: 'memcpy',
      args: (output) => ['memcpy', '--in', input, '--out', output],
      whole: contents,
    },
    {
      name: 'memcpy --poll',
      args: (output) => ['memcpy', '--poll', '--in', input, '--out', output],
      whole: contents,
    },
    {
      name: 'flash read',
      args: (output) => [...read, '--out', output],
      whole: Buffer.alloc(blocks * 4096),
    },
    { name: 'errors', args: (output) => ['errors', 'afu0.0', '--out', output], whole: undefined },
  ];
}

/** What is done to it, and what it may end with. */
interface Case {
  readonly name: string;
  /** The file that it writes; the final name, where it has one that must stay whole. */
  readonly output: string;
  readonly final: string | undefined;
  readonly codes: readonly number[];
  readonly signals: readonly string[];
  readonly limit?: number;
  readonly stdout?: number;
  started?(child: ChildProcess): void | Promise<void>;
  end?(): void;
}

class Places {
  readonly disk: string | undefined;
  readonly #folder: string;
  #count = 0;

  constructor(folder: string) {
    this.#folder = folder;
    writeFileSync(path.join(folder, 'input'), contents);
    const disk = path.join(folder, 'disk');
    mkdirSync(disk);
    const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${ROOM}`, 'tmpfs', disk]);
    this.disk = mount.status === 0 ? disk : undefined;
  }

  /** A folder of its own for one run. */
  fresh(): string {
    this.#count += 1;
    const own = path.join(this.#folder, `run-${this.#count}`);
    mkdirSync(own);
    return own;
  }

  remove(): void {
    if (this.disk !== undefined) spawnSync('umount', [this.disk]);
    rmSync(this.#folder, { recursive: true });
  }
}

const byKill = (random: Random) => {
  const signal = random.pick(SIGNALS) as (typeof SIGNALS)[number];
  // Before the program handles signals, the default action is theirs.
  const codes = signal === 'SIGKILL' ? [0] : [0, 128 + constants.signals[signal]];
  const started = async (child: ChildProcess) => {
    await sleep(random.integer(0, 1.5 * usual));
    child.kill(signal);
    if (random.chance(0.2)) {
      await sleep(random.integer(0, 50));
      child.kill(signal);
    }
  };
  return { name: signal, codes, signals: [signal], started };
};

function newCase(turn: Turn, places: Places, own: string): Case {
  const { random } = turn;
  const file = path.join(own, 'output');
  const link = path.join(own, 'link');
  if (random.chance(0.5)) writeFileSync(file, OLD);
  const plain = { output: file, final: file, signals: [] };
  const all: (() => Case)[] = [
    () => ({ ...plain, name: 'undisturbed', codes: [0] }),
    () => ({ ...plain, ...byKill(random) }),
    () => ({ ...plain, ...byKill(random) }),
    () => ({ ...plain, ...byKill(random) }),
    () => {
      symlinkSync('output', link);
      return { ...plain, ...byKill(random), name: 'link', output: link };
    },
    () => ({ ...plain, name: '/dev/full', output: '/dev/full', final: undefined, codes: [0, 1] }),
    () => {
      const full = openSync('/dev/full', 'w');
      const end = () => closeSync(full);
      return {
        ...plain,
        name: 'full stdout',
        output: '-',
        final: undefined,
        stdout: full,
        codes: [1],
        end,
      };
    },
    () => ({
      ...plain,
      name: 'closed pipe',
      output: '-',
      final: undefined,
      codes: [0],
      async started(child) {
        await sleep(random.integer(0, 1.5 * usual));
        child.stdout?.destroy();
      },
    }),
    () => {
      const fifo = path.join(own, 'fifo');
      execFileSync('mkfifo', [fifo]);
      // Somebody reads it for a while, or nobody does until a signal comes.
      if (random.chance(0.5))
        return { ...plain, ...byKill(random), name: 'FIFO', output: fifo, final: undefined };
      const reader = spawn('head', ['-c', String(random.integer(0, SIZE)), fifo], {
        stdio: 'ignore',
      });
      const end = () => void reader.kill('SIGKILL');
      return {
        ...plain,
        name: 'FIFO that is read',
        output: fifo,
        final: undefined,
        codes: [0, 1],
        end,
      };
    },
  ];
  // The simulated device has files of its own, which are larger.
  if (turn.targetName === 'mock') {
    // Files larger than this are EFBIG: as a disk that is full in the middle.
    all.push(() => ({ ...plain, name: 'file size', limit: ROOM, codes: [0, 1] }));
  }
  if (places.disk !== undefined) {
    const disk = places.disk;
    all.push(() => {
      const output = path.join(disk, path.basename(own));
      return {
        ...plain,
        name: 'full disk',
        output,
        final: output,
        codes: [0, 1],
        end: () => rmSync(output, { force: true }),
      };
    });
  }
  return random.pick(all)();
}

async function oneRun(turn: Turn, places: Places, work: Work): Promise<void> {
  const own = places.fresh();
  const one = newCase(turn, places, own);
  const before =
    one.final !== undefined && existsSync(one.final) ? readFileSync(one.final) : undefined;
  const args = [program, ...work.args(one.output)];
  const [command, rest] =
    one.limit === undefined
      ? [process.execPath, args]
      : ['prlimit', [`--fsize=${one.limit}`, process.execPath, ...args]];
  const child = spawn(command, rest, {
    env: { ...process.env, ...(turn.targetName === 'mock' && { NODE_CXL_BACKEND: 'mock' }) },
    stdio: ['ignore', one.stdout ?? 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr!.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  child.stdout?.resume();
  const ended = new Promise<[number | null, string | null]>((resolve) =>
    child.once('close', (code, by) => resolve([code, by])),
  );
  const begin = performance.now();
  const started = one.started?.(child);
  const [code, by] = await turn.call(`${work.name}, ${one.name}`, ended);
  if (one.name === 'undisturbed') usual = performance.now() - begin;
  await started;
  const what = `${args.slice(1).join(' ')} (${one.name}) ended with code ${code}, signal ${by}, saying ${JSON.stringify(stderr)}`;
  turn.check(by === null ? one.codes.includes(code!) : one.signals.includes(by), what);
  turn.check(stderr === '' || /^[^\n]*\n$/.test(stderr) || code === 0, `${what}: not one line`);
  if (one.final !== undefined) checkFile(turn, work, one.final, before, code, what);
  if (one.name === 'link') turn.check(lstatSync(one.output).isSymbolicLink(), `${what}: no link`);
  // Nothing else is left, but by a program that could not clean up.
  const left = readdirSync(own).filter((name) => name.endsWith('.node-cxl'));
  turn.check(left.length === 0 || by !== null, `${what}: left ${left.join(', ')}`);
  turn.counts.add(`${work.name}, ${one.name}: ${by ?? code}`);
  turn.counts.add('runs');
  one.end?.();
  rmSync(own, { recursive: true });
}

function checkFile(
  turn: Turn,
  work: Work,
  file: string,
  before: Buffer | undefined,
  code: number | null,
  what: string,
): void {
  const now = existsSync(file) ? readFileSync(file) : undefined;
  const same = before === undefined ? now === undefined : now?.equals(before) === true;
  const whole = work.whole === undefined ? now !== undefined : now?.equals(work.whole) === true;
  turn.check(same || whole, `${what}: a file of ${now?.length} bytes under its final name`);
  if (code === 0) turn.check(whole, `${what}: it says that it succeeded`);
  if (code === 1 || code === 2) turn.check(same, `${what}: it says that it failed`);
}

export const commandLine: Theme = {
  name: 'command-line',

  async run(turn) {
    const folder = mkdtempSync(path.join(tmpdir(), 'node-cxl-soak-'));
    const places = new Places(folder);
    turn.counts.add(
      places.disk === undefined ? 'epochs without a small disk' : 'epochs with a small disk',
    );
    const all = works(turn, folder);
    try {
      await turn.lanes(
        Array.from({ length: LANES }, () => async () => {
          while (!turn.over) await oneRun(turn, places, turn.random.pick(all));
        }),
      );
    } finally {
      places.remove();
    }
  },
};
