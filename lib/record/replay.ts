/** Replays recordings: in code, and for a whole process. */
import { AssertionError } from 'node:assert';
import { writeSync } from 'node:fs';
import { endianness } from 'node:os';
import { isMainThread, threadId } from 'node:worker_threads';
import type { Binding } from '../binding';
import type { PciBus } from '../binding/configuration-space';
import { Cxl } from '../device/cxl';
import { Doe } from '../doe/doe';
import { checkOneOf, checkOptions, checkString, type OptionNames } from '../shared/checks';
import { rangeError, typeError, valueError } from '../shared/errors';
import { CLASS_DIRECTORY } from '../sysfs/layout';
import { attributeText } from './card-version';
import type { ReplayDivergedError } from './departure';
import { optionsOfVariable } from './options';
import { makePlan } from './plan';
import { badRecording, readRecording, recordingFiles } from './reader';
import { ReplayedBinding } from './replayed-binding';
import { ReplayedPci } from './replayed-pci';
import { Replayer, type ReplaySettings } from './replayer';

/** Options of replayCxl(). */
export interface ReplayOptions {
  /**
   * When calls return and events come: `immediate`: as soon as they may; `recorded`: after the time
   * that they took; a number: after that time multiplied by it, above 0. Default `immediate`.
   */
  readonly timing?: 'immediate' | 'recorded' | number | undefined;
  /**
   * `strict`: the program must make the calls of each context in the order of the recording, and
   * write the same to memory. `lenient`: a call that comes is looked for further on in the recording,
   * calls may be left out, and what the program writes is not compared. Default `strict`.
   */
  readonly mode?: 'strict' | 'lenient' | undefined;
  /**
   * Loads of one register with nothing else of its context between. `collapse`: as few as it takes to
   * see each value, and as many as the program likes. `each`: every load as it was recorded, which a
   * register needs that has another value each time it is read. Default `collapse`.
   */
  readonly polls?: 'collapse' | 'each' | undefined;
  /**
   * What attributes of the recorded cards and AFUs must be, by their path below /sys/class/cxl, such as
   * `{ 'card0/psl_revision': '1' }`: a recording of another card is refused. Default: any card.
   */
  readonly attributes?: Readonly<Record<string, string>> | undefined;
}
const REPLAY_OPTIONS: OptionNames<ReplayOptions> = {
  timing: true,
  mode: true,
  polls: true,
  attributes: true,
};

/**
 * A system that answers as was recorded.
 *
 * @example
 * import { cxl } from 'node-cxl';
 * import { recordCxl, replayCxl } from 'node-cxl/record';
 *
 * async function program(system: typeof cxl) {
 *   const context = await system.open('/dev/cxl/afu0.0s');
 *   await context.attach({ wed: 0n });
 *   await context.close();
 * }
 *
 * const recorded = recordCxl(cxl, { file: 'run.cxlrec' });
 * await program(recorded);
 * recorded.stop();
 *
 * const replayed = replayCxl('run.cxlrec'); // no card is needed
 * await program(replayed);
 * replayed.assertFinished();
 */
export class ReplayedCxl extends Cxl {
  readonly #replayer: Replayer;
  #doe: Doe | undefined;

  /** @internal Use replayCxl(). */
  constructor(replayer: Replayer) {
    super(() => new ReplayedBinding(replayer));
    this.#replayer = replayer;
  }

  /** The mailboxes of the recording. */
  get doe(): Doe {
    this.#doe ??= new Doe(new ReplayedPci(this.#replayer));
    return this.#doe;
  }

  /** Where the program departed from the recording first, also when it has caught the error. */
  get departure(): ReplayDivergedError | undefined {
    return this.#replayer.departure;
  }

  /**
   * Checks that the program has made every call of the recording, and has not departed from it.
   *
   * @throws ReplayDivergedError; AssertionError, with the calls that are left
   */
  assertFinished(): void {
    const { departure } = this.#replayer;
    if (departure !== undefined) throw departure;
    const left = this.#replayer.left();
    if (left.length === 0) return;
    const lines = left
      .slice(0, 10)
      .map(({ text, place }) => `  ${text} (byte ${place.offset}, record ${place.number})`);
    if (left.length > lines.length) lines.push(`  and ${left.length - lines.length} more`);
    const message = `the program has not made these calls of the recording:\n${lines.join('\n')}`;
    throw new AssertionError({
      message,
      actual: left.length,
      expected: 0,
      stackStartFn: this.assertFinished,
    });
  }
}

/**
 * Makes a system that answers a program as a recording has it: without a card, a driver or an addon.
 * The device does nothing of its own: what it wrote to memory appears when its event comes or its
 * load is made.
 *
 * @param file the recording, as a path or as bytes
 * @throws ERR_CXL_BAD_RECORDING it is none, of a newer version, of a machine of the other byte order, or
 *   of another card than `options.attributes` says; what reading the file throws; ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE,
 *   ERR_OUT_OF_RANGE
 * @example
 * import { cxl } from 'node-cxl';
 * import { recordCxl, replayCxl } from 'node-cxl/record';
 *
 * const recorded = recordCxl(cxl, { file: 'run.cxlrec' });
 * const names = (await recorded.afus()).map(({ name }) => name);
 * recorded.stop();
 *
 * const replayed = replayCxl('run.cxlrec', { mode: 'lenient' });
 * console.log((await replayed.afus()).length === names.length); // true
 */
export function replayCxl(file: string | Uint8Array, options: ReplayOptions = {}): ReplayedCxl {
  if (typeof file !== 'string' && !(file instanceof Uint8Array)) {
    throw typeError('file', 'a path, or the bytes of a recording', file);
  }
  return new ReplayedCxl(makeReplayer(file, checkReplayOptions(options)));
}

