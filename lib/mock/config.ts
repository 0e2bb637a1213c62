/** A mock described in a JSON file: NODE_CXL_BACKEND=mock:config.json. */
import { readFileSync } from 'node:fs';
import { errnos, systemError, valueError } from '../errors';
import { MockCxl } from './mock-cxl';
import type { AfuModel } from './model';
import { echoAfu } from './models/echo';
import { memcpyAfu } from './models/memcpy';
import type { MockCardOptions, MockOptions } from './options';

const models: Readonly<Record<string, () => AfuModel>> = { memcpy: memcpyAfu, echo: echoAfu };

/**
 * The mock that a file describes: the options of createMockCxl(), with the models by name
 * (`"model": "memcpy"` or `"echo"`). Without a file, a card with a memcpy AFU and one with an
 * echo AFU.
 *
 * @throws ENOENT, EACCES and so on by their own names when it cannot be read;
 *   ERR_INVALID_ARG_VALUE when it is not JSON, or names an option or model there is none of;
 *   what createMockCxl() throws of its values
 */
export function mockFromConfig(file?: string): MockCxl {
  return new MockCxl(file === undefined ? {} : optionsOf(file, parse(file)));
}

function parse(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== undefined && code in errnos) {
      throw systemError(code as keyof typeof errnos, 'open', file, 'the mock is described there');
    }
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw valueError(`${file}: the file`, `JSON (${(error as Error).message})`, text.slice(0, 40));
  }
}

const optionNames = [
  'cards',
  'flash',
  'flavour',
  'pageSize',
  'errorPollInterval',
  'attachTimeout',
  'udevLinks',
  'seed',
  'faults',
  'latency',
];
const cardNames = [
  'afus',
  'caiaVersion',
  'pslRevision',
  'baseImage',
  'imageLoaded',
  'loadImageOnPerst',
  'perstReloadsSameImage',
  'timebaseSynced',
  'tunneledOps',
  'interrupts',
  'pciAddress',
  'vendor',
  'device',
  'resetTime',
];
const afuNames = ['model', 'mode', 'interruptsMaximum', 'apiVersion', 'apiVersionCompatible'];

function optionsOf(file: string, json: unknown): MockOptions {
  const where = `${file}: the file`;
  const options = object(where, json, optionNames);
  const { cards } = options;
  if (cards === undefined) return options as MockOptions;
  const list = array(`${where}.cards`, cards).map((card, index): MockCardOptions => {
    const name = `${where}.cards[${index}]`;
    const { afus, ...rest } = object(name, card, cardNames);
    if (afus === undefined) return rest;
    return {
      ...rest,
      afus: array(`${name}.afus`, afus).map((afu, slice) => {
        const afuName = `${name}.afus[${slice}]`;
        const { model = 'memcpy', ...settings } = object(afuName, afu, afuNames);
        const make = Object.hasOwn(models, String(model)) ? models[String(model)] : undefined;
        if (make === undefined) {
          throw valueError(`${afuName}.model`, Object.keys(models).join(' or '), model);
        }
        return { ...settings, model: make() };
      }),
    };
  });
  return { ...options, cards: list } as MockOptions;
}

function object(name: string, value: unknown, known: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw valueError(name, 'an object', value);
  }
  const strange = Object.keys(value).find((key) => !known.includes(key));
  if (strange !== undefined) {
    throw valueError(name, `an object of ${known.join(', ')}`, strange);
  }
  return value as Record<string, unknown>;
}

function array(name: string, value: unknown): unknown[] {
  if (!Array.isArray(value)) throw valueError(name, 'an array', value);
  return value;
}
