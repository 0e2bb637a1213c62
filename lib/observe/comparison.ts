/** Two lists compared line by line: calls with the patterns that were expected. */
import type { Call } from './call';
import { formatCall } from './format';
import { type CallPattern, differences, formatPattern } from './pattern';

/**
 * Compares calls with the patterns expected of them, in order. Undefined when they match; else text
 * with a line for each: ` ` a call as expected, `-` one that was expected and did not happen, `+`
 * one that happened and was not expected. Where one stands beside the other, it says in what they
 * differ.
 */
export function compareCalls(
  calls: readonly Call[],
  patterns: readonly CallPattern[],
): string | undefined {
  let same = 0;
  while (same < calls.length && same < patterns.length && isMatch(calls[same]!, patterns[same]!)) {
    same += 1;
  }
  if (same === calls.length && same === patterns.length) return undefined;
  const shown = Math.max(0, same - LINES_BEFORE);
  const before = shown === 0 ? [] : [`  (${shown} calls as expected)`];
  const context = calls.slice(shown, same).map((call) => `  ${formatCall(call)}`);
  const differing = compareFrom(
    calls.slice(same, same + LINES),
    patterns.slice(same, same + LINES),
  );
  const left = Math.max(calls.length, patterns.length) - same - LINES;
  const after = left > 0 ? [`  (${left} more)`] : [];
  return [...before, ...context, ...differing, ...after].join('\n');
}

/** How many calls that match are shown before the first difference, and how many lines after it. */
const LINES_BEFORE = 3;
const LINES = 200;

function isMatch(call: Call, pattern: CallPattern): boolean {
  return differences(call, pattern).length === 0;
}

function compareFrom(calls: readonly Call[], patterns: readonly CallPattern[]): string[] {
  const matched = (row: number, column: number) => isMatch(calls[row]!, patterns[column]!);
  const lengths = commonLengths(calls.length, patterns.length, matched);
  const lines: string[] = [];
  let row = 0;
  let column = 0;
  while (row < calls.length || column < patterns.length) {
    if (row < calls.length && column < patterns.length && matched(row, column)) {
      lines.push(`  ${formatCall(calls[row]!)}`);
      row += 1;
      column += 1;
    } else if (
      row === calls.length ||
      (column < patterns.length && lengths[row]![column + 1]! >= lengths[row + 1]![column]!)
    ) {
      lines.push(`- ${formatPattern(patterns[column]!)}`);
      // The call in its place, unless that is one of those expected later.
      if (row < calls.length && lengths[row]![column]! === lengths[row + 1]![column + 1]!) {
        lines.push(`+ ${formatCall(calls[row]!)}`);
        lines.push(`    ${differences(calls[row]!, patterns[column]!).join('; ')}`);
        row += 1;
      }
      column += 1;
    } else {
      lines.push(`+ ${formatCall(calls[row]!)}`);
      row += 1;
    }
  }
  return lines;
}

/** For each pair of starts, the length of the longest common subsequence from there on. */
function commonLengths(
  rows: number,
  columns: number,
  matched: (row: number, column: number) => boolean,
): number[][] {
  const lengths = Array.from({ length: rows + 1 }, () => new Array<number>(columns + 1).fill(0));
  for (let row = rows - 1; row >= 0; row -= 1) {
    for (let column = columns - 1; column >= 0; column -= 1) {
      lengths[row]![column] = matched(row, column)
        ? lengths[row + 1]![column + 1]! + 1
        : Math.max(lengths[row + 1]![column]!, lengths[row]![column + 1]!);
    }
  }
  return lengths;
}
