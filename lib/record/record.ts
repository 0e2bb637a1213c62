/** Starts recordings: in code, and for a whole process. */
import { randomUUID } from 'node:crypto';
import { endianness } from 'node:os';
import { isMainThread, threadId } from 'node:worker_threads';
import type { Binding } from '../binding';
import type { PciBus } from '../binding/configuration-space';
import { wraps } from '../binding/wrapped';
import { Cxl } from '../device/cxl';
import { Doe } from '../doe/doe';
import { typeError } from '../shared/errors';
import {
  type CheckedOptions,
  checkRecordOptions,
  optionsOfEnvironment,
  type RecordOptions,
} from './options';
import { RecordedBinding } from './recorded-binding';
import { RecordedPci } from './recorded-pci';
import { Recorder } from './recorder';
import { FORMAT_VERSION, type RecordingHeader } from './records';
import { recordSnapshot } from './snapshot';
import { RecordingWriter } from './writer';

// biome-ignore lint/suspicious/noExplicitAny: package.json has no type declaration
const { version } = require('../../package.json') as any;

/** Has the id of the recording, in processes that a recorded one starts. */
export const GROUP_VARIABLE = 'NODE_CXL_RECORD_GROUP';

/**
 * A system whose calls are recorded: use it in the place of the one that it was made of. What was
 * opened on that before is not recorded.
 *
 * @example
 * import { cxl } from 'node-cxl';
 * import { recordCxl } from 'node-cxl/record';
 *
 * using recorded = recordCxl(cxl, { file: 'run.cxlrec' }); // the recording ends with the block
 * const context = await recorded.open('/dev/cxl/afu0.0s');
 * await context.close();
 * console.log(recorded.file.endsWith('/run.cxlrec')); // true
 */
export class RecordedCxl extends Cxl {
  /** The path of the recording. */
  readonly file: string;
  readonly #recorder: Recorder;

  /** @internal Use recordCxl(). */
  constructor(binding: Binding, recorder: Recorder) {
    super(() => recordBinding(binding, recorder));
    this.file = recorder.writer.file;
    this.#recorder = recorder;
  }

  /**
   * Mailboxes whose calls are recorded in the same file.
   *
   * @throws ERR_INVALID_ARG_TYPE
   */
  recordDoe(doe: Doe): Doe {
    if (!(doe instanceof Doe)) throw typeError('doe', 'a Doe', doe);
    return new Doe(() => recordBus(doe.bus, this.#recorder));
  }

  /** Ends the recording and closes the file. The system works on, unrecorded. Idempotent. */
  stop(): void {
    this.#recorder.stop('stopped');
  }

  /** As stop(): for `using`. */
  [Symbol.dispose](): void {
    this.stop();
  }
}

/**
 * Records what a program does with a system: every call to the driver, register and memory accesses,
 * events, and the memory that the device writes. A recording is replayed by replayCxl().
 *
 * @param system the system to record, such as `cxl` or that of createMockCxl()
 * @throws ERR_INVALID_ARG_TYPE and others for options; what opening the file fails with (ENOENT,
 *   EACCES …), and writing its first bytes. What fails later ends the recording, with a warning of
 *   the process (code CXL_RECORDING_FAILED); the program goes on
 * @example
 * import { cxl } from 'node-cxl';
 * import { setGlobalSystem } from 'node-cxl/mock';
 * import { recordCxl } from 'node-cxl/record';
 *
 * const recorded = recordCxl(cxl, { file: 'run.cxlrec', flush: 'access' });
 * const before = setGlobalSystem(recorded);
 * await (await cxl.open('/dev/cxl/afu0.0s')).close(); // recorded
 * before.restore();
 * recorded.stop();
 */
export function recordCxl(system: Cxl, options: RecordOptions): RecordedCxl {
  if (!(system instanceof Cxl)) throw typeError('system', 'a Cxl', system);
  const checked = checkRecordOptions(options);
  return new RecordedCxl(system.binding, startRecorder(checked, 'w', randomUUID()));
}

function recordBinding(binding: Binding, recorder: Recorder): Binding {
  const { kind: backend, pageSize, flash } = binding;
  const time = recorder.now();
  const system = { system: 'cxl', backend, pageSize, flash: flash !== undefined } as const;
  recorder.write({ type: 'system', time, ...system });
  if (recorder.options.snapshot) void recordSnapshot(binding.sysfs, recorder);
  const outer = new RecordedBinding(binding, recorder);
  wraps(outer, binding);
  return outer;
}

function recordBus(bus: PciBus, recorder: Recorder): PciBus {
  const time = recorder.now();
  recorder.write({ type: 'system', time, system: 'pci', backend: bus.kind });
  return new RecordedPci(bus, recorder);
}

function startRecorder(options: CheckedOptions, flags: 'w' | 'wx', group: string): Recorder {
  const header: RecordingHeader = {
    format: 'node-cxl recording',
    version: FORMAT_VERSION,
    package: version as string,
    group,
    pid: process.pid,
    threadId,
    started: Date.now(),
    argv: process.argv,
    nodeVersion: process.version,
    platform: process.platform,
    arch: process.arch,
    endian: endianness() === 'LE' ? 'little' : 'big',
  };
  const writer = new RecordingWriter(options.file, flags, header);
  const recorder = new Recorder(writer, options);
  const onExit = (code: number) => recorder.stop('exit', code);
  process.once('exit', onExit);
  recorder.onStop = () => process.removeListener('exit', onExit);
  return recorder;
}

/** The one recording of this thread that NODE_CXL_RECORD asks for; null when it cannot be made. */
let threadRecorder: Recorder | null | undefined;

/** The backend that the program is to have where NODE_CXL_RECORD is `file`. */
export function recordProgram(file: string, binding: Binding): Binding {
  const recorder = recorderOfThread(file);
  return recorder === null ? binding : recordBinding(binding, recorder);
}

/** As recordProgram(), for mailboxes. */
export function recordProgramBus(file: string, bus: PciBus): PciBus {
  const recorder = recorderOfThread(file);
  return recorder === null ? bus : recordBus(bus, recorder);
}

function recorderOfThread(file: string): Recorder | null {
  if (threadRecorder !== undefined) return threadRecorder;
  const options = optionsOfEnvironment(file);
  try {
    threadRecorder = startInGroup(options);
  } catch (error) {
    threadRecorder = null;
    process.emitWarning(
      `NODE_CXL_RECORD: nothing is recorded: ${(error as Error).message}. The program goes on`,
      { type: 'CxlWarning', code: 'CXL_RECORDING_FAILED' },
    );
  }
  return threadRecorder;
}

/**
 * The main thread of the first process writes the file itself. A worker thread, and a process that
 * this one starts, inherit the environment and write files of their own beside it.
 */
function startInGroup(options: CheckedOptions): Recorder {
  const { file } = options;
  const inherited = process.env[GROUP_VARIABLE];
  const group = inherited ?? String(process.pid);
  process.env[GROUP_VARIABLE] = group;
  if (isMainThread) {
    try {
      // `node-cxl record` sets the group: the first process that records has the file.
      return startRecorder(options, inherited === undefined ? 'w' : 'wx', group);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
  return startRecorder({ ...options, file: `${file}.${process.pid}-${threadId}` }, 'w', group);
}
