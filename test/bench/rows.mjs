// What is measured: each entry runs its programs once a round, in turn, and has one or more rows.
// Each of its `variants` runs them in another environment too, and its results are `variant:program`.
// A row compares two values of a round. `less`: the smaller the better, and the bar is the most that
// the ratio may be; else the least.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { AREA_SIZE, c, flashNode, js, node, root } from './programs.mjs';
import { percentile } from './statistics.mjs';

const p = (percent) => (result) => percentile(result.samples, percent);
const value = (result) => result.value;
const field = (name) => (result) => result[name];

function accesses() {
  const row = (label, name, beside, bar) => ({
    label,
    unit: 'ns',
    less: true,
    bar,
    of: ['js', field(name)],
    beside,
  });
  const names = ['read32', 'read64', 'write32', 'write64', 'load64', 'store64', 'load8', 'store8'];
  const call = ['js', field('call')];
  const block = (name) =>
    row(`${name.replace(/(\d+)$/, ', $1 KiB')}, time`, name, ['c', field(name)], 1.11);
  return {
    name: 'mmio',
    programs: { c: c('mmio', node, AREA_SIZE), js: js('mmio') },
    rows: [
      ...names.map((name) => row(`${name} beside an empty call`, name, call, 2.8)),
      row("read64 beside libcxl's guard", 'read64', ['c', field('guardedLoad')], 1),
      row("write64 beside libcxl's guard", 'write64', ['c', field('guardedStore')], 1),
      ...['readBlock4', 'writeBlock4', 'readBlock56', 'writeBlock56'].map(block),
    ],
  };
}

function interrupt(quick) {
  const count = quick ? 1000 : 5000;
  const bars = { wait: [3, 3], iterator: [3, 3], sync: [1.5, 2], 'sync-spin': [1.5, 2], spin: [] };
  const kinds = Object.keys(bars);
  return {
    name: 'interrupt',
    distributions: true,
    programs: {
      c: c('interrupt', node, AREA_SIZE, count),
      ...Object.fromEntries(kinds.map((kind) => [kind, js('interrupt', kind, count)])),
    },
    rows: kinds.flatMap((kind) =>
      [50, 99].map((percent, i) => ({
        label: `interrupt to ${kind}, p${percent}`,
        unit: 'µs',
        less: true,
        bar: bars[kind][i],
        of: [kind, p(percent)],
        beside: ['c', p(percent)],
      })),
    ),
  };
}

function contexts(quick) {
  return [1, 64, 512].map((number) => ({
    name: 'contexts',
    programs: {
      c: c('contexts', node, AREA_SIZE, number, quick ? 0.3 : 1),
      js: js('contexts', number, quick ? 0.3 : 1),
    },
    rows: [
      {
        label: `events of ${number} context${number === 1 ? '' : 's'}`,
        unit: '/s',
        bar: 0.5,
        of: ['js', value],
        beside: ['c', value],
      },
    ],
  }));
}

function waiting() {
  const row = (label, unit, of, rest) => ({ label, unit, less: true, of, ...rest });
  const many = (read) => ['many', read];
  return {
    name: 'waiting',
    programs: { none: js('waiting', 1, 2000), many: js('waiting', 512, 2000) },
    rows: [
      row('threads of 512 contexts that wait', '', many(field('threads'))),
      row('memory of a context that waits', 'bytes', many(field('bytes'))),
      row('fs.readFile beside them, p50', 'µs', many(p(50)), {
        bar: 1.05,
        beside: ['none', p(50)],
      }),
    ],
  };
}

function life(quick) {
  const count = quick ? 50 : 300;
  return {
    name: 'life',
    programs: { c: c('life', node, AREA_SIZE, count), js: js('life', count) },
    rows: [
      {
        label: 'open, attach, map, close',
        unit: 'µs',
        less: true,
        bar: 1.5,
        of: ['js', p(50)],
        beside: ['c', p(50)],
      },
    ],
  };
}

function flash(quick) {
  if (flashNode === undefined) return [];
  const bars = { interrupt: [0.3, 0.5, 0.7], poll: [0.4, 0.7, 0.9] };
  return Object.entries(bars).flatMap(([completion, list]) =>
    [1, 16, 128].map((depth, i) => {
      const words = [flashNode, depth, quick ? 0.3 : 1, completion];
      const row = { unit: '/s', of: ['js', value], beside: ['c', value], depth, completion };
      return {
        name: 'flash',
        programs: { c: c('flash-loop', ...words), js: js('flash', ...words) },
        rows: [{ ...row, label: `flash by ${completion}, depth ${depth}`, bar: list[i] }],
      };
    }),
  );
}

/** The start of a process, which the copy of one byte takes, is no part of the job's rate. */
/** Polling goes on in each turn of the event loop, and must not keep timers from it. */
function flashTimers(quick) {
  if (flashNode === undefined) return [];
  const program = (depth) => js('flash-timers', flashNode, depth, quick ? 0.5 : 2);
  return [
    {
      name: 'flash',
      programs: { idle: program(0), polling: program(128) },
      rows: [
        [50, 1],
        [99, 2],
      ].map(([percent, limit]) => ({
        label: `how late a timer is while flash is polled, depth 128, p${percent}`,
        unit: 'ms',
        less: true,
        limit,
        of: ['polling', p(percent)],
        beside: ['idle', p(percent)],
      })),
    },
  ];
}

