/** `node-cxl record`: records a program, and makes a test of a recording. */
import { spawn } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { type Command, Option } from 'commander';
import { readRecording } from '../record';
import { partsOf } from '../record/reader';
import { integerFrom } from './arguments';
import { UsageError } from './failure';
import { type Format, print } from './output';
import { common } from './session';

interface RecordCommandOptions extends Format {
  out: string;
  maxMemory?: number;
  flush: 'batch' | 'access';
  polls: 'count' | 'each';
  mock?: boolean;
}

interface TestCommandOptions extends Format {
  framework: 'vitest' | 'node';
  out?: string;
  program?: string;
}

export function recordCommand(command: Command): void {
  // `test` has a --out of its own.
  common(command.enablePositionalOptions())
    .description(
      'run a program, and record what it does with the cards: record --out FILE -- PROGRAM',
    )
    .argument('[program...]', 'the program and its arguments, after --')
    .option(
      '--out <file>',
      'the recording; those of workers and child processes are FILE.<pid>-<thread>',
    )
    .option('--max-memory <bytes>', 'of memory whose contents are recorded', integerFrom(0))
    .addOption(
      new Option('--flush <when>', 'when accesses to registers and memory are written')
        .choices(['batch', 'access'])
        .default('batch'),
    )
    .addOption(
      new Option('--polls <how>', 'whether a load that repeats the last one only counts')
        .choices(['count', 'each'])
        .default('count'),
    )
    .action((program: string[], options: RecordCommandOptions) => record(program, options));
  command
    .command('test')
    .description('write a test that runs the recorded program again, on the recording')
    .argument('<file>', 'the recording')
    .addOption(
      new Option('--framework <name>', 'what the test is for')
        .choices(['vitest', 'node'])
        .default('vitest'),
    )
    .option('--out <test>', 'default: FILE.test.mjs')
    .option('--program <path>', 'the program; default: the one that was recorded')
    .action((file: string, options: TestCommandOptions) => writeTest(file, options));
}

/** The program that was recorded has ended in its own way: no failure of this one. */
export class ProgramEnded extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`the program ended with ${exitCode}`);
    this.exitCode = exitCode;
  }
}

const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;

async function record([program, ...args]: string[], options: RecordCommandOptions): Promise<void> {
  if (options.out === undefined) throw new UsageError('--out is needed: the file to record to');
  if (program === undefined) throw new UsageError('a program is needed, after --');
  const file = path.resolve(options.out);
  removeOld(file);
  const { maxMemory, flush, polls } = options;
  const child = spawn(program, args, {
    stdio: 'inherit',
    env: {
      ...process.env,
      NODE_CXL_RECORD: file,
      NODE_CXL_RECORD_OPTIONS: JSON.stringify({ maxMemory, flush, polls }),
      // The first process of this one that uses a card has the file, the others have their own.
      NODE_CXL_RECORD_GROUP: `${process.pid}`,
      ...(options.mock === true ? { NODE_CXL_BACKEND: 'mock' } : {}),
    },
  });
  const pass = SIGNALS.map((name) => [name, () => child.kill(name)] as const);
  for (const [name, listener] of pass) process.on(name, listener);
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (exitCode, signal) => {
        resolve(exitCode ?? 128 + constants.signals[signal as NodeJS.Signals]);
      });
    });
    if (code !== 0) throw new ProgramEnded(code);
  } finally {
    for (const [name, listener] of pass) process.off(name, listener);
  }
}

/** A recording that is replaced, with the files of its workers and child processes. */
function removeOld(file: string): void {
  for (const found of [file, ...partsOf(file)]) {
    if (!existsSync(found)) continue;
    // Throws for a file that is no recording: it must not be lost.
    readRecording(found);
    rmSync(found);
  }
}

function writeTest(file: string, options: TestCommandOptions): void {
  const { header } = readRecording(file);
  const program = options.program ?? header.argv[1];
  if (program === undefined) {
    throw new UsageError('the recording is of no program in a file: name one by --program');
  }
  const out = path.resolve(options.out ?? `${file}.test.mjs`);
  const fromTest = (target: string) => {
    const relative = path.relative(path.dirname(out), path.resolve(target));
    return relative.split(path.sep).join('/');
  };
  const text = testText(options.framework, {
    recording: fromTest(file),
    program: fromTest(program),
    args: header.argv.slice(2),
  });
  writeFileSync(out, text, { flag: 'wx' });
  print(out);
}

function testText(
  framework: TestCommandOptions['framework'],
  { recording, program, args }: { recording: string; program: string; args: readonly string[] },
): string {
  const name = JSON.stringify(`does with the card what ${path.basename(recording)} has`);
  const from = framework === 'vitest' ? 'vitest' : 'node:test';
  return `// Runs a program again on a recording, without a card. Made by \`node-cxl record test\`.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { it } from '${from}';

const pathOf = (name) => fileURLToPath(new URL(name, import.meta.url));
const recording = pathOf(${JSON.stringify(recording)});
const program = pathOf(${JSON.stringify(program)});
const args = ${JSON.stringify(args)};

it(${name}, () => {
  const { status, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: 'utf8',
    env: { ...process.env, NODE_CXL_BACKEND: \`replay:\${recording}\` },
  });
  assert.equal(status, 0, stderr);
});
`;
}
