/**
 * Each call that the addon makes to the C library is refused once, in turn: memory, descriptors,
 * threads, locks, ioctls. So with CXL_FAULTS=all (`npm run test:faults`); otherwise of each kind one
 * call in three, with the first. Left out is what ends the process of any addon, as it ends Node itself: the
 * allocations of Node-API, and those of small C++ objects.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const here = path.join(path.dirname(fileURLToPath(import.meta.url)), 'exhaustion');
const compiler = process.env['CC'] ?? 'cc';
const compiles = spawnSync(compiler, ['--version']).status === 0;
const reason = compiles ? '' : ` [skipped: ${compiler} is not installed]`;

interface Row {
  /** Calls that were refused. */
  refused: number;
  /** Of these, how many a caller was told of, by an error with a code. */
  withCode: number;
  codes: string[];
  /** Where the others were refused: `step: call(what it was for)`. */
  untold: string[];
}

/** Calls without which the work went on whole, and why. */
const HARMLESS: readonly (readonly [RegExp, string])[] = [
  [/: madvise\(\)$/, 'advice: the pages are ordinary ones, or go back to the kernel later'],
  [/^huge pages: (open\(\/proc\/meminfo|read\()/, 'only pages of hugetlbfs need their size'],
  [/^\w+Superpipe\(\): realpath/, 'a node that is no link is its own path'],
  [/^linkState\(\): ioctl/, 'the answer is "unknown"'],
  [
    /^(adopt\(\)|attach\(\) of a LUN)[\w ]*: ioctl\(0x8040ca02\)$/,
    'GET_AFU_ID: another call tells the file',
  ],
  [/^flash close: ioctl\(0xc068ca82\)$/, 'RELEASE: the DETACH after it releases everything'],
  [
    /^flash \w+: (read|epoll_ctl|poll)\(\)$/,
    'the queue subscribes again, and collects completions',
  ],
  [/^wait of an adopted: poll\(\)$/, 'as if nothing was pending: the wait goes on'],
  [/^waitFor\w+Sync\(\): ppoll\(\)$/, 'the wait begins anew, for the rest of its time'],
  [/: calloc\(\)$/, 'V8 collects garbage, and tries again'],
];
/** Of these calls, none is told by a code. */
const NEVER_TOLD = ['madvise', 'poll', 'ppoll', 'calloc'];

describe.skipIf(!compiles)(`calls that are refused${reason}`, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'node-cxl-exhaustion-'));
  const library = path.join(folder, 'refuse.so');
  const control = path.join(folder, 'control');

  beforeAll(() => {
    writeFileSync(control, Buffer.alloc(4096));
    const source = path.join(here, 'refuse.c');
    const made = spawnSync(compiler, ['-shared', '-fPIC', '-o', library, source, '-ldl'], {
      encoding: 'utf8',
      env: { ...process.env, LD_PRELOAD: '' },
    });
    expect([made.status, made.stderr]).toEqual([0, '']);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('are errors with a code, and leave nothing behind', async () => {
    const stride = process.env['CXL_FAULTS'] === 'all' ? 1 : 3;
    const child = spawn(process.execPath, [path.join(here, 'program.mjs'), String(stride)], {
      env: {
        ...process.env,
        LD_PRELOAD: [library, process.env['LD_PRELOAD']].join(':'),
        REFUSE_CONTROL: control,
        NODE_OPTIONS: '',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    }
    const timer = setTimeout(() => child.kill('SIGKILL'), 170_000);
    const code = await new Promise((resolve) => child.once('close', resolve));
    clearTimeout(timer);
    expect([code, output]).toEqual([0, expect.stringMatching(/^\{"table"/)]);
    const { table } = JSON.parse(output) as { table: Record<string, Row> };
    for (const [name, { refused, withCode, codes, untold }] of Object.entries(table)) {
      console.log(`${name}: ${refused} refused, ${withCode} told: ${codes.join(', ')}`);
      expect(untold.filter((each) => !HARMLESS.some(([where]) => where.test(each)))).toEqual([]);
      expect([name, refused > 0, withCode > 0]).toEqual([name, true, !NEVER_TOLD.includes(name)]);
    }
  }, 180_000);
});
