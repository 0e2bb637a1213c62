/** `node-cxl trace`: looks at recordings. */
import { setImmediate as turn } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { throwIfAborted } from '../shared/abort';
import { diffTraces } from '../trace/diff';
import type { TraceEntry } from '../trace/entry';
import { EntryFilter } from '../trace/filter';
import { entryData, formatArguments, formatOutcome, seconds } from '../trace/format';
import { htmlPage } from '../trace/html';
import { perfettoTrace } from '../trace/perfetto';
import { traceStats } from '../trace/stats';
import { Trace } from '../trace/trace';
import { collected, instant } from './arguments';
import { bytes, complain, type Format, inline, print, printFields, show } from './output';
import { openOutput } from './output-file';
import { formats, type Session } from './session';
import { diffDocument, statsDocument } from './trace-output';

/** The subcommand that `trace FILE` stands for. */
export const DEFAULT_COMMAND = 'show';

interface Wanted {
  readonly context: readonly string[];
  readonly call: readonly string[];
  /** Microseconds. */
  readonly from?: number;
  readonly to?: number;
}

interface ShowOptions extends Format, Wanted {
  readonly stats?: boolean;
  readonly perfetto?: string;
  readonly html?: string;
}

/** Entries between looks at whether the command is to end. */
const TURN = 1000;
/** Characters that are written to a file at once. */
const CHUNK = 1 << 20;
/** What a line needs to be in columns. */
const TIME_WIDTH = 12;
const DURATION_WIDTH = 10;

/** The `trace` command with its subcommands. */
export function traceCommand(session: Session): Command {
  const command = new Command('trace').description('look at recordings (NODE_CXL_RECORD)');
  formats(command.command(DEFAULT_COMMAND, { isDefault: true }))
    .description(
      'print a recording, a line for each call; trace FILE is the same as trace show FILE',
    )
    .argument('<FILE>', 'a recording; those of its worker threads and child processes are read too')
    .addOption(
      repeated('--context <context>', 'only of this context, such as afu0.0s#1 or afu0.0s'),
    )
    .addOption(repeated('--call <call>', 'only these calls, such as START_WORK, ioctl or read*'))
    .option('--from <time>', 'from this time of the recording on, such as 1.5s or 250us', instant)
    .option('--to <time>', 'up to this time of the recording', instant)
    .addOption(
      new Option('--stats', 'print counts, times and latencies instead').conflicts([
        'perfetto',
        'html',
      ]),
    )
    .addOption(
      new Option('--perfetto <file>', 'write Chrome trace events for ui.perfetto.dev').conflicts(
        'html',
      ),
    )
    .option('--html <file>', 'write a page with a timeline, for any browser')
    .action((file: string, options: ShowOptions) => look(session, file, options));
  formats(command.command('diff'))
    .description('say where two recordings part; exits with 1 if they do')
    .argument('<A>', 'a recording')
    .argument('<B>', 'another')
    .action((a: string, b: string, options: Format) => diff(a, b, options));
  return command;
}

function repeated(flags: string, description: string): Option {
  return new Option(flags, `${description}; may be repeated`)
    .argParser(collected)
    .default([], 'all');
}

async function look({ signal }: Session, file: string, options: ShowOptions): Promise<void> {
  const trace = new Trace(file);
  const { context: contexts, call: calls, from = 0, to = Number.POSITIVE_INFINITY } = options;
  const filter = new EntryFilter({ contexts, calls, from, to });
  if (options.stats === true) {
    const several = trace.threads.length > 1;
    const stats = traceStats(trace, (entry) => filter.takes(entry), several);
    show(options, ...statsDocument(stats));
  } else if (options.perfetto !== undefined) {
    const pieces = perfettoTrace(filter.apply(trace), trace.started);
    await writeFile(options.perfetto, pieces, signal, options);
  } else if (options.html !== undefined) {
    await writeFile(options.html, [htmlPage(trace, filter.apply(trace))], signal, options);
  } else {
    await printEntries(trace, filter, signal, options);
  }
  report([trace], options);
  const [unused, ...others] = filter.unused;
  for (const line of others) complain('error', new Error(line), options);
  if (unused !== undefined) throw new Error(unused);
}

async function printEntries(
  trace: Trace,
  filter: EntryFilter,
  signal: AbortSignal,
  options: Format,
): Promise<void> {
  const several = trace.threads.length > 1;
  let count = 0;
  for (const entry of filter.apply(trace)) {
    printEntry(entry, several, options);
    count += 1;
    if (count % TURN === 0) {
      await turn();
      throwIfAborted(signal);
    }
  }
}

function printEntry(entry: TraceEntry, several: boolean, { json, plain }: Format): void {
  if (json === true) {
    print(JSON.stringify(entryData(entry)));
    return;
  }
  const { time, duration, thread, context } = entry;
  const lasted = duration === undefined ? null : seconds(duration);
  if (plain === true) {
    const { input, result, error } = entryData(entry);
    printFields([
      seconds(time),
      lasted,
      thread.name,
      context,
      entry.name,
      inline(input ?? null),
      error ?? inline(result ?? null),
    ]);
    return;
  }
  const columns = [
    seconds(time).padStart(TIME_WIDTH),
    (lasted === null ? '' : `<${lasted}>`).padStart(DURATION_WIDTH),
    ...(several ? [thread.name.padEnd(9)] : []),
    context.padEnd(10),
    formatArguments(entry) + formatOutcome(entry),
  ];
  print(columns.join(' '));
}

async function writeFile(
  name: string,
  pieces: Iterable<string>,
  signal: AbortSignal,
  options: Format,
): Promise<void> {
  const file = await openOutput(name, signal);
  let length = 0;
  try {
    let chunk = '';
    const flush = async () => {
      const data = Buffer.from(chunk);
      length += data.length;
      chunk = '';
      await file.write(data);
      throwIfAborted(signal);
    };
    for (const piece of pieces) {
      chunk += piece;
      if (chunk.length >= CHUNK) await flush();
    }
    await flush();
    await file.commit();
  } finally {
    await file.close();
  }
  if (file.isStandardOutput) return;
  show(options, { file: name, bytes: length }, { text: () => `${name}: ${bytes(length)}` });
}

/** What could not be read, a line each. A recording that only lacks its end has been shown whole. */
function report(traces: readonly Trace[], options: Format): void {
  const problems = traces.flatMap(({ problems: each }) => each);
  const lines = problems.map(({ kind, path, message }) => ({
    kind,
    error: Object.assign(new Error(`${path}: ${message}`), { code: 'ERR_CXL_BAD_RECORDING', path }),
  }));
  for (const { kind, error } of lines) {
    if (kind === 'cut') complain('warning', error, options);
  }
  const [first, ...others] = lines.filter(({ kind }) => kind !== 'cut');
  for (const { error } of others) complain('error', error, options);
  if (first !== undefined) throw first.error;
}

async function diff(a: string, b: string, options: Format): Promise<void> {
  const traces = [new Trace(a), new Trace(b)] as const;
  const difference = diffTraces(...traces);
  show(options, ...diffDocument(difference, a, b));
  report(traces, options);
  const { contexts, memory, card } = difference;
  if (contexts.length + memory.length + card.length > 0) throw new Error(`${a} and ${b} part`);
}
