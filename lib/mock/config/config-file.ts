/**
 * The JSON file of NODE_CXL_BACKEND=mock:FILE: the options of createMockCxl(), and under `doe` those
 * of createMockDoe(), with AFU models and protocols by name. It is checked as options in a program
 * are, and its errors name the place in the file. mock-config.schema.json describes it.
 */
import { readFileSync } from 'node:fs';
import {
  checkArray,
  checkOneOf,
  checkOptions,
  checkString,
  type OptionNames,
} from '../../shared/checks';
import { ERRNOS } from '../../shared/errno';
import { systemError, valueError } from '../../shared/errors';
import { encodeCdat } from '../doe/cdat';
import type { MockFunctionOptions } from '../doe/function';
import type { MockProtocol } from '../doe/mailbox';
import { memoryDevice, memoryDeviceTable } from '../doe/memory-device';
import { type MockDoe, makeDoe } from '../doe/mock-doe';
import { complianceMode, spdm, tableAccess } from '../doe/protocols';
import type { AfuModel } from '../models/afu-model';
import { echoAfu } from '../models/echo';
import { memcpyAfu } from '../models/memcpy';
import { checkMockOptions, MOCK_OPTIONS, type MockOptions } from './options';

const MODELS: Readonly<Record<string, () => AfuModel>> = { memcpy: memcpyAfu, echo: echoAfu };

const PROTOCOLS: Readonly<Record<string, () => MockProtocol>> = {
  'table-access': () => tableAccess(encodeCdat(memoryDeviceTable)),
  compliance: complianceMode,
  spdm,
};

/** What the file may have. */
const FILE_OPTIONS: OptionNames<MockOptions & { doe: unknown; $schema: unknown }> = {
  ...MOCK_OPTIONS,
  doe: true,
  $schema: true,
};

/** What a file says: options for a MockCxl, and what it says under `doe`. */
export interface MockConfig {
  readonly options: MockOptions;
  readonly doe: MockDoe;
}

/**
 * Reads and checks the whole file, whichever part is needed.
 *
 * @throws as mockFromConfig()
 */
export function readConfig(file: string): MockConfig {
  const where = `${file}: the file`;
  const content = checkOptions(parse(file, where), FILE_OPTIONS, where);
  const { doe, $schema, ...rest } = content as Record<string, unknown>;
  if ($schema !== undefined) checkString(`${where}.$schema`, $schema as string);
  const options = {
    ...rest,
    ...named(rest, 'cards', (card, at) => cardOf(card, `${where}.cards[${at}]`)),
  };
  checkMockOptions(options, where);
  return { options, doe: doeOf(doe, `${where}.doe`) };
}

function parse(file: string, where: string): object {
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
    throw valueError(where, `JSON (${(error as Error).message})`, text.slice(0, 40));
  }
}

/** A list of an object in the file, with what `change` makes of each object in it. */
function named(
  value: object,
  key: string,
  change: (each: Record<string, unknown>, index: number) => object,
): object {
  const listed = (value as Record<string, unknown>)[key];
  if (!Array.isArray(listed)) return {};
  // What is no object is left to the checks of the options.
  const changed = listed.map((each, index) => (isObject(each) ? change(each, index) : each));
  return { [key]: changed };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function cardOf(card: Record<string, unknown>, where: string): object {
  const afus = named(card, 'afus', (afu, slice) => {
    const { model = 'memcpy' } = afu;
    return { ...afu, model: byName(`${where}.afus[${slice}].model`, MODELS, model) };
  });
  return { ...card, ...afus };
}

/** Every function has the defaults of memoryDevice(). Without `doe`: one memory device. */
function doeOf(doe: unknown, where: string): MockDoe {
  if (doe === undefined) return makeDoe({}, where);
  const listed = checkArray(where, doe as readonly unknown[]);
  const functions = listed.map((each, index) => {
    if (!isObject(each)) return each as unknown as MockFunctionOptions;
    const mailboxes = named(each, 'mailboxes', (mailbox, at) =>
      mailboxOf(mailbox, `${where}[${index}].mailboxes[${at}]`),
    );
    return withDefaults({ ...each, ...mailboxes });
  });
  return makeDoe({ functions }, where);
}

/** An option that is misspelled is left to the check of the function, which knows its place. */
function withDefaults(options: object): MockFunctionOptions {
  return { ...memoryDevice(), ...options };
}

function mailboxOf(mailbox: Record<string, unknown>, where: string): object {
  const { protocols } = mailbox;
  if (!Array.isArray(protocols)) return mailbox;
  const place = (at: number) => `${where}.protocols[${at}]`;
  return { ...mailbox, protocols: protocols.map((each, at) => byName(place(at), PROTOCOLS, each)) };
}

/** What a name in the file stands for. */
function byName<T>(name: string, known: Readonly<Record<string, () => T>>, value: unknown): T {
  return known[checkOneOf(name, value as string, Object.keys(known))]!();
}
