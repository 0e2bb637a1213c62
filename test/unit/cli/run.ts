/** Runs the command-line program as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';

export const manifest = createRequire(import.meta.url).resolve('node-cxl/package.json');
const { bin } = JSON.parse(readFileSync(manifest, 'utf8'));
export const program = path.resolve(path.dirname(manifest), bin['node-cxl']);

export const TIMEOUT = 60_000;

export interface Outcome {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  env?: Record<string, string>;
  /** Called when the process has started. */
  onStart?: (child: ChildProcess) => void;
  /** Called at each chunk of output, with the output so far. */
  onOutput?: (child: ChildProcess, soFar: string) => void;
  /** What it reads from standard input. */
  input?: Uint8Array;
  /** A descriptor to write to in place of the pipe that `stdout` comes from. */
  stdout?: number;
}

export function run(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { NODE_CXL_BACKEND: _, ...inherited } = process.env;
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...inherited, ...options.env },
    stdio: [options.input === undefined ? 'ignore' : 'pipe', options.stdout ?? 'pipe', 'pipe'],
  });
  child.stdin?.end(options.input);
  options.onStart?.(child);
  const outcome: Outcome = { code: null, signal: null, stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text) => {
      outcome[name] += text;
      options.onOutput?.(child, outcome.stdout + outcome.stderr);
    });
  }
  return new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ ...outcome, code, signal }));
  });
}

/** What a command prints with --json; it must succeed and say nothing else. */
export async function json(args: readonly string[], options: RunOptions = {}) {
  const { code, stdout, stderr } = await run([...args, '--json'], options);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return JSON.parse(stdout);
}

/** A folder for a test file's files, removed at the end. */
export class Folder {
  #path = '';

  constructor() {
    beforeAll(() => {
      this.#path = mkdtempSync(path.join(tmpdir(), 'node-cxl-cli-'));
    });
    afterAll(() => rmSync(this.#path, { recursive: true, force: true }));
  }

  get path(): string {
    return this.#path;
  }

  file(name: string): string {
    return path.join(this.#path, name);
  }

  /** The environment that chooses a mock with these options. */
  mock(name: string, options: object): Record<string, string> {
    writeFileSync(this.file(name), JSON.stringify(options));
    return { NODE_CXL_BACKEND: `mock:${this.file(name)}` };
  }
}
