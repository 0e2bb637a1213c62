// Runs a program of its own for what a test process cannot survive or would disturb: exits,
// signals, garbage collection, descriptor counts. It inherits the simulated device.
import { spawn } from 'node:child_process';
import path from 'node:path';

// The addon is one binary for every Node: CXL_TEST_NODE runs these programs on another.
const node = process.env['CXL_TEST_NODE'] ?? process.execPath;
const root = path.resolve(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '../..');

export interface Finished {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** Still running after the time limit, and killed. */
  hung: boolean;
}

export interface ChildOptions {
  flags?: string[];
  env?: Record<string, string>;
  /** Called with the process once it has printed its first line. */
  onFirstLine?: (pid: number) => void | Promise<void>;
  /** Milliseconds until it counts as hung. */
  limit?: number;
}

/** Runs an ES module given as text. What it prints is for the test to judge. */
export function runNode(script: string, options: ChildOptions = {}): Promise<Finished> {
  const { flags = [], env = {}, onFirstLine, limit = 60_000 } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(node, [...flags, '--input-type=module', '-e', script], {
      cwd: root,
      env: { ...process.env, NODE_OPTIONS: '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const finished: Finished = { code: null, signal: null, stdout: '', stderr: '', hung: false };
    let seen = false;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      finished.stdout += text;
      if (seen || onFirstLine === undefined || child.pid === undefined) return;
      if (!finished.stdout.includes('\n')) return;
      seen = true;
      Promise.resolve(onFirstLine(child.pid)).catch(reject);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      finished.stderr += text;
    });
    const timer = setTimeout(() => {
      finished.hung = true;
      child.kill('SIGKILL');
    }, limit);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ ...finished, code, signal });
    });
  });
}

/** What a healthy child ends as; compared whole, so that a failure shows what it said. */
export function ended(stdout: string, code = 0): Finished {
  return { code, signal: null, stdout, stderr: '', hung: false };
}

/** The addon's own face, below the seam, for a child's script. */
export const prelude = `
import { createRequire } from 'node:module';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { cxl } from 'node-cxl';
const require = createRequire(process.cwd() + '/package.json');
const addon = require('./dist/native').nativeBinding();
const device = '/dev/cxl/afu0.0s';
const descriptors = () => readdirSync('/proc/self/fd').length;
async function attached() {
  const context = await cxl.open(device);
  const queue = cxl.allocate(cxl.pageSize);
  await context.attach({ wed: queue.address | 1n, holds: [queue] });
  return { context, queue };
}
async function collect(until, turns = 100) {
  for (let turn = 0; turn < turns && !until(); ++turn) {
    globalThis.gc();
    await sleep(10);
  }
  return until();
}
`;
