import type { NegativeErrno, SysFs } from '../binding';
import { debug, debugResult } from '../shared/debug';
import { ERRNOS, errnoName } from '../shared/errno';
import { systemError } from '../shared/errors';

/** Directories from a context's device up to the PCI device: slave, AFU, card, PCI. */
const LEVELS = 4;

const decoder = new TextDecoder('latin1');

const DECIMAL = /^\d+$/;
const DECIMAL_NUMBER = 'a decimal number below 2^53';

/**
 * The attributes of one sysfs directory. An absent attribute reads as undefined: several are
 * absent with older drivers, in guests, or with a radix MMU. Text that is not what the kernel's ABI
 * documents is EBADMSG.
 */
export class Attributes {
  readonly #sysfs: SysFs;
  readonly #levels: number;
  readonly path: string;

  /** `levels`: how many directories text() searches, this one and those above it. */
  constructor(sysfs: SysFs, path: string, levels = LEVELS) {
    this.#sysfs = sysfs;
    this.#levels = levels;
    this.path = path;
  }

  /** The text, trimmed. Like libcxl, follows `device/` upwards until the attribute is found. */
  async text(name: string): Promise<string | undefined> {
    let directory = this.path;
    for (let level = 0; level < this.#levels; level += 1) {
      const file = `${directory}/${name}`;
      const result = await this.#sysfs.read(file);
      debugRead(file, result);
      if (typeof result !== 'number') return decoder.decode(result).trim();
      if (!isAbsent(result)) throw systemError(result, 'read', file);
      directory = `${directory}/device`;
    }
    return undefined;
  }

  /** As number(), but synchronous and of this directory only. */
  numberSync(name: string): number | undefined {
    const file = `${this.path}/${name}`;
    const result = this.#sysfs.readSync(file);
    debugRead(file, result);
    if (typeof result !== 'number') {
      return parse(decoder.decode(result).trim(), DECIMAL, DECIMAL_NUMBER, file, Number);
    }
    if (isAbsent(result)) return undefined;
    throw systemError(result, 'read', file);
  }

  async number(name: string): Promise<number | undefined> {
    return this.#parsed(name, DECIMAL, DECIMAL_NUMBER, Number);
  }

  async hex(name: string): Promise<number | undefined> {
    return this.#parsed(name, /^0x[0-9a-f]+$/i, 'a hexadecimal number below 2^53', Number);
  }

  async flag(name: string): Promise<boolean | undefined> {
    return this.#parsed(name, /^[01]$/, '0 or 1', (text) => text === '1');
  }

  async matching(name: string, pattern: RegExp, expected: string): Promise<string | undefined> {
    return this.#parsed(name, pattern, expected, (text) => text);
  }

  async oneOf<T extends string>(name: string, words: readonly T[]): Promise<T | undefined> {
    const pattern = new RegExp(`^(?:${words.join('|')})$`);
    return this.#parsed(name, pattern, words.join(', '), (text) => text as T);
  }

  /** A list of one word per line; an empty attribute is an empty list. */
  async words<T extends string>(name: string, words: readonly T[]): Promise<T[] | undefined> {
    const pattern = new RegExp(`^(?:(?:${words.join('|')})(?:\\s+|$))*$`);
    return this.#parsed(name, pattern, words.join(', '), (text) =>
      text === '' ? [] : (text.split(/\s+/) as T[]),
    );
  }

  /** A binary attribute of this directory only, or `length` bytes of it from `offset`. */
  async bytes(name: string, offset?: number, length?: number): Promise<Uint8Array | undefined> {
    const file = `${this.path}/${name}`;
    const result = await this.#sysfs.read(file, offset, length);
    debugRead(file, result);
    if (typeof result !== 'number') return result;
    if (isAbsent(result)) return undefined;
    throw systemError(result, 'read', file);
  }

  /**
   * Writes an attribute of this directory only: a `reset` found by following `device/` could be
   * that of the card.
   */
  async write(name: string, text: string): Promise<void> {
    const file = `${this.path}/${name}`;
    debug('write %s: %s', file, text);
    const result = await this.#sysfs.write(file, text);
    debugResult('write', file, result);
    if (result >= 0) return;
    const code = errnoName(result);
    const hint = WRITE_HINTS[`${name}:${code}`] ?? WRITE_HINTS[code];
    throw systemError(result, 'write', file, hint);
  }

  async #parsed<T>(
    name: string,
    pattern: RegExp,
    expected: string,
    convert: (text: string) => T,
  ): Promise<T | undefined> {
    const text = await this.text(name);
    if (text === undefined) return undefined;
    return parse(text, pattern, expected, `${this.path}/${name}`, convert);
  }
}

/** Awaits every property of an object of promises. */
export async function awaitProperties<T extends object>(
  values: {
    [K in keyof T]: Promise<T[K]>;
  },
): Promise<T> {
  const entries = Object.entries<Promise<unknown>>(values);
  const settled = await Promise.all(entries.map(async ([name, value]) => [name, await value]));
  return Object.fromEntries(settled) as T;
}

function parse<T>(
  text: string,
  pattern: RegExp,
  expected: string,
  file: string,
  convert: (text: string) => T,
): T {
  const value = pattern.test(text) ? convert(text) : undefined;
  if (value === undefined || (typeof value === 'number' && !Number.isSafeInteger(value))) {
    const shown = text === '' ? 'nothing' : JSON.stringify(text.slice(0, 60));
    throw systemError('EBADMSG', 'read', file, `expected ${expected}; got ${shown}`);
  }
  return value;
}

function debugRead(file: string, result: Uint8Array | NegativeErrno): void {
  debugResult('read', file, typeof result === 'number' ? result : result.length);
}

function isAbsent(errno: number): boolean {
  return errno === -ERRNOS.ENOENT || errno === -ERRNOS.ENOTDIR;
}

const IN_USE = 'a context exists: close every context of this AFU first';
/** By errno, or by attribute and errno. */
const WRITE_HINTS: Record<string, string> = {
  EACCES: 'attributes can be written by root only',
  ENOENT:
    'no such attribute: older drivers and PowerVM guests have fewer, and a card that was removed has none',
  'mode:EBUSY': IN_USE,
  'reset:EBUSY': IN_USE,
  'reset:EINVAL':
    'not possible while perst_reloads_same_image is 1: the card would have the same image again',
  'irqs_max:EINVAL': 'below irqs_min, or more than the adapter has',
  'prefault_mode:EINVAL': 'prefaulting is not supported with a radix MMU',
};
