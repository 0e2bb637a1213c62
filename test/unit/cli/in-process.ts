/**
 * Runs commands within the test's process, as the program is made of them. What only a process shows,
 * such as its exit code, is for run.ts.
 */
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Cxl } from 'node-cxl';
import { mockFromConfig } from 'node-cxl/mock';

const require = createRequire(import.meta.url);
const { newProgram } = require(path.resolve('dist/cli/program.js'));
const { exitCodeOf } = require(path.resolve('dist/cli/failure.js'));

export interface Printed {
  readonly stdout: string;
  readonly stderr: string;
  /** What the command ended with; the program prints it, and exits with `exitCode`. */
  readonly error: (Error & { code?: string }) | undefined;
  readonly exitCode: number;
}

/** What the program prints with these arguments, and what it ends with. */
export async function runHere(
  args: readonly string[],
  system: Cxl = mockFromConfig(),
): Promise<Printed> {
  const printed = { stdout: '', stderr: '' };
  const writes = { stdout: process.stdout.write, stderr: process.stderr.write };
  for (const name of ['stdout', 'stderr'] as const) {
    process[name].write = (text) => {
      printed[name] += text;
      return true;
    };
  }
  const { signal } = new AbortController();
  try {
    await newProgram({ system, signal }, '0.0.0').parseAsync(args, { from: 'user' });
  } catch (thrown) {
    const error = thrown as Error & { code?: string };
    // Help was asked for.
    if (error.code === 'commander.helpDisplayed')
      return { ...printed, error: undefined, exitCode: 0 };
    return { ...printed, error, exitCode: exitCodeOf(error) };
  } finally {
    process.stdout.write = writes.stdout;
    process.stderr.write = writes.stderr;
  }
  return { ...printed, error: undefined, exitCode: 0 };
}

/** What it prints when it must succeed and complain of nothing. */
export async function outputHere(args: readonly string[], system?: Cxl): Promise<string> {
  const { stdout, stderr, error } = await runHere(args, system);
  if (error !== undefined) throw error;
  if (stderr !== '') throw new Error(stderr);
  return stdout;
}
