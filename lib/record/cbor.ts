/**
 * CBOR (RFC 8949). The library is bundled into cborg.js beside this file by lib/build/build.mjs, so
 * that the package depends on nothing more at run time.
 */
type Cborg = typeof import('cborg', { with: { 'resolution-mode': 'import' }});
type Taglib = typeof import('cborg/taglib', { with: { 'resolution-mode': 'import' }});

const { encode, decodeFirst, Tagged, structBigIntEncoder, bigIntDecoder, bigNegIntDecoder } =
  require('./cborg.js') as Pick<Cborg, 'encode' | 'decodeFirst' | 'Tagged'> &
    Pick<Taglib, 'structBigIntEncoder' | 'bigIntDecoder' | 'bigNegIntDecoder'>;

/** Tags of arrays of numbers, little-endian (RFC 8746). */
export const ARRAY_TAGS = { UINT8: 64, UINT32: 70, UINT64: 71, FLOAT64: 86 } as const;

const ENCODING = {
  // A bigint stays one: always a bignum (tag 2), also where it would fit an integer.
  typeEncoders: { bigint: structBigIntEncoder },
  ignoreUndefinedProperties: true,
};

const DECODING = {
  tags: {
    2: bigIntDecoder,
    3: bigNegIntDecoder,
    ...Object.fromEntries(
      Object.values(ARRAY_TAGS).map((tag) => [tag, (decode: () => unknown) => decode()]),
    ),
  },
};

/** One item. */
export function encodeItem(value: unknown): Uint8Array {
  return encode(value, ENCODING);
}

/** The bytes of an array of numbers, marked as one. */
export function numbers(tag: number, bytes: Uint8Array): unknown {
  return new Tagged(tag, bytes);
}

/** The first item, and the bytes after it. @throws Error: the bytes are not well-formed CBOR */
export function decodeItem(bytes: Uint8Array): [value: unknown, rest: Uint8Array] {
  return decodeFirst(bytes, DECODING);
}
