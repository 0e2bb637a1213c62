/**
 * The conformance suite over recordings. With CXL_RECORDED=FOLDER each test has a recording of what it
 * did with its system; with CXL_TARGET=replay too it gets that again, without the device: its outcome
 * must be the same, and it must make every call again.
 *
 * What tests do to the device itself is no call of the driver. Its results are beside the recordings; a
 * replay does nothing but give them again, since what it caused is in the recording.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Cxl, cxl } from 'node-cxl';
import { type GlobalSystem, setGlobalSystem } from 'node-cxl/mock';
import { RecordedCxl, type ReplayedCxl, recordCxl, replayCxl } from 'node-cxl/record';
import { afterEach, beforeEach } from 'vitest';
import type { DeviceSide, Need, Target } from '../target';
import { IN_REAL_TIME, LIVE_TESTS } from './replayable.mjs';

const folder = process.env['CXL_RECORDED'];
export const REPLAYS = process.env['CXL_TARGET'] === 'replay';

/** Of the running test: its files without the end of their names, and its systems. */
let place = '';
let systems: (RecordedCxl | ReplayedCxl)[] = [];
let timing: 'immediate' | 'recorded' = 'immediate';

if (folder !== undefined) {
  mkdirSync(folder, { recursive: true });
  // The first hooks of a file: what its own hooks do is recorded too.
  beforeEach(({ task, skip }) => {
    // The id of a test has its place in the file, behind a hash of the project and the file.
    const index = task.id.replace(/^-?\d+/, '').replaceAll('_', '-');
    const name = nameOf(task.file);
    place = path.join(folder, name + index);
    const live = LIVE_TESTS[name]?.[task.name];
    if (REPLAYS && live !== undefined) skip(`on a recording: ${live}`);
    timing = IN_REAL_TIME[name]?.includes(task.name) ? 'recorded' : 'immediate';
    systems = [];
  });
  afterEach(() => {
    for (const system of systems) {
      if (system instanceof RecordedCxl) system.stop();
      else system.assertFinished();
    }
  });
}

function nameOf(file: { readonly name: string }): string {
  return path.basename(file.name, '.test.ts');
}

/**
 * A system of the running test: recorded, or replayed, where that is asked for. `make` makes the system
 * that is recorded, or used as it is.
 */
export function systemOfTest(make: () => Cxl): Cxl {
  if (folder === undefined) return make();
  const file = `${place}-${systems.length}.cxlrec`;
  const system = REPLAYS
    ? replayCxl(file, { timing })
    : recordCxl(make(), { file, maxMemory: 2 ** 30 });
  systems.push(system);
  return system;
}

/** The same target, recorded where that is asked for. */
export function maybeRecorded(target: Target): Target {
  if (folder === undefined || REPLAYS) return target;
  const { system, device, has, ...rest } = target;
  writeFileSync(descriptionFile(folder), JSON.stringify({ ...rest, has: [...has] }));
  let results: unknown[] = [];
  const keep = <T>(result: T): T => {
    results.push(result);
    return result;
  };
  standIn(() => system);
  beforeEach(() => {
    results = [];
  });
  afterEach(() => writeFileSync(`${place}.json`, JSON.stringify(results)));
  return {
    ...target,
    system: cxl,
    device: {
      ...device,
      writeAttribute: async (...values) => keep(await device.writeAttribute(...values)),
      usage: async () => keep(await device.usage()),
    },
  };
}

/** The target that was recorded. */
export async function replayTarget(): Promise<Target> {
  if (folder === undefined) throw new Error('CXL_RECORDED: no folder of recordings');
  const file = descriptionFile(folder);
  if (!existsSync(file))
    throw new Error(`no recordings in ${folder}: run the project that makes them`);
  const description = JSON.parse(readFileSync(file, 'utf8')) as Description;
  let results: unknown[] = [];
  standIn(() => {
    throw new Error('a replay makes no system');
  });
  beforeEach(() => {
    results = JSON.parse(readFileSync(`${place}.json`, 'utf8')) as unknown[];
  });
  const next = <T>() => results.shift() as T;
  const has = new Set(description.has);
  const nothing = async () => undefined;
  return {
    ...description,
    has,
    system: cxl,
    device: {
      freeze: nothing,
      linkDown: nothing,
      linkUp: nothing,
      injectEventBytes: nothing,
      overrideAttribute: async () => nothing,
      writeAttribute: async () => next<string | null>() ?? undefined,
      setEnabled: nothing,
      usage: async () => next<Awaited<ReturnType<DeviceSide['usage']>>>(),
    },
  };
}

/** What a replay needs to know of the target that was recorded. */
type Description = Omit<Target, 'system' | 'has' | 'device'> & { readonly has: readonly Need[] };

function descriptionFile(of: string): string {
  return path.join(of, 'target.json');
}

/** Puts a system of its own in the place of `cxl` for each test. */
function standIn(make: () => Cxl): void {
  let global: GlobalSystem;
  beforeEach(() => {
    global = setGlobalSystem(systemOfTest(make));
  });
  afterEach(() => global.restore());
}
