/** Reads the JSON file of NODE_CXL_BACKEND=mock:FILE. Its errors name the place in the file. */
import { readFileSync } from 'node:fs';
import { checkOptions, type OptionNames } from '../../shared/checks';
import { ERRNOS } from '../../shared/errno';
import { systemError, valueError } from '../../shared/errors';
import { MOCK_OPTIONS, type MockOptions } from './options';

/** What the file may have. */
const FILE_OPTIONS: OptionNames<MockOptions & { doe: unknown }> = { ...MOCK_OPTIONS, doe: true };

/**
 * The whole file, an object with known keys only.
 *
 * @throws as mockFromConfig()
 */
export function readConfig(file: string): Record<string, unknown> {
  return knownObject(placeOf(file), parse(file), FILE_OPTIONS);
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
    if (code !== undefined && code in ERRNOS) {
      const hint = 'NODE_CXL_BACKEND=mock:FILE names a JSON file that describes the mock';
      throw systemError(code as keyof typeof ERRNOS, 'open', file, hint);
    }
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw valueError(placeOf(file), `JSON (${(error as Error).message})`, text.slice(0, 40));
  }
}

/** Checks that a value is an object with known keys only, so that a misspelled key is an error. */
export function knownObject<T>(
  name: string,
  value: unknown,
  known: OptionNames<T>,
): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw valueError(name, 'an object', value);
  }
  checkOptions<unknown>(value, known, name);
  return value as Record<string, unknown>;
}

/** Checks that a value is an array. */
export function list(name: string, value: unknown): unknown[] {
  if (!Array.isArray(value)) throw valueError(name, 'an array', value);
  return value;
}

/** What a name in the file stands for. */
export function byName<T>(name: string, named: Readonly<Record<string, T>>, value: unknown): T {
  const found = Object.hasOwn(named, String(value)) ? named[String(value)] : undefined;
  if (found === undefined) throw valueError(name, Object.keys(named).join(' or '), value);
  return found;
}
