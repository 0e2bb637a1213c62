// Draws the plots of this folder from the bench's JSON, by Vega-Lite.
//
//   node test/bench/plots.mjs FILE.json
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parse, View } from 'vega';
import { compile } from 'vega-lite';

const here = path.dirname(fileURLToPath(import.meta.url));
const COMMON = {
  width: 480,
  height: 280,
  background: 'white',
  config: { legend: { labelLimit: 300 } },
};

async function draw(name, spec) {
  const view = new View(parse(compile({ ...COMMON, ...spec }).spec), { renderer: 'none' });
  writeFileSync(path.join(here, `${name}.svg`), `${await view.toSVG()}\n`);
}

function latency(distributions) {
  const values = Object.entries(distributions).flatMap(([kind, points]) =>
    points.map(({ percent, value }) => ({
      kind: kind === 'c' ? 'C: poll, read' : kind,
      percent,
      value,
    })),
  );
  return {
    title: 'From an interrupt to the end of the wait',
    data: { values },
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'value', type: 'quantitative', title: 'µs', scale: { type: 'log' } },
      y: { field: 'percent', type: 'quantitative', title: 'percentile' },
      color: { field: 'kind', type: 'nominal', title: 'wait' },
      order: { field: 'percent' },
    },
  };
}

function rates(rows) {
  const values = rows.flatMap(({ depth, completion, value, beside }) => [
    { depth, rate: value.median, program: `node-cxl by ${completion}` },
    { depth, rate: beside.median, program: `C by ${completion}` },
  ]);
  return {
    title: 'Flash: single-block reads a second',
    data: { values },
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'depth', type: 'quantitative', title: 'depth', scale: { type: 'log', base: 2 } },
      y: {
        field: 'rate',
        type: 'quantitative',
        title: 'commands a second',
        scale: { type: 'log' },
      },
      color: { field: 'program', type: 'nominal', title: 'program' },
    },
  };
}

/** Of a report of run.mjs: what it has. */
export async function drawPlots({ rows, distributions }) {
  if (Object.keys(distributions).length > 0) await draw('latency', latency(distributions));
  const flash = rows.filter(({ name, depth }) => name === 'flash' && depth !== undefined);
  if (flash.length > 0) await draw('flash', rates(flash));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await drawPlots(JSON.parse(readFileSync(process.argv[2], 'utf8')));
}
