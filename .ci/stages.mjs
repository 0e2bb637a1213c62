// Runs the stages, adds up what their runners counted, and goes on after a failure so that one run
// shows everything. Stages in an inner list run at the same time: each uses one processor most of
// the time. Their output is printed when they end, the others' as it comes.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';

const MINUTE = 60_000;
/** Themes of the soak in which threads meet, by the sanitizer that they run under. */
const SANITIZED = {
  address: 'life-cycle events registers processes',
  // Not `processes`: Node's reads are not seen by it, so a descriptor that Node closed and the addon
  // got anew counts as shared.
  thread: 'life-cycle events registers',
};

const stages = [
  { name: 'packages', command: 'node lib/build/programs.mjs', limit: 10 },
  { name: 'npm cit', command: 'npm cit --no-audit --no-fund', limit: 15 },
  { name: 'format', command: 'npm run -s format:check', limit: 5 },
  { name: 'lint and types', command: 'npm run -s lint', limit: 5 },
  { name: 'reference', command: 'npm run -s docs', limit: 5 },
  { name: 'main job', command: 'npm start', limit: 5 },
  { name: 'many random sequences', command: manySequences(), limit: 10 },
  { name: 'every fault', command: 'npm run -s test:faults', limit: 8 },
  // Every theme over every target, two at a time; then some under the sanitizers.
  { name: 'soaks', command: 'node test/soak/run.mjs --minutes 0.3 --jobs 2', limit: 12 },
  { name: 'soaks under sanitizers', command: soaksUnderSanitizers(), limit: 8 },
  { name: 'fuzzing', command: 'node test/fuzz/run.mjs --minutes 0.1', limit: 5 },
  { name: 'fuzzing of C++', command: 'node test/fuzz/native/run.mjs --seconds 15', limit: 5 },
  { name: 'interleavings', command: 'node test/addon/interleavings/run.mjs', limit: 5 },
  { name: 'prebuilds', command: 'npm run -s prebuilds', limit: 10 },
  [
    { name: 'Compute Express Link machine', command: 'npm run -s test:rig:doe', limit: 15 },
    // Not `npm run test:sanitizers`: its build would take `dist` away from the machine beside it.
    { name: 'sanitizers', command: 'node test/addon/sanitizers/run.mjs', limit: 10 },
  ],
  { name: 'PSLSE', command: pslse(), limit: 12 },
  { name: 'recordings', command: 'npm run -s test:recordings', limit: 8 },
  { name: 'page of a trace', command: 'node test/trace/run.mjs', limit: 5 },
  { name: 'tarball', command: 'npm run -s test:pack', limit: 10 },
  // Both use two processors.
  { name: 'ppc64le in user mode', command: 'npm run -s test:ppc64', limit: 50 },
  { name: 'POWER machines', command: 'npm run -s test:rig', limit: 30 },
  { name: 'benchmarks', command: 'npm run -s bench -- --quick', limit: 8 },
];

function manySequences() {
  return [
    'CXL_RUNS=500 npx vitest run --project simulated --project simulated-guest model-based',
    'CXL_RUNS=2000 npx vitest run --project unit queue-model --testTimeout=300000',
  ].join(' && ');
}

/** With the sources of PSLSE where CI has them; without, the rig says why it skips. */
function pslse() {
  const sources = '../shared/third-party/pslse';
  const source = existsSync(sources) ? `PSLSE_SOURCE=${sources} ` : '';
  return `${source}npm run -s test:rig:pslse`;
}

function soaksUnderSanitizers() {
  return Object.entries(SANITIZED)
    .map(
      ([tool, themes]) =>
        `node test/soak/run.mjs ${themes} --minutes 0.25 --jobs 2 --under ${tool}`,
    )
    .join(' && ');
}

/** Runs the stage to its end. `show` receives its output as it comes. */
function run({ command, limit }, show) {
  return new Promise((resolve) => {
    // Its own process group, so that a stage that hangs is ended with all it started.
    const child = spawn('bash', ['-c', command], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, CI: 'true', DEBIAN_FRONTEND: 'noninteractive', NO_COLOR: '1' },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        show(text);
        output += text;
      });
    }
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      process.kill(-child.pid, 'SIGKILL');
    }, limit * MINUTE);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code: late ? `no end within ${limit} minutes` : code, output });
    });
  });
}

/** What the stage's runner counted: our own closing lines, which include vitest's, or vitest's summaries. */
function count(output) {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colors are what is taken out
  const text = output.replace(/\u001b\[[0-9;]*m/g, '');
  const own = text.match(/^\d+ passed, \d+ failed(?:, \d+ skipped)?$/gm);
  const lines = own ?? text.match(/^ *Tests +\d.*$/gm);
  if (lines === null) return undefined;
  const totals = { passed: 0, failed: 0, skipped: 0 };
  for (const [, number, word] of lines.join('\n').matchAll(/(\d+) (passed|failed|skipped)/g)) {
    totals[word] += Number(number);
  }
  return totals;
}

const totals = { passed: 0, failed: 0, skipped: 0 };
const report = [];
/** The last lines of each stage that failed, printed again at the end: before them are 10^5 others. */
const failures = [];
const LAST_LINES = 60;

async function runStage(stage, together) {
  const title = `\n=== ${stage.name}: ${stage.command}\n`;
  if (!together) process.stdout.write(title);
  const begin = Date.now();
  const { code, output } = await run(stage, (text) => together || process.stdout.write(text));
  if (together) process.stdout.write(title + output);
  const seconds = Math.round((Date.now() - begin) / 1000);
  const counted = count(output) ?? { passed: code === 0 ? 1 : 0, failed: 0, skipped: 0 };
  // A stage that failed without a failed test to show for it is itself a failure.
  if (code !== 0 && counted.failed === 0) counted.failed = 1;
  for (const key of Object.keys(totals)) totals[key] += counted[key];
  const { passed, failed, skipped } = counted;
  const verdict = code === 0 ? 'ok' : `FAILED (${code})`;
  if (code !== 0) {
    // Without what passed.
    const lines = output.split('\n').filter((line) => !line.includes('✓'));
    failures.push(`\n=== end of ${stage.name}\n${lines.slice(-LAST_LINES).join('\n')}`);
  }
  report.push(`${stage.name}: ${verdict}, ${seconds} s: ${passed}/${failed}/${skipped}`);
}

const started = Date.now();
for (const entry of stages) {
  const group = [entry].flat();
  if (group.length > 1) console.log(`\n=== ${group.map(({ name }) => name).join(', ')} together`);
  await Promise.all(group.map((stage) => runStage(stage, group.length > 1)));
}

console.log('\nstage: outcome, time: passed/failed/skipped');
for (const line of report) console.log(line);
for (const failure of failures) console.log(failure);
console.log(`all: ${Math.round((Date.now() - started) / 1000)} s`);
if (totals.skipped > 0) {
  console.log(`${totals.skipped} skipped; each says why where it is listed`);
}
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed === 0 ? 0 : 1;
