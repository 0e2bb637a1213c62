/** A trace as one page that needs no network: the template with the data put in. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { deflateRawSync } from 'node:zlib';
import type { TraceEntry } from './entry';
import { formatEntryCall } from './format';
import { PAGE_KINDS, type PageData } from './page-data';
import { sliceName } from './perfetto';
import { Timeline, type TimelineItem } from './timeline';
import type { Trace } from './trace';

/** Where the template has the data and the script. */
const DATA = '<!--DATA-->';
const SCRIPT = '/*SCRIPT*/';

/** The page, with the entries of `trace` that are wanted. */
export function htmlPage(trace: Trace, entries: Iterable<TraceEntry>): string {
  const packed = deflateRawSync(JSON.stringify(pageData(trace, entries))).toString('base64');
  const element = `<script type="application/octet-stream" id="data">${packed}</script>`;
  // Within a script element, its end tag would end it.
  const script = part('page.js').replaceAll('</script', '<\\/script');
  return part('page.html')
    .replace(DATA, () => element)
    .replace(SCRIPT, () => script);
}

function part(name: string): string {
  return readFileSync(path.join(__dirname, name), 'utf8');
}

function pageData(trace: Trace, entries: Iterable<TraceEntry>): PageData {
  const timeline = new Timeline();
  const items: TimelineItem[] = [];
  const arrows: (readonly [number, number, number])[] = [];
  for (const step of timeline.add(entries)) {
    items.push(...step.items);
    for (const { from, over, to } of step.arrows) arrows.push([from.index, over.index, to.index]);
  }
  const several = trace.threads.length > 1;
  const lanes = [...timeline.lanes].sort(
    (a, b) => a.thread.index - b.thread.index || a.index - b.index,
  );
  const firstRow = new Map<number, number>();
  const rows: PageData['rows'][number][] = [];
  for (const lane of lanes) {
    firstRow.set(lane.index, rows.length);
    const name = several ? `${lane.thread.name} ${lane.name}` : lane.name;
    const { path: file = '' } = lane.thread;
    for (let row = 0; row < timeline.rowsOf(lane); row += 1) {
      rows.push({ name: row === 0 ? name : '', lane: name, file });
    }
  }
  const texts = new Texts();
  const column = (value: (item: TimelineItem) => number) => items.map(value);
  return {
    title: trace.threads[0]!.header.argv.join(' '),
    started: trace.started,
    end: timeline.end,
    rows,
    items: {
      row: column(({ lane, row }) => firstRow.get(lane.index)! + row),
      start: column(({ start }) => start),
      end: column(({ end }) => end),
      kind: column(({ kind }) => PAGE_KINDS.indexOf(kind)),
      name: column(({ entry, kind }) => texts.add(sliceName(entry, kind))),
      text: column(({ entry }) => texts.add(formatEntryCall(entry))),
      failed: column(({ entry }) => (entry.error === undefined ? 0 : 1)),
      duration: column(({ entry }) => entry.duration ?? -1),
      offset: column(({ entry }) => entry.place.offset),
      record: column(({ entry }) => entry.place.number),
    },
    texts: texts.list,
    arrows,
    problems: trace.problems.map(({ path: file, message }) => `${file}: ${message}`),
  };
}

/** Texts that many items have, once each. */
class Texts {
  readonly list: string[] = [];
  readonly #indexes = new Map<string, number>();

  add(text: string): number {
    const known = this.#indexes.get(text);
    if (known !== undefined) return known;
    this.#indexes.set(text, this.list.length);
    return this.list.push(text) - 1;
  }
}
