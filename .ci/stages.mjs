// Runs the stages one after another, streams what they print, adds up what their runners
// counted, and goes on after a failure so that one run tells everything.
import { spawn, spawnSync } from 'node:child_process';

const MINUTE = 60_000;

/** Debian packages of the first stages; the rigs install their own. */
const packages = ['strace', 'clang-format'];

const stages = [
  { name: 'packages', command: installPackages(), limit: 10 },
  { name: 'npm cit', command: 'npm cit --no-audit --no-fund', limit: 15 },
  { name: 'format', command: 'npm run -s format:check', limit: 5 },
  { name: 'lint and types', command: 'npm run -s lint', limit: 5 },
  { name: 'main job', command: 'npm start', limit: 5 },
  { name: 'many random sequences', command: manySequences(), limit: 10 },
  { name: 'sanitizers', command: 'npm run -s test:sanitizers', limit: 10 },
  { name: 'prebuilds', command: 'npm run -s prebuild', limit: 10 },
  { name: 'tarball', command: 'npm run -s test:pack', limit: 10 },
  { name: 'ppc64le in user mode', command: 'npm run -s test:ppc64', limit: 50 },
  { name: 'POWER machine', command: 'npm run -s test:rig', limit: 30 },
  { name: 'Compute Express Link machine', command: 'npm run -s test:rig:doe', limit: 15 },
  { name: 'benchmarks', command: 'npm run -s bench', limit: 5 },
];

function manySequences() {
  return 'CXL_RUNS=500 npx vitest run --project simulated --project simulated-guest model-based';
}

function installPackages() {
  const missing = packages.filter(
    (name) => spawnSync('dpkg', ['-s', name], { stdio: 'ignore' }).status !== 0,
  );
  if (missing.length === 0) return 'true';
  return `apt-get update -qq && apt-get install -y -qq --no-install-recommends ${missing.join(' ')}`;
}

function run(stage) {
  return new Promise((resolve) => {
    // Its own process group, so that a stage that hangs is ended with all it started.
    const child = spawn('bash', ['-c', stage.command], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, CI: 'true', DEBIAN_FRONTEND: 'noninteractive', NO_COLOR: '1' },
    });
    let output = '';
    const keep = (stream) => (chunk) => {
      stream.write(chunk);
      output += chunk;
    };
    child.stdout.setEncoding('utf8').on('data', keep(process.stdout));
    child.stderr.setEncoding('utf8').on('data', keep(process.stderr));
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      process.kill(-child.pid, 'SIGKILL');
    }, stage.limit * MINUTE);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code: late ? `no end within ${stage.limit} minutes` : code, output });
    });
  });
}

/** What the stage's runner counted: vitest's summary, or our own closing line. */
function count(output) {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are what is taken out
  const text = output.replace(/\u001b\[[0-9;]*m/g, '');
  const totals = { passed: 0, failed: 0, skipped: 0 };
  let found = false;
  for (const [line] of text.matchAll(
    /^ *Tests +\d.*$|^\d+ passed, \d+ failed(?:, \d+ skipped)?$/gm,
  )) {
    found = true;
    for (const [, number, word] of line.matchAll(/(\d+) (passed|failed|skipped)/g)) {
      totals[word] += Number(number);
    }
  }
  return found ? totals : undefined;
}

const totals = { passed: 0, failed: 0, skipped: 0 };
const report = [];
for (const stage of stages) {
  console.log(`\n=== ${stage.name}: ${stage.command}`);
  const begin = Date.now();
  const { code, output } = await run(stage);
  const seconds = Math.round((Date.now() - begin) / 1000);
  const counted = count(output) ?? { passed: code === 0 ? 1 : 0, failed: 0, skipped: 0 };
  // A stage that failed without a failed test to show for it is itself a failure.
  if (code !== 0 && counted.failed === 0) counted.failed = 1;
  for (const key of Object.keys(totals)) totals[key] += counted[key];
  const { passed, failed, skipped } = counted;
  const verdict = code === 0 ? 'ok' : `FAILED (${code})`;
  report.push(`${stage.name}: ${verdict}, ${seconds} s: ${passed}/${failed}/${skipped}`);
}

console.log('\nstage: outcome, time: passed/failed/skipped');
for (const line of report) console.log(line);
if (totals.skipped > 0) {
  console.log(`${totals.skipped} skipped; each says why where it is listed`);
}
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed === 0 ? 0 : 1;
