// Runs soaks: `npm run soak [NAME…] -- --minutes N --seed S`. See README.md.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { root } from '../../lib/build/files.mjs';
import { prepared, tools } from '../addon/sanitizers/prepare.mjs';
import { buildThemes, folder } from './build.mjs';

/** The targets and modes of each theme, and the environment that the simulated device gets. */
const THEMES = {
  'life-cycle': { targets: ['mock', 'simulated'], environment: { CXLSIM_PROCESSES: '12' } },
  events: { targets: ['mock', 'simulated'] },
  registers: { targets: ['mock', 'simulated'] },
  memory: { targets: ['mock', 'simulated'], program: 'memory' },
  processes: { targets: ['mock', 'simulated'] },
  chaos: { targets: ['mock', 'simulated'], modes: ['bare-metal', 'guest'] },
  flash: { targets: ['mock', 'simulated'], modes: ['ioarrin', 'squeue'], program: 'flash' },
  doe: { targets: ['mock'] },
  mock: { targets: ['mock'] },
  'command-line': { targets: ['mock', 'simulated'] },
};
/** Milliseconds without output after which a soak counts as hung: each prints every 5 s. */
const SILENCE = 60_000;

const usage = `usage: npm run soak [NAME…] -- [--minutes N] [--seed S] [--target mock|simulated] [--mode MODE] [--jobs N]
         [--under ${tools.join('|')}] [--json FILE]
themes: ${Object.keys(THEMES).join(', ')}`;

function wrong(what) {
  console.error(`${what}\n${usage}`);
  process.exit(2);
}

function options() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        minutes: { type: 'string', default: '1' },
        seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 32)) },
        target: { type: 'string' },
        mode: { type: 'string' },
        jobs: { type: 'string', default: '1' },
        under: { type: 'string' },
        json: { type: 'string' },
      },
    });
  } catch (error) {
    return wrong(error.message);
  }
}

const { values, positionals } = options();
const minutes = Number(values.minutes);
const jobs = Number(values.jobs);
const { seed, under } = values;
const names = positionals.length === 0 ? Object.keys(THEMES) : positionals;
for (const name of names) {
  if (!(name in THEMES)) wrong(`there is no theme ${name}`);
}
if (!(minutes > 0)) wrong('--minutes is a number above 0');
if (!/^\d+$/.test(seed)) wrong('--seed is a number');
if (!Number.isInteger(jobs) || jobs < 1) wrong('--jobs is a number from 1');
if (under !== undefined && !tools.includes(under)) wrong(`--under is one of ${tools.join(', ')}`);

/** What is to be run: each theme over each of its targets in each of its modes, unless one is named. */
const runs = names.flatMap((name) => {
  const { targets, modes = [undefined] } = THEMES[name];
  const target = under === undefined ? values.target : 'simulated';
  return targets
    .filter((each) => target === undefined || each === target)
    .flatMap((each) =>
      modes
        .filter((mode) => values.mode === undefined || mode === undefined || mode === values.mode)
        .map((mode) => ({ name, target: each, mode })),
    );
});
if (runs.length === 0) wrong('no theme has such a target and mode');

/** The command that repeats a run. */
function again({ name, target, mode }) {
  return [
    `npm run soak ${name} -- --minutes ${minutes} --seed ${seed} --target ${target}`,
    ...(mode === undefined ? [] : [`--mode ${mode}`]),
    ...(under === undefined ? [] : [`--under ${under}`]),
  ].join(' ');
}

