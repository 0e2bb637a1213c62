// What a Node program pays next to C, row by row: see README.md.
//
//   npm run bench -- [--quick] [--only NAME] [--json FILE] [--plots]
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { environment, hardware, run } from './programs.mjs';
import { entries } from './rows.mjs';
import { percentile, spread } from './statistics.mjs';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    json: { type: 'string' },
    plots: { type: 'boolean', default: false },
  },
});
const ROUNDS = options.quick ? 2 : 5;

/** The programs of an entry take turns, so that what else the machine does meets all of them. */
function measure({ programs, variants = {} }) {
  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const results = {};
    for (const [name, command] of Object.entries(programs)) {
      results[name] = run(command);
      // A program in C knows one device.
      if (!Array.isArray(command)) continue;
      for (const [variant, env] of Object.entries(variants)) {
        results[`${variant}:${name}`] = run(command, { ...environment, ...env });
      }
    }
    rounds.push(results);
  }
  return rounds;
}

/** The values of a row over the rounds: of the one, of the other, and their ratio. */
function judge({ of, beside, bar, limit, less = false, ...rest }, rounds) {
  // Of one program's result, or of a whole round.
  const read = (what) =>
    rounds.map((round) => (typeof what === 'function' ? what(round) : what[1](round[what[0]])));
  const values = read(of);
  const result = { ...rest, less, value: spread(values) };
  const others = beside && read(beside);
  if (limit !== undefined) {
    const met = result.value.median <= limit;
    return { ...result, ...(others && { beside: spread(others) }), limit, met };
  }
  if (others === undefined) return result;
  const ratio = spread(values.map((value, i) => value / others[i]));
  const met = less ? ratio.median <= bar : ratio.median >= bar;
  return { ...result, beside: spread(others), ratio, ...(bar === undefined ? {} : { bar, met }) };
}

const QUANTILES = [1, 5, 10, 25, 50, 75, 90, 95, 99];

/** Of each program's samples, the median over the rounds of each percentile. */
function distributions(rounds) {
  return Object.fromEntries(
    Object.keys(rounds[0]).map((name) => [
      name,
      QUANTILES.map((percent) => ({
        percent,
        value: spread(rounds.map((round) => percentile(round[name].samples, percent))).median,
      })),
    ]),
  );
}

function number(value) {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function shown({ label, unit, value, beside, ratio, less, bar, limit, met }) {
  const most = bar ?? limit;
  return {
    what: label,
    value: `${number(value.median)} ${unit}`,
    beside: beside === undefined ? '' : `${number(beside.median)} ${unit}`,
    ratio: ratio === undefined ? '' : ratio.median.toFixed(2),
    spread: ratio === undefined ? '' : `${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)}`,
    bar: most === undefined ? '' : `${less ? '≤' : '≥'} ${most}${limit ? ` ${unit}` : ''}`,
    met: met === undefined ? '' : met ? 'yes' : 'no',
  };
}

const chosen = entries(options.quick).filter(({ name }) => (options.only ?? name) === name);
if (chosen.length === 0) {
  const names = [...new Set(entries(options.quick).map(({ name }) => name))];
  console.error(`bench: no '${options.only}': ${names.join(', ')}`);
  process.exit(2);
}
const report = {
  device: hardware ? 'hardware' : 'simulated',
  machine: { processors: cpus().length, arch: process.arch, node: process.version },
  rounds: ROUNDS,
  rows: [],
  distributions: {},
};
for (const entry of chosen) {
  const rounds = measure(entry);
  for (const row of entry.rows) report.rows.push({ name: entry.name, ...judge(row, rounds) });
  if (entry.distributions) report.distributions = distributions(rounds);
  console.error(`bench: ${entry.rows.at(-1).label}`);
}
console.table(report.rows.map(shown));
if (options.json !== undefined) {
  writeFileSync(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
}
if (options.plots) {
  const { drawPlots } = await import('./plots.mjs');
  await drawPlots(report);
}
