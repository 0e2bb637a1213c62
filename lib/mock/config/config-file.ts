/** The JSON file of NODE_CXL_BACKEND=mock:FILE: reading it, and telling where it is wrong. */
import { readFileSync } from 'node:fs';
import { errnos } from '../../shared/errno';
import { systemError, valueError } from '../../shared/errors';

/** What may stand at the top of the file: each part takes its own and leaves the rest. */
const topNames = [
  'cards',
  'flash',
  'doe',
  'flavour',
  'pageSize',
  'errorPollInterval',
  'attachTimeout',
  'udevLinks',
  'seed',
  'faults',
  'latency',
];

/**
 * The whole file, an object of known names.
 *
 * @throws as mockFromConfig()
 */
export function readConfig(file: string): Record<string, unknown> {
  return knownObject(placeOf(file), parse(file), topNames);
}

/** How errors name the file. */
export function placeOf(file: string): string {
  return `${file}: the file`;
}

function parse(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== undefined && code in errnos) {
      const hint = 'NODE_CXL_BACKEND=mock:FILE names a JSON file that describes the mock';
      throw systemError(code as keyof typeof errnos, 'open', file, hint);
    }
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw valueError(placeOf(file), `JSON (${(error as Error).message})`, text.slice(0, 40));
  }
}

/** An object that has no other keys than these: a misspelt one would be ignored in silence. */
export function knownObject(
  name: string,
  value: unknown,
  known: readonly string[],
): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw valueError(name, 'an object', value);
  }
  const strange = Object.keys(value).find((key) => !known.includes(key));
  if (strange !== undefined) {
    throw valueError(name, `an object of ${known.join(', ')}`, strange);
  }
  return value as Record<string, unknown>;
}

export function list(name: string, value: unknown): unknown[] {
  if (!Array.isArray(value)) throw valueError(name, 'an array', value);
  return value;
}

/** One of several things that have names in the file and are functions here. */
export function byName<T>(name: string, makers: Readonly<Record<string, T>>, value: unknown): T {
  const found = Object.hasOwn(makers, String(value)) ? makers[String(value)] : undefined;
  if (found === undefined) throw valueError(name, Object.keys(makers).join(' or '), value);
  return found;
}