/** What runs the theme: a program, its arguments and its environment. */
function command({ name, target, mode }) {
  const { program, environment } = THEMES[name];
  const library = path.join(root, 'test/simulated-device/build/libcxlsim.so');
  const tool = under === undefined ? undefined : prepared(under);
  const variables = {
    NODE_OPTIONS: '',
    ...(mode === 'guest' && { CXL_FLAVOR: 'guest' }),
    ...(target === 'simulated' && {
      LD_PRELOAD: library,
      ...environment,
      ...(mode === 'guest' && { CXLSIM_FLAVOR: 'guest' }),
    }),
    ...(tool !== undefined && { ...tool.environment, SOAK_UNDER: under }),
  };
  const own = [String(minutes * 60_000), seed, target, ...(mode === undefined ? [] : [mode])];
  const file =
    program === undefined
      ? [path.join(folder, 'main.mjs'), name, ...own]
      : [path.join(folder, program, 'main.mjs'), ...own];
  // By env, so that a launcher before it is not run with the preloaded libraries.
  const set = Object.entries(variables).map(([variable, value]) => `${variable}=${value}`);
  return [
    ...(tool?.launcher ?? []),
    'env',
    ...set,
    ...(tool?.inner ?? []),
    process.execPath,
    '--expose-gc',
    ...file,
  ];
}

/** Runs one, and prints what it prints; its report, with what went wrong. */
function soak(run) {
  const label = [run.name, run.target, run.mode, under].filter(Boolean).join(' ');
  const say = (line) => console.log(jobs > 1 ? `[${label}] ${line}` : line);
  say(`soak: ${again(run)}`);
  const [program, ...rest] = command(run);
  const begin = performance.now();
  return new Promise((resolve) => {
    const child = spawn(program, rest, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let report;
    let silent = false;
    let errors = '';
    let timer;
    const listen = () => {
      clearTimeout(timer);
      timer = setTimeout(
        () => {
          silent = true;
          child.kill('SIGKILL');
        },
        under === undefined ? SILENCE : 10 * SILENCE,
      );
    };
    listen();
    let rest_ = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      listen();
      const lines = (rest_ + text).split('\n');
      rest_ = lines.pop();
      for (const line of lines) {
        if (line.startsWith('SOAK ')) report = JSON.parse(line.slice(5));
        else say(line);
      }
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      errors += text;
      if (under === undefined) process.stderr.write(text);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const found = under === undefined ? [] : prepared(under).judge(errors);
      let violation = report?.violation;
      if (silent) {
        violation = `hangs: no output for ${SILENCE / 1000} s, the event loop included`;
      } else if (code !== 0 || report === undefined) {
        violation ??= `ended by ${signal ?? `exit code ${code}`}`;
        if (under !== undefined) console.error(errors);
      }
      if (found.length > 0) violation = found.join('\n');
      const seconds = Math.round((performance.now() - begin) / 1000);
      resolve({
        ...report,
        ...run,
        under,
        seed: Number(seed),
        seconds,
        outcome: violation === undefined ? 'ok' : 'violation',
        violation,
        repeat: again(run),
      });
    });
  }).then((report) => {
    const { counts = {}, before, after, outcome, violation } = report;
    const shown = (object) =>
      Object.entries(object)
        .map(([name, value]) => `${name} ${value}`)
        .join(', ');
    say(`counts: ${shown(counts)}`);
    if (before !== undefined) say(`before: ${shown(before)}`);
    if (after !== undefined) say(`after: ${shown(after)}`);
    say(`${label}: ${outcome}, ${report.seconds} s, seed ${seed}`);
    if (violation !== undefined) {
      console.error(`[${label}] ${violation}\n[${label}] failed; to repeat: ${again(run)}`);
    }
    return report;
  });
}

await buildThemes();
const reports = [];
const queue = [...runs];
await Promise.all(
  Array.from({ length: jobs }, async () => {
    for (let run = queue.shift(); run !== undefined; run = queue.shift()) {
      reports.push(await soak(run));
      // One that failed ends them all.
      if (reports.at(-1).outcome !== 'ok') queue.length = 0;
    }
  }),
);
if (values.json !== undefined) {
  writeFileSync(
    values.json,
    `${JSON.stringify({ minutes, seed: Number(seed), reports }, null, 2)}\n`,
  );
}
const failed = reports.filter(({ outcome }) => outcome !== 'ok').length;
console.log(`${reports.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
