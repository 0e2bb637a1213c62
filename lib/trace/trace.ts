/** A recording with all its files, read as one trace. */
import path from 'node:path';
import {
  type RecordedEntry,
  type Recording,
  type RecordingProblem,
  readRecording,
  recordingFiles,
  type SysfsRecord,
} from '../record';
import { cardVersion } from '../record/card-version';
import { entriesOf } from './entries';
import type { TraceEntry, TraceThread } from './entry';

/** Something that could not be read, of one of the files. */
export interface TraceProblem extends RecordingProblem {
  readonly path: string;
}

/** The trace of a recording. Iterating it reads the entries, in the order in which they began. */
export class Trace implements Iterable<TraceEntry> {
  readonly threads: readonly TraceThread[];
  readonly #recordings: readonly Recording[];
  readonly #unreadable: TraceProblem[] = [];
  /** By path, so that another iteration adds nothing. */
  readonly #snapshot = new Map<string, SysfsRecord>();
  #problems: () => readonly TraceProblem[] = () => this.#unreadable;

  /** @param file any file of the recording; the others are those beside it */
  constructor(file: string) {
    const files = recordingFiles(file);
    // A file that was renamed, or of a recording whose first file is missing, is read alone.
    const found = files.some((each) => path.resolve(each) === path.resolve(file));
    const recordings = (found ? files : [file]).flatMap((each) => {
      try {
        return [readRecording(each)];
      } catch (error) {
        // Of a worker thread or a child process: the others can be read.
        const message = (error as Error).message.replace(`${each} `, '');
        this.#unreadable.push({ kind: 'damaged', offset: 0, path: each, message });
        return [];
      }
    });
    this.#recordings = recordings;
    this.threads = recordings.map(({ header, path: file }, index) => {
      const { pid, threadId } = header;
      return { index, name: threadId === 0 ? `${pid}` : `${pid}-${threadId}`, header, path: file };
    });
  }

  /** When the recording began: milliseconds since 1970. */
  get started(): number {
    return Math.min(...this.threads.map(({ header }) => header.started));
  }

  /** What could not be read: complete when an iteration has come to the end. */
  get problems(): readonly TraceProblem[] {
    return this.#problems();
  }

  /** The version of the cards: complete when an iteration has come to the end. */
  get card(): ReadonlyMap<string, string> {
    return cardVersion(this.#snapshot.values());
  }

  *#recordsOf(recording: Recording): Generator<RecordedEntry> {
    for (const record of recording) {
      if (record.type === 'sysfs') this.#snapshot.set(record.path, record);
      yield record;
    }
  }

  *[Symbol.iterator](): Generator<TraceEntry> {
    this.#problems = () => [
      ...this.#recordings.flatMap(({ path: file = '', problems }) =>
        problems.map((problem) => ({ ...problem, path: file })),
      ),
      ...this.#unreadable,
    ];
    const sources = this.#recordings.map((recording, index) => {
      const thread = this.threads[index]!;
      return entriesOf(
        this.#recordsOf(recording),
        thread,
        (thread.header.started - this.started) * 1000,
      );
    });
    try {
      yield* merged(sources);
    } finally {
      for (const source of sources) source.return(undefined);
    }
  }
}

/** The entries of several files, by time. */
function* merged(sources: readonly Iterator<TraceEntry>[]): Generator<TraceEntry> {
  const heads = sources.map((source) => source.next());
  for (;;) {
    let first = -1;
    for (const [index, { done, value }] of heads.entries()) {
      if (done !== true && (first < 0 || value.time < heads[first]!.value.time)) first = index;
    }
    if (first < 0) return;
    yield heads[first]!.value as TraceEntry;
    heads[first] = sources[first]!.next();
  }
}
