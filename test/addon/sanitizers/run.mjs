// Runs exercise.mjs over the simulated device with an addon that the address and undefined-behavior
// sanitizers instrument, then with one of the thread sanitizer. Arguments: `address` or `thread` for
// one of them.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from '../../../lib/build/files.mjs';
import { prepared } from './prepare.mjs';

const SANITIZERS = ['address', 'thread'];
const here = path.dirname(fileURLToPath(import.meta.url));

function run(name) {
  const { launcher, environment, judge } = prepared(name);
  // By env, so that the launchers before it are not run with the preloaded libraries.
  const set = Object.entries(environment).map(([variable, value]) => `${variable}=${value}`);
  const [program, ...launched] = [...launcher, 'env', ...set];
  const exercise = [process.execPath, '--expose-gc', path.join(here, 'exercise.mjs')];
  const result = spawnSync(program, [...launched, ...exercise], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    timeout: 300_000,
  });
  const reports = judge(result.stderr);
  const finished = result.status === 0 && result.stdout.endsWith('exit\n');
  const clean = finished && reports.length === 0;
  console.log(`${name}: ${result.stdout.trim().split('\n').join(', ')}`);
  if (!finished)
    console.error(`${name}: ended by ${result.signal ?? result.status}`, result.stderr);
  if (!clean) console.error(reports.join('\n'));
  console.log(`${name} sanitizer: ${clean ? 'clean' : 'FAILED'}`);
  return clean;
}

const wanted = process.argv.slice(2);
const names = SANITIZERS.filter((name) => wanted.length === 0 || wanted.includes(name));
process.exitCode = names.map(run).every(Boolean) ? 0 : 1;
