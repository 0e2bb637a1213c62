// The JSON file of NODE_CXL_BACKEND=mock:FILE: any text, and what resembles the schema.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root } from '../../../lib/build/files.mjs';
import { Input } from '../input.mjs';
import { few, load, outcomeOf, outcomeOfSync } from './support.mjs';

const { readConfig } = load('mock/config/config-file.js');
const { MockCxl } = load('mock/mock-cxl.js');

const location = path.join(root, 'lib/mock/config/mock-config.schema.json');
const schema = JSON.parse(readFileSync(location, 'utf8'));
const folder = mkdtempSync(path.join(tmpdir(), 'node-cxl-fuzz-'));
const file = path.join(folder, 'config.json');
process.on('exit', () => rmSync(folder, { recursive: true }));

const ODD = [null, -1, 0.5, 2 ** 53, '', 'bananas', true, [], {}, [null], { length: 1 }];

export const target = {
  maxLength: 400,
  modules: [
    'mock/config/config-file.js',
    'mock/config/options.js',
    'mock/device/card-options.js',
    'mock/flash/options.js',
    'mock/kernel/fault-spec.js',
  ],
  dictionary: ['{"cards":[', '"__proto__":', '"faults":[{', '"flash":[{}]', '"doe":[{}]', 'null'],
  async run(bytes) {
    const input = new Input(bytes);
    // The first byte: plain text, or a value that follows the schema, but for an odd one here and there.
    const follows = input.below(4) > 0;
    const text = follows ? JSON.stringify(value(schema, input, 0)) : input.rest().toString('utf8');
    writeFileSync(file, text);
    let config;
    const outcome = outcomeOfSync(
      () => {
        try {
          config = readConfig(file);
        } catch (error) {
          assert.ok(
            error.message.startsWith(file),
            `an error that does not name the file: ${error.message}`,
          );
          throw error;
        }
      },
      () => 'read',
    );
    // A file that it names would be made.
    if (config === undefined || text.includes('"file"')) return `${follows} ${outcome}`;
    return `${follows} ${outcome} ${await use(config)}`;
  },
};

/** What was accepted can be used. */
async function use({ options, doe }) {
  // With a seed, a mock with random faults does not print one.
  const system = new MockCxl({ seed: 1, ...options });
  const adapters = await outcomeOf(
    () => system.adapters(),
    (all) => few(all.length),
  );
  const scans = await outcomeOf(
    () => doe.scan(),
    (all) => few(all.length),
  );
  const { files, mappings, bytes, contexts } = system.counters;
  assert.deepEqual([files, mappings, bytes, contexts], [0, 0, 0, 0]);
  return `${adapters} ${scans}`;
}

/** A value that the schema allows, as the input chooses. */
function value(of, input, depth) {
  if (input.below(48) === 47) return input.pick(ODD);
  if (of.$ref !== undefined) return value(find(of.$ref), input, depth);
  if (of.enum !== undefined) return input.pick(of.enum);
  const several = of.anyOf ?? of.oneOf;
  if (several !== undefined) return value(input.pick(several), input, depth);
  const { minimum = 0, maximum = 2 ** 32, multipleOf = 1 } = of;
  switch (of.type) {
    case 'boolean':
      return input.below(2) === 1;
    case 'number':
    case 'integer':
      return input.pick([
        () => minimum,
        () => maximum,
        () => Math.min(maximum, minimum + input.byte() * multipleOf),
        () => minimum - multipleOf,
        () => maximum + multipleOf,
        () => input.uint32() / 3,
      ])();
    case 'string':
      return string(input);
    case 'array':
      return Array.from({ length: input.below(4) }, () => value(of.items, input, depth + 1));
    case 'object':
      return object(of, input, depth);
    default:
      return null;
  }
}

/** Of a pattern: some that fit the patterns that there are, and others. */
function string(input) {
  return input.pick([
    () => '0000:01:00.0',
    () => '60025380025382462300000000000000',
    () => '1.0',
    () => '2.0',
    () => '/sys/class/cxl/*',
    () => input.bytes(input.below(12)).toString('latin1'),
  ])();
}

function object({ properties = {}, required = [] }, input, depth) {
  const names = Object.keys(properties);
  const chosen = new Set(input.below(16) === 15 ? [] : required);
  // Deep in, few: the input would be used up for what matters least.
  for (let count = input.below(depth === 0 ? 6 : 4); count > 0; count -= 1) {
    if (names.length > 0) chosen.add(input.pick(names));
  }
  // A file would be made.
  chosen.delete('file');
  const made = Object.fromEntries(
    [...chosen].map((name) => [name, value(properties[name] ?? {}, input, depth + 1)]),
  );
  return input.below(32) === 31 ? { ...made, [input.bytes(4).toString('latin1')]: 1 } : made;
}

function find(reference) {
  return reference
    .split('/')
    .slice(1)
    .reduce((at, name) => at[name], schema);
}
