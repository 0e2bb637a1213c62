// Fuzzes what parses bytes or text from outside: `npm run fuzz [NAME…] -- --minutes N --seed S`.
//
//   --minutes N   for each target; default 0.2
//   --seed S      default: a new one, which is printed
//   --input FILE  runs this input alone
//   --keep        writes what was found to reach new code to test/fuzz/corpus/NAME
//   --missed      lists the lines that were not reached
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { root } from '../../lib/build/files.mjs';
import { TARGETS } from './targets/index.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string', default: '0.2' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 32)) },
    input: { type: 'string' },
    keep: { type: 'boolean', default: false },
    missed: { type: 'boolean', default: false },
  },
});
const { seed } = values;
const minutes = Number(values.minutes);
const names = positionals.length === 0 ? TARGETS : positionals;
const unknown = names.filter((name) => !TARGETS.includes(name));
if (unknown.length > 0 || !(minutes > 0) || !/^\d+$/.test(seed)) {
  console.error(`usage: run.mjs [${TARGETS.join('|')}]… --minutes N --seed S`);
  process.exit(2);
}

if (values.input !== undefined) {
  const { target } = await import(`./targets/${names[0]}.mjs`);
  console.log(await target.run(readFileSync(values.input)));
} else {
  const flags = ['keep', 'missed'].filter((flag) => values[flag]).map((flag) => `--${flag}`);
  const failed = names.filter((name) => !fuzz(name, flags));
  console.log(`${names.length - failed.length} passed, ${failed.length} failed`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}

/** A process for each: its coverage is its own, and what hangs ends with it. */
function fuzz(name, flags) {
  const program = path.join(root, 'test/fuzz/main.mjs');
  const { status, signal } = spawnSync(
    process.execPath,
    [program, name, String(minutes * 60_000), seed, ...flags],
    { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
  );
  if (status === 0) return true;
  console.error(
    `${name}: ended by ${signal ?? status}; again: node test/fuzz/run.mjs ${name} --minutes ${minutes} --seed ${seed}`,
  );
  return false;
}
