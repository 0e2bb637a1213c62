/** What the page of a trace shows: filled in by html.ts, drawn by the script in page/. */

export const PAGE_KINDS = ['call', 'access', 'memory', 'event', 'delivery', 'note'] as const;

/** Each item has the same index in all columns. Times are in microseconds since `started`. */
export interface PageItems {
  /** The row on the page. */
  readonly row: readonly number[];
  readonly start: readonly number[];
  readonly end: readonly number[];
  /** The index in PAGE_KINDS. */
  readonly kind: readonly number[];
  /** What stands on it: an index in `texts`. */
  readonly name: readonly number[];
  /** The call with its arguments and result: an index in `texts`. */
  readonly text: readonly number[];
  /** 1: it failed. */
  readonly failed: readonly number[];
  /** Microseconds; -1: not known. */
  readonly duration: readonly number[];
  /** Where its record is: bytes from the start of the file, and the number. */
  readonly offset: readonly number[];
  readonly record: readonly number[];
}

export interface PageData {
  /** The command line of the program. */
  readonly title: string;
  /** Milliseconds since 1970. */
  readonly started: number;
  /** Microseconds. */
  readonly end: number;
  /** A lane has one row or several. The name is that of its lane, and empty in further rows. */
  readonly rows: readonly { readonly name: string; readonly lane: string; readonly file: string }[];
  readonly texts: readonly string[];
  readonly items: PageItems;
  /** The items: an event, its delivery, the next call. By the start of the event. */
  readonly arrows: readonly (readonly [from: number, over: number, to: number])[];
  /** What of the recording could not be read. */
  readonly problems: readonly string[];
}
