// npm as a child process.
import { execFileSync } from 'node:child_process';

/** What npm with these arguments prints; also where it was not npm that started us. */
export function npm(args, options = {}) {
  const script = process.env.npm_execpath;
  const direct = script !== undefined && /\.[cm]?js$/.test(script);
  const command = direct ? process.execPath : 'npm';
  return execFileSync(command, direct ? [script, ...args] : args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 64 << 20,
    ...options,
    env: { ...process.env, npm_config_loglevel: 'error', ...options.env },
  });
}
