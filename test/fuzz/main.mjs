// Fuzzes one target in this process; run.mjs starts it.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../../lib/build/files.mjs';
import { Random } from '../soak/random.mjs';
import { Coverage } from './coverage.mjs';
import { Fuzzer, nameOf } from './fuzzer.mjs';
import { constantsOf } from './mutate.mjs';
import { corpusFolder } from './targets/index.mjs';
import { startWatchdog } from './watchdog.mjs';

const [name, milliseconds, seed, ...flags] = process.argv.slice(2);
const findings = path.join(root, '.cache/fuzz', name);
const corpus = corpusFolder(name);

// Before the target, which loads the modules under test.
const counted = new Set();
const coverage = new Coverage((file) => counted.has(file));
const { target } = await import(`./targets/${name}.mjs`);
for (const file of target.modules) counted.add(path.join(root, 'dist', file));

const fuzzer = new Fuzzer({
  target,
  coverage,
  random: new Random(Number(seed)),
  dictionary: [
    ...constantsOf(counted),
    ...(target.dictionary ?? []).map((each) => Buffer.from(each)),
  ],
  watch: startWatchdog(path.join(findings, 'hang'), target.maxLength),
});

function inputsIn(folder) {
  try {
    return readdirSync(folder).map((file) => readFileSync(path.join(folder, file)));
  } catch {
    return [];
  }
}

let failed = false;
try {
  await fuzzer.seed(inputsIn(corpus));
  const end = performance.now() + Number(milliseconds);
  let next = performance.now() + 10_000;
  while (performance.now() < end) {
    await fuzzer.step();
    if (performance.now() < next) continue;
    next += 10_000;
    console.log(line('…'));
  }
} catch (error) {
  failed = true;
  await report(error);
}
console.log(line(failed ? 'FAILED' : 'ok'));
if (flags.includes('--missed')) {
  for (const { file, missed } of coverage.report()) {
    console.log(`  ${path.relative(root, file)}: lines ${missed.join(' ') || 'none'} not reached`);
  }
}
if (flags.includes('--keep') && !failed) keep();
process.exit(failed ? 1 : 0);

function line(verdict) {
  const modules = coverage.report();
  const sum = (key) => modules.reduce((total, each) => total + each[key], 0);
  const percent = ((100 * sum('covered')) / Math.max(1, sum('lines'))).toFixed(1);
  return `${name}: ${verdict}, ${fuzzer.executions} executions, ${sum('covered')} of ${sum('lines')} lines (${percent} %), ${fuzzer.outcomes.size} outcomes, corpus ${fuzzer.corpus.length}`;
}

/** Makes the input small, keeps it, and says how to repeat it. */
async function report(error) {
  if (error.input === undefined) throw error;
  const first = (failure) => `${failure?.code}${String(failure?.message).split('\n')[0]}`;
  const input = await fuzzer.shrink(error.input, (cause) => first(cause) === first(error.cause));
  mkdirSync(findings, { recursive: true });
  const file = path.join(findings, nameOf(input));
  writeFileSync(file, input);
  console.error(
    `${error.message}\n  input: ${input.toString('hex')} ${JSON.stringify(input.toString('latin1'))}`,
  );
  console.error(`  to repeat: node test/fuzz/run.mjs ${name} --input ${path.relative(root, file)}`);
}

/** Of the corpus in the repository, what has no name of its own becomes what reached new code. */
function keep() {
  const kept = new Map([...fuzzer.reaching].map((bytes) => [nameOf(bytes), bytes]));
  mkdirSync(corpus, { recursive: true });
  for (const file of readdirSync(corpus)) {
    // Those with another name were put there by hand: each has found something.
    if (/^[0-9a-f]{12}$/.test(file) && !kept.has(file)) rmSync(path.join(corpus, file));
  }
  const known = new Set(inputsIn(corpus).map(nameOf));
  for (const [file, bytes] of kept) {
    if (!known.has(file)) writeFileSync(path.join(corpus, file), bytes);
  }
}
