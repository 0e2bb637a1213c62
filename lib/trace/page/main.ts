/** The page of a trace: a uPlot chart of which the time axis, cursor and zoom are used. */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import './page.css';
import { PAGE_KINDS, type PageData } from '../page-data';
import { type Colors, LanePainter, ROW_HEIGHT } from './lanes';
import { nearest, type Row, readData, rowsOf, search, timeText } from './model';

/** Pixels of the names of lanes. */
const LABELS = 190;
const AXIS = 34;
/** Pixels from a mark in which a click is meant for it. */
const REACH = 5;
/** Microseconds: no more is magnified. */
const LEAST = 2;

function element<Kind extends HTMLElement = HTMLElement>(id: string): Kind {
  return document.getElementById(id) as Kind;
}

function colors(): Colors {
  const style = getComputedStyle(document.body);
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  return {
    text: style.color,
    faint: dark ? '#8f98a3' : '#6a737d',
    line: dark ? '#2b2f37' : '#e3e6ea',
    arrow: dark ? '#f0883e' : '#bc4c00',
    failed: '#cf222e',
    found: dark ? '#f2cc60' : '#d4a72c',
    kinds: {
      call: '#3572b0',
      access: '#5b8c5a',
      memory: '#8a63b8',
      event: '#d0711c',
      delivery: '#b8860b',
      note: '#7d8590',
    },
  };
}

/** The timeline, and what the user does with it. */
class TracePage {
  readonly #data: PageData;
  readonly #rows: readonly Row[];
  readonly #painter: LanePainter;
  readonly #chart: uPlot;
  readonly #scroller = element('scroller');
  #matches: readonly number[] = [];
  #match = -1;

  constructor(data: PageData) {
    this.#data = data;
    this.#rows = rowsOf(data);
    const palette = colors();
    this.#painter = new LanePainter(data, this.#rows, palette);
    this.#chart = this.#newChart(palette);
    this.#describe(palette);
    this.#listen();
  }

