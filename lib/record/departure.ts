/** Where a program that is replayed does something else than was recorded. */
import type { Call } from '../observe/call';
import { formatCall } from '../observe/format';
import type { RecordPlace } from './records';

const STACK_FRAMES = 100;

/** A call, or what else was expected or came, for people. */
export interface ExpectedCall {
  /** As one line of text. */
  readonly text: string;
  readonly place?: RecordPlace | undefined;
}

/** What a departure says of the recording. */
export interface AboutRecording {
  readonly path: string;
  readonly card: string;
  readonly leftOut: readonly string[];
}

/**
 * A program that is replayed has departed from the recording. Where it swallows this error, the next
 * call throws it again, but for those that close and free.
 *
 * @example
 * import { cxl } from 'node-cxl';
 * import { recordCxl, ReplayDivergedError, replayCxl } from 'node-cxl/record';
 *
 * const recorded = recordCxl(cxl, { file: 'run.cxlrec' });
 * await (await recorded.open('/dev/cxl/afu0.0s')).close();
 * recorded.stop();
 *
 * const error = await replayCxl('run.cxlrec').open('/dev/cxl/afu1.0s').catch((reason) => reason);
 * if (error instanceof ReplayDivergedError) console.log(error.code); // ERR_CXL_REPLAY_DIVERGED
 */
export class ReplayDivergedError extends Error {
  /** The name of the class. */
  override readonly name: string = 'ReplayDivergedError';
  /** The same for every departure. */
  readonly code = 'ERR_CXL_REPLAY_DIVERGED';
  /** The recording. */
  readonly path: string;
  /** The call that the recording has next; undefined where it has no more. */
  readonly expected: string | undefined;
  /** The call that came, or what was wrong. */
  readonly actual: string;
  /** Where the expected call is in the file. */
  readonly place: RecordPlace | undefined;
  /** The recorded call that is most like the one that came. */
  readonly nearest: string | undefined;
  /** The line of the program that made the call, such as `app.js:12:3`. */
  readonly line: string | undefined;
  /** The version of the recorded cards, such as `card0/psl_revision 1`; empty where it was not recorded. */
  readonly card: string;
  /**
   * What the recorder left out, such as memory beyond `maxMemory`, a sentence each: the program may
   * depart because it finds zeros there.
   */
  readonly leftOut: readonly string[];

  /** @internal */
  constructor(
    { path, card, leftOut }: AboutRecording,
    actual: string,
    expected: ExpectedCall | undefined,
    nearest: ExpectedCall | undefined,
  ) {
    super('');
    // Deep enough for the program's own frames, which are below those of the package.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = STACK_FRAMES;
    Error.captureStackTrace(this, ReplayDivergedError);
    Error.stackTraceLimit = stackTraceLimit;
    const line = programLine(this.stack ?? '');
    const where = (place: RecordPlace | undefined) =>
      place === undefined ? '' : ` (byte ${place.offset}, record ${place.number})`;
    this.message = [
      `the program departs from the recording ${path}`,
      `  expected: ${expected === undefined ? 'no more calls' : expected.text + where(expected.place)}`,
      `  came:     ${actual}`,
      ...(line === undefined ? [] : [`  from:     ${line}`]),
      ...(nearest === undefined ? [] : [`  nearest:  ${nearest.text}${where(nearest.place)}`]),
      ...(card === '' ? [] : [`  card:     ${card}`]),
      ...(leftOut[0] === undefined
        ? []
        : [`  left out: ${leftOut[0]}${andMore(leftOut.length - 1)}`]),
    ].join('\n');
    // The text of the stack was made before the message, and begins with what is of no interest.
    const frames = (this.stack ?? '').split('\n').slice(1);
    const shown = frames.filter((frame) => !frame.includes(__dirname));
    this.stack = [`${this.name}: ${this.message}`, ...shown].join('\n');
    this.path = path;
    this.expected = expected?.text;
    this.actual = actual;
    this.place = expected?.place;
    this.nearest = nearest?.text;
    this.line = line;
    this.card = card;
    this.leftOut = leftOut;
  }
}

function andMore(count: number): string {
  return count === 0 ? '' : ` (and ${count} more)`;
}

/** The package's own folder: dist, or whatever it was moved to. */
const OWN_FOLDER = __dirname.replace(/[\\/]record$/, '');

/** The first frame that is not the package's or Node's. */
function programLine(stack: string): string | undefined {
  for (const frame of stack.split('\n').slice(1)) {
    const place = /\(?((?:file:\/\/)?[^()\s]+:\d+:\d+)\)?$/.exec(frame)?.[1];
    if (place === undefined || place.includes(OWN_FOLDER)) continue;
    if (/^(node:|internal)|\(?native|<anonymous>/.test(place)) continue;
    return place;
  }
  return undefined;
}

/** A call as one line, as the log of a mock shows it. */
export function callText(
  path: string | undefined,
  name: string,
  input: Readonly<Record<string, unknown>>,
): string {
  const where = path === undefined ? {} : { path };
  return formatCall({
    number: 0,
    name: name as Call['name'],
    ...where,
    input,
    time: 0,
    duration: 0,
  });
}
