/**
 * Processes and workers that end while they use contexts: by themselves, by an error, by a crash, by
 * a signal, by terminate(). Each ends at once and as it should, and nothing is left of it.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Theme, Turn } from '../../turn';

const PROCESSES = 2;
const WORKERS = 2;
/** Milliseconds after its start within which a parent ends what it started, at most. */
const SOON = 250;
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGKILL', 'SIGQUIT'] as const;

const program = new URL('./themes/processes/child.mjs', import.meta.url);

/** What a way to end must look like: an exit code, or a signal. */
const WAYS: Record<string, { code: number | null; signal?: NodeJS.Signals; stderr?: RegExp }> = {
  return: { code: 0 },
  exit: { code: 7 },
  throw: { code: 1, stderr: /thrown on purpose/ },
  abort: { code: null, signal: 'SIGABRT', stderr: /./ },
};

async function oneProcess(turn: Turn, folder: string): Promise<void> {
  const { random } = turn;
  const signal = random.chance(0.5) ? random.pick(SIGNALS) : undefined;
  const way = signal === undefined ? random.pick(Object.keys(WAYS)) : 'waits';
  const args = [turn.targetName, String(random.integer(0, 2 ** 31)), way];
  const child = spawn(process.execPath, [fileURLToPath(program), ...args], {
    // No core file of those that crash: its folder is the soak's.
    cwd: folder,
    env: { ...process.env, CXLSIM_TREE: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  if (signal !== undefined) {
    // Before Node has started, while it works, or in between.
    if (random.chance(0.7)) await new Promise((resolve) => child.stdout.once('data', resolve));
    await sleep(random.integer(0, SOON));
    child.kill(signal);
  } else child.stdout.resume();
  const ended = new Promise<[number | null, string | null]>((resolve) =>
    child.once('close', (code, by) => resolve([code, by])),
  );
  const what = signal ?? way;
  const [code, by] = await turn.call(`the end of a process by ${what}`, ended);
  const expected = signal === undefined ? WAYS[way]! : { code: null, signal };
  turn.check(
    code === expected.code &&
      by === (expected.signal ?? null) &&
      ('stderr' in expected ? expected.stderr.test(stderr) : stderr === ''),
    `a process that should end by ${what} ended with code ${code}, signal ${by}: ${stderr}`,
  );
  turn.counts.add(`process ${what}`);
}

async function oneWorker(turn: Turn): Promise<void> {
  const { random } = turn;
  const way = random.pick(['waits', 'waits', 'waits', 'return', 'exit', 'throw']);
  const worker = new Worker(program, {
    workerData: [turn.targetName, String(random.integer(0, 2 ** 31)), way],
  });
  let error: Error | undefined;
  let ready = false;
  worker.once('message', () => {
    ready = true;
  });
  worker.on('error', (thrown) => {
    error = thrown;
  });
  const ended = new Promise<number>((resolve) => worker.once('exit', resolve));
  if (way === 'waits') {
    if (random.chance(0.7)) {
      await Promise.race([ended, new Promise((resolve) => worker.once('message', resolve))]);
    }
    await sleep(random.integer(0, SOON / 2));
    await turn.call('terminate()', worker.terminate());
  }
  const code = await turn.call(`the end of a worker by ${way}`, ended);
  // 0 where terminate() came before the worker ran anything.
  const expected = way === 'waits' ? [1, ...(ready ? [] : [0])] : [WAYS[way]!.code];
  const thrown = way === 'throw' ? 'thrown on purpose' : undefined;
  turn.check(
    expected.includes(code) && error?.message === thrown,
    `a worker that should end by ${way} ended with code ${code}: ${error?.stack}`,
  );
  turn.counts.add(`worker ${way}`);
}

export const processes: Theme = {
  name: 'processes',

  async run(turn) {
    const folder = mkdtempSync(path.join(tmpdir(), 'node-cxl-soak-'));
    const repeat = (count: number, one: () => Promise<void>) =>
      Array.from({ length: count }, () => async () => {
        while (!turn.over) await one();
      });
    try {
      await turn.lanes([
        ...repeat(PROCESSES, () => oneProcess(turn, folder)),
        ...repeat(WORKERS, () => oneWorker(turn)),
      ]);
      // What those that were killed have left, the next one removes.
      await last(turn, folder);
      const left = readdirSync(folder);
      turn.check(left.length === 0, `left behind: ${left.join(', ')}`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};

async function last(turn: Turn, folder: string): Promise<void> {
  const child = spawn(process.execPath, [fileURLToPath(program), turn.targetName, '1', 'return'], {
    env: { ...process.env, CXLSIM_TREE: folder },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const code = await turn.call(
    'the end of the last process',
    new Promise((resolve) => child.once('close', resolve)),
  );
  turn.check(code === 0, `the last process ended with ${code}`);
}