function memcpy() {
  const folder = mkdtempSync(path.join(tmpdir(), 'node-cxl-bench-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const [source, one, target] = ['in', 'one', 'out'].map((file) => path.join(folder, file));
  const size = 64 * 2 ** 20;
  writeFileSync(source, Buffer.alloc(size, 'node-cxl'));
  writeFileSync(one, '.');
  const cli = path.join(root, 'dist/cli/main.js');
  const inC = (file) => c('memcpy', node, AREA_SIZE, file, target);
  const byCli = (file) => {
    return [process.execPath, cli, 'memcpy', '--in', file, '--out', target, '--poll'];
  };
  const rate = (milliseconds) => size / 2 ** 20 / (milliseconds / 1000);
  const jobRate = (whole, start) => (results) =>
    rate(results[whole].milliseconds - results[start].milliseconds);
  const wholeRate = ({ milliseconds }) => rate(milliseconds);
  const label = `node-cxl memcpy, ${size / 2 ** 20} MiB`;
  const unit = 'MiB/s';
  return {
    name: 'memcpy',
    programs: { c: inC(source), js: byCli(source), cStart: inC(one), jsStart: byCli(one) },
    rows: [
      { label, unit, bar: 0.8, of: jobRate('js', 'jsStart'), beside: jobRate('c', 'cStart') },
      {
        label: `${label}, with the start of the process`,
        unit,
        of: ['js', wholeRate],
        beside: ['c', wholeRate],
      },
    ],
  };
}

/**
 * Their bars are absolute: milliseconds. The simulated device looks at each path that Node opens, so
 * require() is timed without it. At the first call it makes its directory trees, in C too.
 */
function start() {
  const row = (label, of, limit, rest) => ({ label, unit: 'ms', less: true, limit, of, ...rest });
  const firstInC = (result) => result.samples[0] / 1000;
  return {
    name: 'start',
    programs: { js: js('start'), c: c('life', node, AREA_SIZE, 1) },
    variants: { mock: { NODE_CXL_BACKEND: 'mock', LD_PRELOAD: '' } },
    rows: [
      row("require('node-cxl')", ['mock:js', field('require')], 15),
      row('the first open(); in C with attach, map and close', ['js', field('open')], 10, {
        beside: ['c', firstInC],
      }),
    ],
  };
}

/** The mock beside the addon on the simulated device: no bars. */
function mock(quick) {
  const count = quick ? 200 : 1000;
  const rows = (of, beside, unit, label) => ({
    label: `mock: ${label}`,
    unit,
    less: true,
    of,
    beside,
  });
  return {
    name: 'mock',
    programs: {
      life: js('life', 50),
      event: js('interrupt', 'wait', count),
      access: js('mmio'),
    },
    variants: { mock: { NODE_CXL_BACKEND: 'mock', LD_PRELOAD: '' } },
    rows: [
      rows(['mock:access', field('read64')], ['access', field('read64')], 'ns', 'read64'),
      rows(['mock:life', p(50)], ['life', p(50)], 'µs', 'open, attach, map, close'),
      rows(['mock:event', p(50)], ['event', p(50)], 'µs', 'interrupt to wait, p50'),
    ],
  };
}

/** What a recording costs: a program that is recorded beside itself. No bars. */
function record(quick) {
  const folder = mkdtempSync(path.join(tmpdir(), 'node-cxl-bench-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const names = ['read64', 'write64', 'load64', 'store64', 'interrupt'];
  const accesses = quick ? 100_000 : 1_000_000;
  const row = (label, unit, of, rest) => ({ label: `recording: ${label}`, unit, of, ...rest });
  const replay = (name) => ['replay', field(name)];
  return [
    {
      name: 'record',
      programs: { plain: js('record') },
      variants: { recorded: { NODE_CXL_RECORD: path.join(folder, 'cost.cxlrec') } },
      rows: names.map((name) =>
        row(name, 'ns', ['recorded:plain', field(name)], {
          less: true,
          beside: ['plain', field(name)],
        }),
      ),
    },
    {
      name: 'record',
      programs: { replay: js('record', 'replay', accesses) },
      rows: [
        row('file of a million accesses', 'MB', replay('size'), { less: true }),
        row('replay', 'accesses/s', replay('rate')),
        row(`memory of replaying ${accesses} accesses`, 'MiB', replay('memory'), { less: true }),
      ],
    },
  ];
}

export function entries(quick) {
  return [
    accesses(),
    interrupt(quick),
    ...contexts(quick),
    waiting(),
    life(quick),
    ...flash(quick),
    ...flashTimers(quick),
    memcpy(),
    start(),
    mock(quick),
    ...record(quick),
  ];
}
