// Makes a new input of one or two that are known.
import { readFileSync } from 'node:fs';

const NUMBERS = [0, 1, 2, 4, 7, 8, 15, 16, 17, 24, 31, 32, 63, 64, 127, 128, 255];
const WIDE_NUMBERS = [
  256,
  4095,
  4096,
  4097,
  32767,
  32768,
  65535,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
];

/** The numbers and strings in the source of modules, as bytes: what their comparisons look for. */
export function constantsOf(files) {
  const found = new Map();
  const add = (bytes) => found.set(bytes.toString('latin1'), bytes);
  for (const file of files) {
    const source = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    for (const [, text] of source.matchAll(/'([^'\\\n]{1,40})'/g)) add(Buffer.from(text));
    for (const [text] of source.matchAll(/\b(?:0x[0-9a-f_]+|\d[\d_]*)\b/gi)) {
      const value = Number(text.replaceAll('_', ''));
      if (value < 0x100) add(Buffer.of(value));
      else if (value < 0x10000) for (const endian of ['LE', 'BE']) add(encoded(16, endian, value));
      else if (value < 2 ** 32) for (const endian of ['LE', 'BE']) add(encoded(32, endian, value));
    }
  }
  return [...found.values()];
}

function encoded(bits, endian, value) {
  const bytes = Buffer.alloc(bits / 8);
  bytes[`writeUInt${bits}${endian}`](value);
  return bytes;
}

/** Each makes one change of `bytes`; `other` is another known input. */
const CHANGES = [
  (bytes, { random }) => {
    bytes[random.integer(0, bytes.length - 1)] ^= 1 << random.integer(0, 7);
    return bytes;
  },
  (bytes, { random }) => {
    bytes[random.integer(0, bytes.length - 1)] = random.integer(0, 255);
    return bytes;
  },
  (bytes, { random }) => {
    bytes[random.integer(0, bytes.length - 1)] = random.pick(NUMBERS);
    return bytes;
  },
  (bytes, { random }) => {
    bytes[random.integer(0, bytes.length - 1)] += random.integer(-8, 8);
    return bytes;
  },
  (bytes, { random }) => {
    const value = random.pick([...NUMBERS, ...WIDE_NUMBERS]);
    const bits = value < 0x10000 && random.chance(0.6) ? 16 : 32;
    return overwrite(bytes, encoded(bits, random.pick(['LE', 'BE']), value), random);
  },
  (bytes, { random, dictionary }) => overwrite(bytes, random.pick(dictionary), random),
  (bytes, { random, dictionary }) => insert(bytes, random.pick(dictionary), random),
  (bytes, { random }) => {
    const length = random.integer(1, random.pick([4, 16, 64]));
    const run = Buffer.alloc(length, random.pick([0, random.integer(0, 255)]));
    return insert(bytes, run, random);
  },
  (bytes, { random }) => {
    const [from, to] = part(bytes, random);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
  },
  (bytes, { random }) => {
    const [from, to] = part(bytes, random);
    return insert(bytes, bytes.subarray(from, to), random);
  },
  (bytes, { random, other }) => {
    const [from, to] = part(other, random);
    const piece = other.subarray(from, to);
    return random.chance(0.5) ? insert(bytes, piece, random) : overwrite(bytes, piece, random);
  },
  (bytes, { random, other }) => {
    const at = random.integer(0, bytes.length);
    return Buffer.concat([bytes.subarray(0, at), other.subarray(Math.min(at, other.length))]);
  },
  (bytes, { random }) => bytes.subarray(0, random.integer(0, bytes.length)),
];

function part(bytes, random) {
  const from = random.integer(0, bytes.length - 1);
  return [from, Math.min(bytes.length, from + random.integer(1, random.pick([4, 16, 64])))];
}

function overwrite(bytes, piece, random) {
  const at = random.integer(0, Math.max(0, bytes.length - piece.length));
  const changed = Buffer.from(bytes);
  piece.copy(changed, at);
  return changed;
}

function insert(bytes, piece, random) {
  const at = random.integer(0, bytes.length);
  return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
}

/** `known` changed one to six times; at most `maxLength` bytes. */
export function mutate(known, { random, dictionary, other, maxLength }) {
  let bytes = Buffer.from(known);
  for (let count = random.pick([1, 1, 1, 2, 2, 3, 4, 6]); count > 0; count -= 1) {
    if (bytes.length === 0) bytes = Buffer.of(random.integer(0, 255));
    const partner = other.length === 0 ? Buffer.of(0) : other;
    bytes = random.pick(CHANGES)(bytes, { random, dictionary, other: partner });
  }
  return bytes.subarray(0, maxLength);
}