function checkReplayOptions(options: ReplayOptions, name = 'options'): ReplaySettings {
  const {
    timing = 'immediate',
    mode = 'strict',
    polls = 'collapse',
    attributes = {},
  } = checkOptions(options, REPLAY_OPTIONS, name);
  return {
    pace: paceOf(timing, `${name}.timing`),
    strict: checkOneOf(`${name}.mode`, mode, ['strict', 'lenient']) === 'strict',
    polls: checkOneOf(`${name}.polls`, polls, ['collapse', 'each']),
    attributes: checkAttributes(`${name}.attributes`, attributes),
  };
}

function checkAttributes(name: string, value: Readonly<Record<string, string>>) {
  if (typeof value !== 'object' || value === null) throw typeError(name, 'an object', value);
  for (const [path, text] of Object.entries(value)) checkString(`${name}['${path}']`, text);
  return value;
}

function paceOf(timing: NonNullable<ReplayOptions['timing']>, name: string): number {
  if (timing === 'immediate') return 0;
  if (timing === 'recorded') return 1;
  if (typeof timing !== 'number') {
    throw valueError(name, "'immediate', 'recorded' or a number", timing);
  }
  if (!(timing > 0 && timing <= 1e6)) throw rangeError(name, 'above 0, up to 1000000', timing);
  return timing;
}

const CANNOT = 'cannot be replayed';

function makeReplayer(file: string | Uint8Array, settings: ReplaySettings): Replayer {
  const recording = readRecording(file);
  const { endian } = recording.header;
  if (endian !== (endianness() === 'LE' ? 'little' : 'big')) {
    const reason = `it is of a ${endian}-endian machine, and this one is not: replay it on such a one`;
    throw badRecording(recording.path, reason, CANNOT);
  }
  const plan = makePlan(recording);
  for (const [path, expected] of Object.entries(settings.attributes)) {
    const text = attributeText(plan.sysfs.get(`${CLASS_DIRECTORY}/${path}`))?.[1];
    if (text === expected) continue;
    const found = text === undefined ? 'is not in it' : `is ${JSON.stringify(text)}`;
    const reason = `it is of another card: ${path} ${found}, and must be ${JSON.stringify(expected)}`;
    throw badRecording(recording.path, reason, CANNOT);
  }
  return new Replayer(recording.path ?? 'of bytes', plan, settings);
}

/** The one replay of this thread that NODE_CXL_BACKEND asks for. */
let threadReplayer: Replayer | undefined;

/** @internal The backend where NODE_CXL_BACKEND is `replay:FILE`. */
export function replayProgram(file: string): Binding {
  return new ReplayedBinding(replayerOfThread(file));
}

/** @internal As replayProgram(), for mailboxes. */
export function replayProgramBus(file: string): PciBus {
  return new ReplayedPci(replayerOfThread(file));
}

function replayerOfThread(file: string): Replayer {
  if (threadReplayer !== undefined) return threadReplayer;
  const replayer = makeReplayer(fileOfThread(file), settingsOfEnvironment());
  threadReplayer = replayer;
  tellAtExit(replayer);
  return replayer;
}

/**
 * The program may have caught the error, or ended early: that must not look like a success. The
 * message is written by a call that returns when it is out, as a worker thread writes nothing later.
 */
function tellAtExit(replayer: Replayer): void {
  let told: unknown;
  process.on('uncaughtExceptionMonitor', (error) => {
    told = error;
  });
  process.once('exit', (code) => {
    const departure = replayer.departure ?? (code === 0 ? replayer.endedEarly() : undefined);
    if (departure === undefined) return;
    // Node has printed it.
    if (told !== departure) writeSync(2, `${departure.message}\n`);
    if (code === 0) process.exitCode = 1;
  });
}

/** Variable that has the process id of the process that replays the file itself. */
const ROOT_VARIABLE = 'NODE_CXL_REPLAY_ROOT';

/**
 * The main thread replays the file itself. A worker thread has the file of the recorded thread with
 * its number; a child process the first of those with its arguments.
 */
function fileOfThread(file: string): string {
  checkString('file', file);
  const root = process.env[ROOT_VARIABLE];
  if (isMainThread) process.env[ROOT_VARIABLE] ??= String(process.pid);
  if (isMainThread && (root === undefined || root === String(process.pid))) return file;
  const unreadable: string[] = [];
  const headers = recordingFiles(file).flatMap((each) => {
    try {
      return [{ each, header: readRecording(each).header }];
    } catch (error) {
      unreadable.push((error as Error).message);
      return [];
    }
  });
  const { pid } = readRecording(file).header;
  const args = JSON.stringify(process.argv.slice(1));
  const found = headers.find(({ header }) => {
    if (isMainThread) return header.pid !== pid && JSON.stringify(header.argv.slice(1)) === args;
    return header.threadId === threadId;
  });
  if (found === undefined) {
    const what = isMainThread ? `process with the arguments ${args}` : `thread ${threadId}`;
    const reason = [`no file beside it is of a ${what}`, ...unreadable].join('; ');
    throw badRecording(file, reason, CANNOT);
  }
  return found.each;
}

/** NODE_CXL_REPLAY_OPTIONS: the options of replayCxl() as JSON. */
function settingsOfEnvironment(): ReplaySettings {
  const name = 'NODE_CXL_REPLAY_OPTIONS';
  return checkReplayOptions(optionsOfVariable(name) as ReplayOptions, name);
}
