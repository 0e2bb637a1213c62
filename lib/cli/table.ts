/** Tables for people, as wide as the terminal at most. */
import Table from 'cli-table3';
import { type DataValue, inline, words } from './output';

/** Columns narrower than this are not made narrower still. */
const MIN_WIDTH = 5;

/**
 * The width of the terminal; no limit where standard output is a file or a pipe, or a terminal that
 * does not know its width, as a serial console does not.
 */
function terminalWidth(): number {
  return process.stdout.columns || Number.POSITIVE_INFINITY;
}

function longestLine(text: string): number {
  return Math.max(...text.split('\n').map((line) => line.length));
}

/** Wraps lines longer than `width`, between words where there is a space. */
export function wrap(text: string, width: number): string {
  return text
    .split('\n')
    .flatMap((line) => wrapLine(line, width))
    .join('\n');
}

function wrapLine(line: string, width: number): string[] {
  const lines: string[] = [];
  let rest = line;
  while (rest.length > width) {
    const space = rest.lastIndexOf(' ', width);
    const end = space > 0 ? space : width;
    lines.push(rest.slice(0, end));
    rest = rest.slice(end).trimStart();
  }
  return [...lines, rest];
}

/** The widths of columns that are `natural` wide, made narrower until they fit `available`. */
function fit(natural: readonly number[], available: number): number[] {
  const widths = [...natural];
  for (;;) {
    const sum = widths.reduce((total, each) => total + each, 0);
    const widest = Math.max(...widths);
    if (sum <= available || widest <= MIN_WIDTH) return widths;
    widths[widths.indexOf(widest)] = widest - 1;
  }
}

/** `overhead`: what borders take of the width. */
function wrapped(rows: string[][], width: number, overhead: number): string[][] {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const natural = Array.from({ length: columns }, (_, at) =>
    Math.max(...rows.map((row) => longestLine(row[at] ?? ''))),
  );
  const widths = fit(natural, width - overhead);
  return rows.map((row) => row.map((cell, at) => wrap(cell, widths[at] ?? width)));
}

/** A table with a heading and borders. */
export function table(
  head: readonly string[],
  rows: readonly (readonly DataValue[])[],
  width = terminalWidth(),
): string {
  const cells = [[...head], ...rows.map((row) => row.map(inline))];
  const [heading = [], ...body] = wrapped(cells, width, 3 * head.length + 1);
  const made = new Table({ head: heading, style: { head: [], border: [] } });
  made.push(...body);
  return made.toString();
}

/** An object as a table without borders: a row for each property. */
export function properties(
  data: { readonly [key: string]: DataValue },
  width = terminalWidth(),
): string {
  const rows = Object.entries(data).map(([key, value]) => {
    const listed = Array.isArray(value) && value.some((each) => typeof each === 'object');
    return [words(key), listed ? value.map(inline).join('\n') : inline(value)];
  });
  const longest = Math.max(0, ...rows.map(([key = '']) => key.length));
  const indent = ' '.repeat(longest + 2);
  return rows
    .map(([key = '', value = '']) => {
      const room = Math.max(MIN_WIDTH, width - longest - 2);
      return `${key.padEnd(longest)}  ${wrap(value, room).replaceAll('\n', `\n${indent}`)}`;
    })
    .join('\n');
}

/** Facts separated by commas after a prefix; further lines begin with `indent`. */
export function facts(
  prefix: string,
  list: readonly string[],
  indent: string,
  width = terminalWidth(),
): string {
  const room = Math.max(MIN_WIDTH, width - Math.max(prefix.length, indent.length));
  return `${prefix}${wrap(list.join(', '), room).replaceAll('\n', `\n${indent}`)}`;
}
