// Fuzzes the C++ that takes bytes from a descriptor, by libFuzzer with the address and
// undefined-behavior sanitizers: `node test/fuzz/native/run.mjs --seconds N`. Needs clang.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { root } from '../../../lib/build/files.mjs';
import { needPrograms } from '../../../lib/build/programs.mjs';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(1 + Math.floor(Math.random() * (2 ** 31 - 1))) },
    // Keeps in the corpus what reaches more than the corpus does.
    keep: { type: 'boolean', default: false },
  },
});

needPrograms(['clang++']);
const here = path.dirname(fileURLToPath(import.meta.url));
const folder = path.join(root, 'test/addon/build/fuzz');
const corpus = path.join(root, 'test/fuzz/corpus/native-event-source');
const program = path.join(folder, 'event-source');
const found = path.join(folder, 'found/');
mkdirSync(found, { recursive: true });
execFileSync(
  'clang++',
  [
    ...[
      '-std=c++17',
      '-O1',
      '-g',
      '-fsanitize=fuzzer,address,undefined',
      '-fno-sanitize-recover=all',
    ],
    ...['-Wl,--wrap=read', '-Wl,--wrap=poll'],
    ...['-I', root, '-I', path.join(root, 'test/addon/interleavings/stubs')],
    ...[path.join(here, 'event_source.cc'), path.join(root, 'native/events/event_source.cc')],
    ...['-o', program],
  ],
  { stdio: 'inherit' },
);
const options = [`-max_total_time=${values.seconds}`, `-seed=${values.seed}`, '-max_len=256'];
const folders = values.keep ? [corpus] : [found, corpus];
const { status, stderr } = spawnSync(
  program,
  [...options, '-print_final_stats=1', `-artifact_prefix=${folder}/`, ...folders],
  { encoding: 'utf8', cwd: folder },
);
const figure = (name) => new RegExp(`${name}[: ]+(\\d+)`).exec(stderr)?.[1];
const coverage = [...stderr.matchAll(/cov: (\d+)/g)].at(-1)?.[1];
console.log(
  `native event source: ${status === 0 ? 'ok' : 'FAILED'}, ${figure('number_of_executed_units')} executions, ${coverage} edges, corpus ${readdirSync(corpus).length}, seed ${values.seed}`,
);
if (status !== 0) console.error(stderr);
process.exitCode = status === 0 ? 0 : 1;
