// npm run test:rig:pslse: the PSLSE backend against PSLSE itself. See ../README.md.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { installPrograms } from '../../../lib/build/programs.mjs';
import { stage } from '../command.mjs';
import { repository } from '../folders.mjs';
import { buildPslse, buildSimulation, programs as needed } from './build.mjs';
import { commandLine } from './command-line.mjs';
import { startDaemon } from './daemon.mjs';
import { checks, costOfAnAccess, programs } from './programs.mjs';

const totals = { passed: 0, failed: 0, skipped: 0 };
/** Not those that take its C original long. */
const ON_PSL9 = ['mmio', 'memcopy', 'interrupt1', 'bad_addr', 'directed_memcopy'];
/** How long a program may take, in seconds. */
const PROGRAM_LIMIT = 120;

function end() {
  const { passed, failed, skipped } = totals;
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exitCode = failed === 0 ? 0 : 1;
}

async function attempt(action) {
  const start = Date.now();
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('took too long')), PROGRAM_LIMIT * 1000);
  });
  try {
    await Promise.race([action(), late]);
    return { passed: true, seconds: (Date.now() - start) / 1000 };
  } catch (error) {
    return { passed: false, seconds: (Date.now() - start) / 1000, why: error.stack };
  } finally {
    clearTimeout(timer);
  }
}

/** PSLSE's own program, which prints PASSED. */
function original(pslse, name, folder) {
  const start = Date.now();
  const { stdout, stderr } = spawnSync(path.join(pslse, 'test/tests', name), ['--seed', '1'], {
    cwd: folder,
    encoding: 'utf8',
    timeout: PROGRAM_LIMIT * 1000,
    env: { ...process.env, LD_LIBRARY_PATH: path.join(pslse, 'libcxl') },
  });
  const passed = /PASSED/.test(stdout) && !/FAILED/.test(stdout);
  return { passed, seconds: (Date.now() - start) / 1000, why: stdout + stderr };
}

/** The backend under test. */
async function systemOf(daemon) {
  const { createPslseCxl } = await import('node-cxl/pslse');
  return createPslseCxl({ port: daemon.port, mmioTimeout: 20_000 });
}

function count(passed) {
  totals[passed ? 'passed' : 'failed'] += 1;
}

async function comparePrograms(pslse, psl, names) {
  const table = [];
  for (const name of names) {
    const daemon = await startDaemon(pslse, testAfu(pslse, name));
    try {
      const system = await systemOf(daemon);
      const ours = await attempt(() => programs[name](system, psl));
      // The daemon resets the AFU when its last client has gone.
      await sleep(1000);
      const theirs = original(pslse, name, daemon.folder);
      for (const each of [ours, theirs]) count(each.passed);
      table.push([name, ours, theirs]);
      for (const each of [ours, theirs]) if (!each.passed) console.log(each.why, daemon.output);
      if (name === 'mmio') {
        await sleep(1000);
        const cost = await costOfAnAccess(system);
        console.log(`PSL${psl}: a read64 takes ${cost.toFixed(2)} ms`);
      }
    } finally {
      await daemon.stop();
    }
  }
  console.log(`\nPSL${psl}: program, from Node, PSLSE's own`);
  const shown = ({ passed, seconds }) =>
    `${passed ? 'passed' : 'FAILED'} (${seconds.toFixed(1)} s)`;
  for (const [name, ours, theirs] of table) {
    console.log(`${name.padEnd(18)} ${shown(ours).padEnd(18)} ${shown(theirs)}`);
  }
}

/** Runs vitest, whose summary is counted by its own line. */
function runVitest(args, variables) {
  return new Promise((resolve) => {
    const child = spawn('npx', ['vitest', 'run', ...args], {
      cwd: repository,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...variables },
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
      process.stdout.write(text);
    });
    child.on('close', (code) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: colors are what is taken out
      const text = output.replace(/\u001b\[[0-9;]*m/g, '');
      const [summary = ''] = text.match(/^ *Tests +\d.*$/m) ?? [];
      let failed = 0;
      for (const [, number, word] of summary.matchAll(/(\d+) (passed|failed|skipped)/g)) {
        totals[word] += Number(number);
        if (word === 'failed') failed = Number(number);
      }
      if (code !== 0 && failed === 0) totals.failed += 1;
      resolve();
    });
  });
}

/** Every fault of the daemon at each of its messages: those of the unit tests, and all others. */
function faults() {
  const args = ['--project', 'unit', 'pslse/faults', '--disable-console-intercept'];
  return runVitest(args, { CXL_FAULTS: 'all' });
}

/** The conformance suite on the AFU in Verilog. */
function conformance(port) {
  return runVitest(['--project', 'pslse', '--reporter=verbose'], {
    CXL_TARGET: 'pslse',
    NODE_CXL_BACKEND: `pslse:127.0.0.1:${port}`,
  });
}

/** What only Node's side is asked: the original programs have no such test. */
async function ownChecks(pslse, psl) {
  for (const [name, check] of Object.entries(checks)) {
    const daemon = await startDaemon(pslse, testAfu(pslse, name));
    try {
      const system = await systemOf(daemon);
      const { passed, why } = await attempt(() => check(system, psl, daemon.port));
      count(passed);
      console.log(`PSL${psl}: ${name}: ${passed ? 'passed' : `FAILED\n${why}\n${daemon.output}`}`);
    } finally {
      await daemon.stop();
    }
  }
}

/** PSLSE's test AFU, for a program with such a name. */
function testAfu(pslse, name) {
  const suffix = name.startsWith('directed') ? '_directed' : '';
  const descriptor = path.join(pslse, `test/afu/afu_descriptor${suffix}.cfg`);
  return [path.join(pslse, 'test/afu/afu'), '32768', descriptor];
}

async function main() {
  const source = process.env.PSLSE_SOURCE;
  if (source === undefined || !fs.existsSync(path.join(source, 'pslse/pslse.c'))) {
    console.log('skipped: PSLSE_SOURCE does not name a folder with the sources of PSLSE');
    totals.skipped += 1;
    return;
  }
  if (!fs.existsSync(path.join(repository, 'dist/pslse/index.js'))) {
    throw new Error('dist/pslse/index.js is missing: npm run build first');
  }
  await stage('programs of this host', () => installPrograms(needed));
  const psl8 = await stage('PSLSE for PSL8', () => buildPslse(source, 8));
  const psl9 = await stage('PSLSE for PSL9', () => buildPslse(source, 9));
  const simulation = await stage('AFU in Verilog', () => buildSimulation(psl8));
  await stage('programs on PSL8', () => comparePrograms(psl8, 8, Object.keys(programs)));
  await stage('programs on PSL9', () => comparePrograms(psl9, 9, ON_PSL9));
  await stage('own checks', async () => {
    await ownChecks(psl8, 8);
    await ownChecks(psl9, 9);
  });
  await stage('faults', faults);
  const daemon = await startDaemon(psl8, [simulation]);
  try {
    await stage('command line', () => commandLine(daemon.port, count));
    await stage('conformance', () => conformance(daemon.port));
  } finally {
    await daemon.stop();
  }
}

await main();
end();
