// Running other programs: output is kept for the error message, and every one has a time limit.
import { spawnSync } from 'node:child_process';

export class CommandError extends Error {}

/** Runs a program to its end; its standard output. Throws with all it printed when it fails. */
export function run(program, args, { cwd, env, minutes = 10 } = {}) {
  const result = spawnSync(program, args, {
    cwd,
    env: env ?? process.env,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    timeout: minutes * 60_000,
    killSignal: 'SIGKILL',
  });
  if (result.error !== undefined || result.status !== 0) {
    const why = result.error?.message ?? `exit status ${result.status ?? result.signal}`;
    throw new CommandError(
      `${program} ${args.join(' ')}: ${why}\n${result.stdout ?? ''}${result.stderr ?? ''}`,
    );
  }
  return result.stdout;
}

/** Runs one stage and tells how long it took. */
export async function stage(name, action) {
  const start = process.hrtime.bigint();
  process.stdout.write(`== ${name}\n`);
  const value = await action();
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  process.stdout.write(`== ${name}: ${seconds.toFixed(1)} s\n`);
  return value;
}