  #newChart(palette: Colors): uPlot {
    const { end } = this.#data;
    const options: uPlot.Options = {
      ...this.#size(),
      legend: { show: false },
      padding: [0, 8, 0, 0],
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, dist: 4 } },
      scales: { x: { time: false, range: (_, from, to) => [from, to] }, y: { range: [0, 1] } },
      series: [{}, { show: false }],
      axes: [
        {
          side: 0,
          size: AXIS,
          stroke: palette.faint,
          grid: { stroke: palette.line, width: 1 },
          ticks: { stroke: palette.line, width: 1 },
          values: (_, splits) => splits.map(timeText),
          space: 110,
        },
        { size: LABELS, values: () => [], grid: { show: false }, ticks: { show: false } },
      ],
      hooks: { draw: [(chart) => this.#draw(chart)] },
    };
    const margin = end * 0.01;
    return new uPlot(
      options,
      [
        [-margin, end + margin],
        [0, 0],
      ],
      element('chart'),
    );
  }

  #size() {
    const { clientWidth: width, clientHeight: height } = this.#scroller;
    const space = this.#data.rows.length * ROW_HEIGHT + AXIS;
    element('space').style.height = `${Math.max(space, height)}px`;
    return { width, height };
  }

  #draw(chart: uPlot): void {
    const { min = 0, max = 0 } = chart.scales['x']!;
    if (max <= min) return;
    const view = { from: min, to: max, top: this.#scroller.scrollTop };
    this.#painter.paint(chart.ctx, chart.bbox, view, uPlot.pxRatio);
    // What is seen, for scripts.
    Object.assign(element('chart').dataset, { from: min, to: max });
  }

  #describe(palette: Colors): void {
    const { title, started, end, items, problems } = this.#data;
    document.title = `node-cxl trace: ${title}`;
    element('title').textContent = title;
    const count = items.row.length.toLocaleString('en');
    element('facts').textContent =
      `${new Date(started).toISOString()}, ${timeText(Math.round(end))}, ${count} items`;
    element('problems').hidden = problems.length === 0;
    element('problems').textContent = problems.join('\n');
    const legend: readonly (readonly [string, string])[] = [
      ...PAGE_KINDS.map((kind) => [kind, palette.kinds[kind]] as const),
      ['failed', palette.failed],
      ['event to delivery to next call', palette.arrow],
    ];
    for (const [text, color] of legend) {
      const box = document.createElement('i');
      box.style.background = color;
      element('legend').append(box, text);
    }
  }

  #listen(): void {
    const chart = this.#chart;
    this.#scroller.addEventListener('scroll', () => chart.redraw(false), { passive: true });
    this.#scroller.addEventListener('wheel', (event) => this.#onWheel(event), { passive: false });
    addEventListener('resize', () => chart.setSize(this.#size()));
    new ResizeObserver(() => chart.setSize(this.#size())).observe(this.#scroller);
    chart.over.addEventListener('click', (event) => this.#onClick(event));
    // uPlot zooms out to its data by a double click.
    addEventListener('keydown', (event) => this.#onKey(event));
    element('in').addEventListener('click', () => this.#zoom(0.5));
    element('out').addEventListener('click', () => this.#zoom(2));
    element('all').addEventListener('click', () => this.#showAll());
    element('search').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#step(1);
    });
    element('previous').addEventListener('click', () => this.#step(-1));
    element('query').addEventListener('input', () => this.#search());
    element('query').addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || !event.shiftKey) return;
      event.preventDefault();
      this.#step(-1);
    });
  }

  get #view(): readonly [from: number, to: number] {
    const { min = 0, max = 1 } = this.#chart.scales['x']!;
    return [min, max];
  }

  #show(from: number, to: number): void {
    const { end } = this.#data;
    const margin = end * 0.01 + 1;
    const length = Math.min(Math.max(to - from, LEAST), end + 2 * margin);
    const start = Math.min(Math.max(from, -margin), end + margin - length);
    this.#chart.setScale('x', { min: start, max: start + length });
  }

  #showAll(): void {
    this.#show(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY);
  }

  /** `share` of the plot, from the left, stays where it is. */
  #zoom(factor: number, share = 0.5): void {
    const [from, to] = this.#view;
    const length = Math.max((to - from) * factor, LEAST);
    const start = from + (to - from - length) * share;
    this.#show(start, start + length);
  }

  #move(share: number): void {
    const [from, to] = this.#view;
    const shift = (to - from) * share;
    this.#show(from + shift, to + shift);
  }

  #onWheel(event: WheelEvent): void {
    const { left, width } = this.#chart.over.getBoundingClientRect();
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.#zoom(1.0015 ** event.deltaY, Math.min(Math.max((event.clientX - left) / width, 0), 1));
    } else if (sideways !== 0) {
      event.preventDefault();
      this.#move(sideways / width);
    }
  }

  #onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if ((event.target as HTMLElement).tagName === 'INPUT') return;
    const { key } = event;
    if (key === 'w' || key === '+') this.#zoom(0.7);
    else if (key === 's' || key === '-') this.#zoom(1 / 0.7);
    else if (key === 'a' || key === 'ArrowLeft') this.#move(-0.15);
    else if (key === 'd' || key === 'ArrowRight') this.#move(0.15);
    else if (key === '0') this.#showAll();
    else if (key === 'n') this.#step(1);
    else if (key === 'N') this.#step(-1);
    else if (key === '/') element('query').focus();
    else if (key === 'Escape') this.#select(undefined);
    else return;
    event.preventDefault();
  }

  #onClick(event: MouseEvent): void {
    const { left, top, width } = this.#chart.over.getBoundingClientRect();
    const [from, to] = this.#view;
    const scale = (to - from) / width;
    const time = from + (event.clientX - left) * scale;
    const row =
      this.#rows[Math.floor((event.clientY - top + this.#scroller.scrollTop) / ROW_HEIGHT)];
    this.#select(row === undefined ? undefined : nearest(row, time, REACH * scale));
  }

  #select(item: number | undefined): void {
    this.#painter.selected = item;
    this.#chart.redraw(false);
    const list = element('details');
    list.replaceChildren();
    list.hidden = item === undefined;
    if (item === undefined) return;
    for (const [name, value] of this.#facts(item)) {
      const term = document.createElement('dt');
      const text = document.createElement('dd');
      term.textContent = name;
      text.textContent = value;
      list.append(term, text);
    }
  }

  #facts(item: number): (readonly [string, string])[] {
    const { items, texts, rows, arrows } = this.#data;
    const { lane, file } = rows[items.row[item]!]!;
    const duration = items.duration[item]!;
    const arrow = arrows.find((steps) => steps.includes(item));
    return [
      ['call', texts[items.text[item]!]!],
      ['context', lane],
      ['time', timeText(Math.floor(items.start[item]!))],
      ['duration', duration < 0 ? 'not known' : timeText(duration)],
      ...(arrow === undefined ? [] : [['reaction', this.#reaction(arrow)] as const]),
      ['record', `${items.record[item]} in the block at byte ${items.offset[item]} of ${file}`],
    ];
  }

  #reaction([from, , to]: readonly [number, number, number]): string {
    const { items, texts } = this.#data;
    const latency = timeText(Math.round(items.start[to]! - items.start[from]!));
    return `from ${texts[items.name[from]!]} to ${texts[items.name[to]!]}: ${latency}`;
  }

  #search(): void {
    this.#matches = search(this.#data, element<HTMLInputElement>('query').value);
    this.#match = -1;
    this.#painter.found = new Set(this.#matches);
    this.#showMatch();
    this.#chart.redraw(false);
  }

  #step(by: 1 | -1): void {
    const { length } = this.#matches;
    if (length === 0) return;
    const start = this.#match < 0 && by < 0 ? 0 : this.#match;
    this.#match = (start + by + length) % length;
    const item = this.#matches[this.#match]!;
    this.#reveal(item);
    this.#select(item);
    this.#showMatch();
  }

  #showMatch(): void {
    const { length } = this.#matches;
    const empty = element<HTMLInputElement>('query').value.trim() === '';
    const place = this.#match < 0 ? '' : `${this.#match + 1} of `;
    element('matches').textContent = empty
      ? ''
      : `${place}${length} match${length === 1 ? '' : 'es'}`;
  }

  /** Moves the view to an item that is outside of it. */
  #reveal(item: number): void {
    const { row, start, end } = this.#data.items;
    const [from, to] = this.#view;
    const length = to - from;
    if (end[item]! < from || start[item]! > to) {
      this.#show(start[item]! - length / 2, start[item]! + length / 2);
    }
    const top = row[item]! * ROW_HEIGHT;
    const { scrollTop, clientHeight } = this.#scroller;
    if (top < scrollTop || top + ROW_HEIGHT > scrollTop + clientHeight - AXIS) {
      this.#scroller.scrollTop = top - clientHeight / 2;
    }
  }
}

readData().then(
  (data) => new TracePage(data),
  (error: Error) => {
    element('problems').hidden = false;
    element('problems').textContent = `The page cannot read its data: ${error.message}`;
  },
);
