/** The options of a recording, in code and in the environment. */
import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkOneOf,
  checkOptions,
  checkString,
  type OptionNames,
} from '../shared/checks';
import { valueError } from '../shared/errors';

/** Options of recordCxl(). */
export interface RecordOptions {
  /** The file to write. One that exists is replaced. */
  readonly file: string;
  /**
   * Bytes of memory whose contents are recorded, all memories together: 0 to 2^32. Default 64 MiB.
   * They are copied, and compared at every store and load of registers. What goes beyond is left out,
   * and the recording says so.
   */
  readonly maxMemory?: number | undefined;
  /** Called for each memory: true leaves its contents out. Default: none is left out. */
  readonly exclude?:
    | ((memory: { readonly address: bigint; readonly size: number }) => boolean)
    | undefined;
  /**
   * `batch`: accesses to registers and memory are written 256 at a time, or after 10 ms. When the
   * process is killed, those are lost. `access`: each is in the file when it returns. Other calls,
   * and events, always are. Default `batch`.
   */
  readonly flush?: 'batch' | 'access' | undefined;
  /**
   * `count`: loads that repeat the last one of their register with the same value, with nothing but
   * loads between, are one record with a count. `each`: a record each. Default `count`.
   */
  readonly polls?: 'count' | 'each' | undefined;
  /** Whether the attributes of cards and AFUs are recorded at the start. Default true. */
  readonly snapshot?: boolean | undefined;
}

export const RECORD_OPTIONS: OptionNames<RecordOptions> = {
  file: true,
  maxMemory: true,
  exclude: true,
  flush: true,
  polls: true,
  snapshot: true,
};

const DEFAULT_MAX_MEMORY = 64 * 1024 * 1024;

/** The same, checked and with the defaults. */
export type CheckedOptions = {
  readonly [Name in keyof RecordOptions]-?: NonNullable<RecordOptions[Name]>;
};

export function checkRecordOptions(options: RecordOptions, name = 'options'): CheckedOptions {
  const {
    file,
    maxMemory = DEFAULT_MAX_MEMORY,
    exclude = () => false,
    flush = 'batch',
    polls = 'count',
    snapshot = true,
  } = checkOptions(options, RECORD_OPTIONS, name);
  return {
    file: checkString(`${name}.file`, file),
    snapshot: checkBoolean(`${name}.snapshot`, snapshot),
    maxMemory: checkInteger(`${name}.maxMemory`, maxMemory, 0, 2 ** 32),
    exclude: checkFunction(`${name}.exclude`, exclude),
    flush: checkOneOf(`${name}.flush`, flush, ['batch', 'access']),
    polls: checkOneOf(`${name}.polls`, polls, ['count', 'each']),
  };
}

/** NODE_CXL_RECORD, and NODE_CXL_RECORD_OPTIONS: the other options, as JSON. */
export function optionsOfEnvironment(file: string): CheckedOptions {
  const others = optionsOfVariable('NODE_CXL_RECORD_OPTIONS');
  return checkRecordOptions({ ...others, file }, 'NODE_CXL_RECORD_OPTIONS');
}

/** An object that an environment variable has as JSON; an empty one without it. */
export function optionsOfVariable(name: string): object {
  const text = process.env[name];
  if (text === undefined || text === '') return {};
  try {
    return JSON.parse(text) as object;
  } catch {
    throw valueError(name, 'JSON', text);
  }
}
