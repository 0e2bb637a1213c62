/**
 * Which backend serves a program: real devices or a mock. The only file that reads
 * NODE_CXL_BACKEND and NODE_CXL_RECORD, for every entry point of the package.
 *
 * A backend is loaded when it is chosen: a program on a mock needs no compiled code, and one on
 * real devices no mock.
 */
import type { Binding } from './binding';
import type { PciBus } from './binding/configuration-space';
import { debug } from './shared/debug';
import { valueError } from './shared/errors';

/**
 * The binding that `cxl` uses: the cxl and cxlflash drivers of this machine; with `mock` the
 * mock's default cards; with `mock:FILE.json` the cards that the file describes; with `replay:FILE` what
 * was recorded; with `pslse:HOST:PORT` the AFUs that this PSLSE daemon simulates.
 *
 * @throws ERR_CXL_NO_NATIVE, ERR_INVALID_ARG_VALUE, and what reading the file throws
 */
export function chooseBinding(): Binding {
  const binding = chosenBinding();
  const file = recordingFile();
  return file === undefined ? binding : recording().recordProgram(file, binding);
}

function chosenBinding(): Binding {
  const choice = readChoice('backend');
  if (choice !== 'native' && choice.kind === 'replay') return replay().replayProgram(choice.file);
  if (choice === 'native') {
    return (require('./native') as typeof import('./native')).nativeBinding();
  }
  if (choice.kind === 'pslse') {
    const { PslseBinding } = require('./pslse/binding') as typeof import('./pslse/binding');
    return new PslseBinding(choice.daemon);
  }
  const { mockFromConfig } = require('./mock/from-config') as {
    mockFromConfig(file: string | undefined): { binding: Binding };
  };
  return mockFromConfig(choice.file).binding;
}

/**
 * The PCI bus that `doe` uses: this machine's; with `mock` a bus with one memory device; with
 * `mock:FILE.json` what the file describes under `doe`, else the same memory device; with
 * `replay:FILE` what was recorded. Does not need the addon until a mailbox is locked.
 *
 * @throws ERR_INVALID_ARG_VALUE, and what reading the file throws
 */
export function choosePciBus(): PciBus {
  const bus = chosenBus();
  const file = recordingFile();
  return file === undefined ? bus : recording().recordProgramBus(file, bus);
}

function chosenBus(): PciBus {
  const choice = readChoice('doe backend');
  if (choice !== 'native' && choice.kind === 'replay')
    return replay().replayProgramBus(choice.file);
  // A PSLSE daemon has no PCI functions: mailboxes are this machine's.
  if (choice === 'native' || choice.kind === 'pslse') {
    const { SysfsPci } = require('./native/pci-bus') as typeof import('./native/pci-bus');
    return new SysfsPci();
  }
  const { mockDoeFromConfig } = require('./mock/from-config') as {
    mockDoeFromConfig(file: string | undefined): { bus: PciBus };
  };
  return mockDoeFromConfig(choice.file).bus;
}

/** Where the program is recorded. */
function recordingFile(): string | undefined {
  return process.env['NODE_CXL_RECORD'] || undefined;
}

function recording() {
  return require('./record/record') as {
    recordProgram(file: string, binding: Binding): Binding;
    recordProgramBus(file: string, bus: PciBus): PciBus;
  };
}

function replay() {
  return require('./record/replay') as {
    replayProgram(file: string): Binding;
    replayProgramBus(file: string): PciBus;
  };
}

let mockByDefault = false;

/** Makes every entry point use the mock unless NODE_CXL_BACKEND names one: `node-cxl --mock`. */
export function preferMock(): void {
  mockByDefault = true;
}

type Choice =
  | { readonly kind: 'mock'; readonly file: string | undefined }
  | { readonly kind: 'replay'; readonly file: string }
  | { readonly kind: 'pslse'; readonly daemon: { readonly host: string; readonly port: number } };

/** Set outside the program, so that any program can run on either backend. */
function readChoice(what: string): 'native' | Choice {
  const given = process.env['NODE_CXL_BACKEND'] ?? '';
  const text = mockByDefault && !/^(mock|replay)/.test(given) ? 'mock' : given;
  debug('%s: %s', what, text || 'native');
  if (text === '' || text === 'native') return 'native';
  if (text === 'mock') return { kind: 'mock', file: undefined };
  if (/^mock:./.test(text)) return { kind: 'mock', file: text.slice('mock:'.length) };
  if (/^replay:./.test(text)) return { kind: 'replay', file: text.slice('replay:'.length) };
  const pslse = /^pslse:([^:]+):(\d{1,5})$/.exec(text);
  const port = Number(pslse?.[2]);
  if (pslse !== null && port >= 1 && port <= 0xffff) {
    return { kind: 'pslse', daemon: { host: pslse[1]!, port } };
  }
  const expected = "'native', 'mock', 'mock:FILE.json', 'replay:FILE' or 'pslse:HOST:PORT'";
  throw valueError('NODE_CXL_BACKEND', expected, text);
}
