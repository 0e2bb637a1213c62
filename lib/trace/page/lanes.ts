/** Draws lanes, bars, marks and arrows on a canvas, within the plot of a chart. */
import { PAGE_KINDS, type PageData } from '../page-data';
import { after, type Row } from './model';

export const ROW_HEIGHT = 20;
const BAR_HEIGHT = 14;
/** Pixels that a name needs at least. */
const NAME_WIDTH = 34;
const PADDING = 3;
/** More arrows than this at once would hide what they lead to. */
const MOST_ARROWS = 300;

/** What is seen: the times at the left and right edges, and how far rows are scrolled. */
export interface View {
  readonly from: number;
  readonly to: number;
  /** Pixels of the page. */
  readonly top: number;
}

/** The plot in pixels of the canvas. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface Colors {
  readonly text: string;
  readonly faint: string;
  readonly line: string;
  readonly arrow: string;
  readonly failed: string;
  readonly found: string;
  readonly kinds: Readonly<Record<(typeof PAGE_KINDS)[number], string>>;
}

export class LanePainter {
  /** Of the search. */
  found: ReadonlySet<number> = new Set();
  selected: number | undefined;
  readonly #data: PageData;
  readonly #rows: readonly Row[];
  readonly #colors: Colors;
  /** When the arrows begin. */
  readonly #arrowStarts: Float64Array;
  /** How long the longest arrow is. */
  readonly #longest: number;

  constructor(data: PageData, rows: readonly Row[], colors: Colors) {
    this.#data = data;
    this.#rows = rows;
    this.#colors = colors;
    const { start } = data.items;
    this.#arrowStarts = Float64Array.from(data.arrows, ([from]) => start[from]!);
    this.#longest = data.arrows.reduce(
      (longest, [from, , to]) => Math.max(longest, start[to]! - start[from]!),
      0,
    );
  }

  /** `ratio`: pixels of the canvas for each of the page. */
  paint(context: CanvasRenderingContext2D, box: Box, view: View, ratio: number): void {
    const scale = box.width / (view.to - view.from);
    const x = (time: number) => box.left + (time - view.from) * scale;
    const y = (row: number) => box.top + (row * ROW_HEIGHT - view.top) * ratio;
    const first = Math.max(0, Math.floor(view.top / ROW_HEIGHT));
    const last = Math.min(
      this.#rows.length - 1,
      Math.floor((view.top + box.height / ratio) / ROW_HEIGHT),
    );
    context.save();
    context.font = `${11 * ratio}px system-ui, sans-serif`;
    context.textBaseline = 'middle';
    context.textAlign = 'left';
    this.#paintLabels(context, box, y, first, last, ratio);
    context.beginPath();
    context.rect(box.left, box.top, box.width, box.height);
    context.clip();
    for (let row = first; row <= last; row += 1) {
      this.#paintRow(context, row, y(row), { x, view, scale, ratio });
    }
    this.#paintArrows(context, view, x, y, ratio);
    context.restore();
  }

  #paintLabels(
    context: CanvasRenderingContext2D,
    box: Box,
    y: (row: number) => number,
    first: number,
    last: number,
    ratio: number,
  ): void {
    context.save();
    context.beginPath();
    context.rect(0, box.top, box.left + box.width, box.height);
    context.clip();
    for (let row = first; row <= last; row += 1) {
      const { name } = this.#data.rows[row]!;
      if (name === '') continue;
      context.fillStyle = this.#colors.line;
      context.fillRect(0, y(row), box.left + box.width, ratio);
      context.fillStyle = this.#colors.text;
      context.fillText(name, 8 * ratio, y(row) + (ROW_HEIGHT / 2) * ratio, box.left - 16 * ratio);
    }
    context.restore();
  }

  #paintRow(
    context: CanvasRenderingContext2D,
    row: number,
    top: number,
    {
      x,
      view,
      scale,
      ratio,
    }: { x: (time: number) => number; view: View; scale: number; ratio: number },
  ): void {
    const { items, starts, ends } = this.#rows[row]!;
    const { kind, failed, name } = this.#data.items;
    const y = top + ((ROW_HEIGHT - BAR_HEIGHT) / 2) * ratio;
    const height = BAR_HEIGHT * ratio;
    let at = after(ends, view.from);
    while (at < items.length && starts[at]! <= view.to) {
      const item = items[at]!;
      const left = x(starts[at]!);
      const width = Math.max(x(ends[at]!) - left, 2 * ratio);
      const marked = item === this.selected || this.found.has(item);
      context.fillStyle = failed[item] === 1 ? this.#colors.failed : this.#color(kind[item]!);
      context.fillRect(left, y, width, height);
      if (marked) {
        context.strokeStyle = item === this.selected ? this.#colors.text : this.#colors.found;
        context.lineWidth = 2 * ratio;
        context.strokeRect(left, y, width, height);
      }
      const room = Math.min(left + width, x(view.to)) - Math.max(left, x(view.from));
      if (room >= NAME_WIDTH * ratio) {
        this.#paintName(
          context,
          this.#data.texts[name[item]!]!,
          left,
          x(view.from),
          y,
          room,
          ratio,
        );
      }
      // What would be drawn over the same pixel is left out, unless it was searched for.
      const edge = view.from + (left + width - x(view.from) - ratio) / scale;
      const next = Math.max(after(ends, edge), at + 1);
      if (this.found.size > 0 || this.selected !== undefined) {
        this.#paintFound(context, row, at + 1, next, { x, y, height, ratio });
      }
      at = next;
    }
  }

  /** The items of a row that are left out, where they were searched for or clicked. */
  #paintFound(
    context: CanvasRenderingContext2D,
    row: number,
    from: number,
    to: number,
    {
      x,
      y,
      height,
      ratio,
    }: { x: (time: number) => number; y: number; height: number; ratio: number },
  ): void {
    const { items, starts } = this.#rows[row]!;
    for (let at = from; at < to; at += 1) {
      const item = items[at]!;
      if (item !== this.selected && !this.found.has(item)) continue;
      context.fillStyle = item === this.selected ? this.#colors.text : this.#colors.found;
      context.fillRect(x(starts[at]!), y, 2 * ratio, height);
      if (item !== this.selected) return;
    }
  }

  #paintName(
    context: CanvasRenderingContext2D,
    name: string,
    left: number,
    edge: number,
    y: number,
    room: number,
    ratio: number,
  ): void {
    const space = room - 2 * PADDING * ratio;
    const length = context.measureText(name).width;
    const letters = Math.floor((name.length * space) / length);
    const shown = length <= space ? name : `${name.slice(0, Math.max(letters - 1, 0))}…`;
    context.fillStyle = '#ffffff';
    const at = Math.max(left, edge) + PADDING * ratio;
    context.fillText(shown, at, y + (BAR_HEIGHT / 2) * ratio + ratio);
  }

  #paintArrows(
    context: CanvasRenderingContext2D,
    view: View,
    x: (time: number) => number,
    y: (row: number) => number,
    ratio: number,
  ): void {
    const { arrows, items } = this.#data;
    const first = after(this.#arrowStarts, view.from - this.#longest - 1);
    const end = after(this.#arrowStarts, view.to);
    const few = end - first <= MOST_ARROWS;
    for (let at = first; at < end; at += 1) {
      const steps = arrows[at]!;
      const chosen = this.selected !== undefined && steps.includes(this.selected);
      if ((!few && !chosen) || items.end[steps[2]]! < view.from) continue;
      context.strokeStyle = this.#colors.arrow;
      context.fillStyle = this.#colors.arrow;
      context.lineWidth = (chosen ? 2.5 : 1.2) * ratio;
      const points = steps.map(
        (item) => [x(items.start[item]!), y(items.row[item]! + 0.5)] as const,
      );
      paintArrow(context, points, ratio);
    }
  }

  #color(kind: number): string {
    return this.#colors.kinds[PAGE_KINDS[kind]!];
  }
}

/** A line through the points, each part with a head at its end. */
function paintArrow(
  context: CanvasRenderingContext2D,
  points: readonly (readonly [number, number])[],
  ratio: number,
): void {
  const size = 4 * ratio;
  for (const [index, [toX, toY]] of points.entries()) {
    if (index === 0) continue;
    const [fromX, fromY] = points[index - 1]!;
    const angle = Math.atan2(toY - fromY, toX - fromX);
    context.beginPath();
    context.moveTo(fromX, fromY);
    context.lineTo(toX, toY);
    context.stroke();
    context.beginPath();
    context.moveTo(toX, toY);
    for (const side of [-0.45, 0.45]) {
      context.lineTo(
        toX - 2 * size * Math.cos(angle + side),
        toY - 2 * size * Math.sin(angle + side),
      );
    }
    context.closePath();
    context.fill();
  }
}
