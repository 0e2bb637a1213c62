import { createRequire } from 'node:module';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type * as addonModule from '../../lib/native/addon';

const require = createRequire(import.meta.url);
const { loadAddon } = require('../../dist/native/addon.js') as typeof addonModule;
const addon = loadAddon();

type Methods = Record<string, (...args: unknown[]) => unknown>;

function opened(): Promise<addonModule.AddonAfuFile> {
  return new Promise((resolve, reject) =>
    addon.openAfu('/dev/cxl/afu0.0s', (file) =>
      typeof file === 'number' ? reject(new Error(`open: ${file}`)) : resolve(file),
    ),
  );
}

/** Its class' methods, and those of its own (an access is bound to its object). */
function methodsOf(object: object): string[] {
  const inherited = Object.getOwnPropertyNames(Object.getPrototypeOf(object)).filter(
    (name) => name !== 'constructor',
  );
  const own = Object.getOwnPropertyNames(object).filter(
    (name) => typeof (object as Methods)[name] === 'function',
  );
  return [...inherited, ...own];
}

/** Calls a method, or a getter, on another receiver. */
function callOn(object: object, name: string, receiver: unknown): unknown {
  const descriptor = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(object), name);
  const body = descriptor?.get ?? (object as Methods)[name];
  return Reflect.apply(body as () => unknown, receiver, [0n, 0n, 0n, 0, () => undefined]);
}

describe('objects of the addon', () => {
  let file: addonModule.AddonAfuFile;
  const objects: Record<string, object> = {};

  beforeAll(async () => {
    file = await opened();
    await new Promise<number>((settle) => file.startWork(0n, 1n, 0n, 0, settle));
    objects['AfuFile'] = file;
    objects['ProblemStateMapping'] = file.map(0, 4096, true) as addonModule.AddonMapping;
    objects['MemoryRegion'] = addon.allocate(4096, 4096, 0, -1) as addonModule.AddonMemory;
  });

  afterAll(async () => {
    await new Promise<number>((settle) => file.close(settle));
  });

  it('refuse a receiver of another class', () => {
    for (const [name, object] of Object.entries(objects)) {
      const strangers = Object.entries(objects)
        .filter(([other]) => other !== name)
        .map(([, other]) => other);
      expect(methodsOf(object).length).toBeGreaterThan(3);
      for (const method of methodsOf(object)) {
        for (const stranger of strangers) {
          expect(() => callOn(object, method, stranger), `${name}.${method}`).toThrow(TypeError);
        }
      }
    }
  });

  it('refuse a receiver that is no object of the addon', () => {
    for (const [name, object] of Object.entries(objects)) {
      const strangers = [undefined, null, 1, 'text', {}, () => undefined, new Proxy(object, {})];
      for (const method of methodsOf(object)) {
        for (const stranger of [...strangers, Object.create(object) as object]) {
          expect(() => callOn(object, method, stranger), `${name}.${method}`).toThrow(TypeError);
        }
      }
    }
  });

  it('refuse an object that only borrows the prototype', () => {
    for (const [name, object] of Object.entries(objects)) {
      const borrowed = Object.create(Object.getPrototypeOf(object) as object) as object;
      for (const method of methodsOf(object)) {
        expect(() => callOn(object, method, borrowed), `${name}.${method}`).toThrow(TypeError);
      }
    }
  });

  it('refuse another object of the same class where a method is bound to its own', () => {
    const [one, two] = [0, 4096].map((offset) => file.map(offset, 4096, true)) as [
      addonModule.AddonMapping,
      addonModule.AddonMapping,
    ];
    expect(() => one.read64.call(two, 0)).toThrow(TypeError);
    expect(() => Reflect.construct(one.read64, [0])).toThrow(TypeError);
    expect(typeof two.read64(0)).toBe('bigint');
  });

  it('cannot be constructed', () => {
    for (const object of Object.values(objects)) {
      const Constructor = object.constructor as new () => unknown;
      expect(() => new Constructor()).toThrow(TypeError);
      expect(() => Reflect.construct(Object, [], Constructor)).not.toThrow();
      expect(() => Reflect.construct(Constructor, [], Object)).toThrow(TypeError);
    }
  });

  it('refuse arguments of another type without touching the device', () => {
    const mapping = objects['ProblemStateMapping'] as unknown as Methods;
    const memory = objects['MemoryRegion'] as unknown as Methods;
    for (const call of [
      () => mapping['read64']?.(),
      () => mapping['read64']?.('0'),
      () => mapping['write64']?.(0, 1),
      () => mapping['write32']?.(0, 1n),
      () => mapping['readBlock']?.(0, new Uint8Array(8)),
      () => mapping['readBlock']?.(0, new Float64Array(8)),
      () => mapping['writeBlock']?.(0, {}),
      () => memory['load']?.(0, 3, true),
      () => memory['store']?.(0, 8, 0, true),
      () => memory['load64']?.(0n, true),
      () => memory['free']?.(),
      () => addon.addressOf({} as ArrayBuffer),
      () => (file as unknown as Methods)['map']?.(0, 0, true),
      () => (file as unknown as Methods)['startWorkSync']?.(1, 2, 3, 4),
    ]) {
      expect(call).toThrow();
    }
  });

  it('refuse accesses outside their range', () => {
    const mapping = objects['ProblemStateMapping'] as addonModule.AddonMapping;
    const memory = objects['MemoryRegion'] as addonModule.AddonMemory;
    for (const offset of [-8, 4, 4092, 4096, 2 ** 53 - 8, -(2 ** 40)]) {
      expect(() => mapping.read64(offset), `read64 ${offset}`).toThrow(RangeError);
      expect(() => mapping.write64(offset, 0n), `write64 ${offset}`).toThrow(RangeError);
      expect(() => memory.load64(offset, true), `load64 ${offset}`).toThrow(RangeError);
      expect(() => memory.store64(offset, 0n, true), `store64 ${offset}`).toThrow(RangeError);
    }
    expect(() => mapping.readBlock(8, new BigUint64Array(512))).toThrow(RangeError);
    expect(() => mapping.writeBlock(4, new BigUint64Array(1))).toThrow(RangeError);
    expect(mapping.readBlock(4088, new BigUint64Array(1))).toBe(1);
  });
});
