// What cbor.ts needs of the library: bundled into dist/record/cborg.js.
export { decodeFirst, encode, Tagged } from 'cborg';
export { bigIntDecoder, bigNegIntDecoder, structBigIntEncoder } from 'cborg/taglib';
