/** The data of the page, and how to find things in it. */
import type { PageData } from '../page-data';

export async function readData(): Promise<PageData> {
  const packed = document.getElementById('data')!.textContent ?? '';
  const bytes = Uint8Array.from(atob(packed.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return (await new Response(stream).json()) as PageData;
}

/** The items of one row, by their starts. Nothing in it overlaps, so the ends are in order as well. */
export interface Row {
  readonly items: readonly number[];
  readonly starts: Float64Array;
  readonly ends: Float64Array;
}

export function rowsOf({ rows, items }: PageData): Row[] {
  const lists: number[][] = rows.map(() => []);
  for (const [item, row] of items.row.entries()) lists[row]!.push(item);
  return lists.map((list) => {
    list.sort((a, b) => items.start[a]! - items.start[b]!);
    return {
      items: list,
      starts: Float64Array.from(list, (item) => items.start[item]!),
      ends: Float64Array.from(list, (item) => items.end[item]!),
    };
  });
}

/** The first index whose value is greater than `value`. */
export function after(values: ArrayLike<number>, value: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The item of a row that is nearest to `time`, `reach` away at most. */
export function nearest(row: Row, time: number, reach: number): number | undefined {
  const next = after(row.ends, time - reach);
  let best: number | undefined;
  let least = reach;
  for (let at = next; at < row.items.length && row.starts[at]! <= time + reach; at += 1) {
    const distance = Math.max(row.starts[at]! - time, time - row.ends[at]!, 0);
    if (best === undefined || distance < least) {
      best = row.items[at];
      least = distance;
    }
    if (least === 0) break;
  }
  return best;
}

/** The items with `query` in their name, text or lane, whatever the case, by their starts. */
export function search({ items, texts, rows }: PageData, query: string): number[] {
  const wanted = query.trim().toLowerCase();
  if (wanted === '') return [];
  const matching = texts.map((text) => text.toLowerCase().includes(wanted));
  const lanes = rows.map(({ lane }) => lane.toLowerCase().includes(wanted));
  const found = items.row.flatMap((row, item) =>
    lanes[row] || matching[items.name[item]!] || matching[items.text[item]!] ? [item] : [],
  );
  return found.sort((a, b) => items.start[a]! - items.start[b]!);
}

/** Microseconds with a unit, to a tenth. */
export function timeText(microseconds: number): string {
  const size = Math.abs(microseconds);
  const [value, unit, digits] =
    size < 1000
      ? [microseconds, 'µs', 1]
      : size < 1e6
        ? [microseconds / 1000, 'ms', 4]
        : [microseconds / 1e6, 's', 7];
  return `${Number((value as number).toFixed(digits as number))} ${unit}`;
}
