import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AfuFile, DeviceFile, MemoryRegion, ProblemStateMapping } from '../../lib/binding';
import type { LunCalls } from '../../lib/binding/flash';
import type * as nativeModule from '../../lib/native';
import { ended, prelude, runNode } from './child';

const require = createRequire(import.meta.url);
const { nativeBinding } = require('../../dist/native') as typeof nativeModule;
const addon = nativeBinding();
const request = { size: 4096, alignment: 4096, hugePages: 'none', numaNode: -1 } as const;
const work = { flags: 0n, workElementDescriptor: 1n };
const offset = new Float64Array(addon.operands, 0, 1);

type Methods = Record<string, (...args: unknown[]) => unknown>;

/** The methods of its class. Accesses are its own, bound to it, and look at no receiver. */
function methodsOf(object: object): string[] {
  return Object.getOwnPropertyNames(Object.getPrototypeOf(object)).filter(
    (name) => name !== 'constructor',
  );
}

function accessesOf(object: object): string[] {
  return Object.getOwnPropertyNames(object).filter(
    (name) => typeof (object as Methods)[name] === 'function',
  );
}

/** Calls a method, or a getter, on another receiver. */
function callOn(object: object, name: string, receiver: unknown): unknown {
  const descriptor = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(object), name);
  const body = descriptor?.get ?? (object as Methods)[name];
  return Reflect.apply(body as () => unknown, receiver, [0n, 0n, 0n, 0, () => undefined]);
}

/** The test copies what was built; the packed package, under emulation, has it elsewhere. */
const inRepository = existsSync('build/Release/node_cxl.node');
const reason = inRepository ? '' : ' [skipped: needs the repository]';

describe('objects of the addon', () => {
  let file: AfuFile;
  let lun: DeviceFile<LunCalls>;
  let mapping: ProblemStateMapping;
  let memory: MemoryRegion;
  let objects: Record<string, object>;

  beforeAll(async () => {
    file = (await addon.openAfu('/dev/cxl/afu0.0s')) as AfuFile;
    lun = (await addon.flash!.openLun('/dev/sg90')) as DeviceFile<LunCalls>;
    expect(await file.ioctl('START_WORK', work)).toEqual({ tid: 0 });
    mapping = file.map(0, 4096, 'big') as ProblemStateMapping;
    memory = addon.allocate(request) as MemoryRegion;
    objects = { AfuFile: file, DeviceFile: lun, ProblemState: mapping, MemoryRegion: memory };
  });

  afterAll(async () => {
    await lun.close();
    await file.close();
  });

  it('refuse a receiver of another class', () => {
    for (const [name, object] of Object.entries(objects)) {
      const strangers = Object.entries(objects)
        .filter(([other]) => other !== name)
        .map(([, other]) => other);
      expect(methodsOf(object).length, name).toBeGreaterThan(0);
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

  it('of another copy of the addon in the process are refused', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'node-cxl-copy-'));
    const copy = path.join(folder, 'node_cxl.node');
    const loaded = Object.keys(require.cache).find((name) => name.endsWith('.node'));
    const original = loaded ?? path.resolve('build/Release/node_cxl.node');
    copyFileSync(process.env['CXL_TEST_ADDON'] ?? original, copy);
    const module = { exports: {} as typeof addon };
    process.dlopen(module, copy, constants.dlopen.RTLD_NOW);
    rmSync(folder, { recursive: true });
    expect(module.exports.openAfu).not.toBe(addon.openAfu);
    const other = (await module.exports.openAfu('/dev/cxl/afu0.0s')) as AfuFile;
    expect(other.fd).toBeGreaterThan(0);
    for (const method of methodsOf(file)) {
      expect(() => callOn(file, method, other), method).toThrow(TypeError);
      expect(() => callOn(other, method, file), method).toThrow(TypeError);
    }
    expect(await other.close()).toBe(0);
  });

  it.skipIf(!inRepository)(
    `of another copy of the package: each knows the holders of all${reason}`,
    async () => {
      const child = await runNode(
        `${prelude}
      import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
      const folder = mkdtempSync('/tmp/node-cxl-copy-');
      for (const part of ['dist', 'build/Release/node_cxl.node', 'package.json']) {
        cpSync(part, folder + '/' + part, { recursive: true });
      }
      symlinkSync(process.cwd() + '/node_modules', folder + '/node_modules');
      const other = require(folder + '/dist/index.js');
      const code = (call) => { try { call(); return 'done'; } catch (error) { return error.code; } };
      const memories = Array.from({ length: 4 }, () => cxl.allocate(4096));
      const [whole, bytes, disposed, piecewise] = memories;
      console.log(other.cxl !== cxl, whole instanceof other.Memory, other.cxl.addressOf(whole) === whole.address);
      const context = await other.cxl.open(device);
      rmSync(folder, { recursive: true });
      await context.attach({ wed: whole.address | 1n, holds: [whole, bytes.buffer] });
      context.hold(disposed);
      context.hold(new Uint8Array(piecewise.buffer, 64));
      disposed[Symbol.dispose]();
      console.log(code(() => whole.free()), code(() => bytes.free()), disposed.freed, code(() => piecewise.free()));
      context.release(piecewise);
      console.log(code(() => piecewise.free()));
      await context.close();
      console.log(code(() => whole.free()), code(() => bytes.free()), disposed.freed);
      `,
      );
      expect(child).toEqual(
        ended('true false true\nEBUSY EBUSY false EBUSY\ndone\ndone done true\n'),
      );
    },
    60_000,
  );

  it('bind their accesses: the receiver is not looked at', () => {
    const other = file.map(4096, 4096, 'big') as ProblemStateMapping;
    expect(accessesOf(mapping)).toHaveLength(6);
    expect(accessesOf(memory)).toHaveLength(8);
    offset[0] = 8;
    for (const receiver of [other, undefined, {}]) {
      expect(Reflect.apply(mapping.read64, receiver, [])).toBe(true);
    }
    expect(() => Reflect.construct(mapping.read64, [])).not.toThrow();
    other.unmap();
    expect(other.read64()).toBe(false);
    expect(mapping.read64()).toBe(true);
  });

  it('keep what an access needs out of reach', () => {
    for (const [object, access] of [
      [mapping, mapping.read64],
      [memory, memory.load64],
    ] as const) {
      const property = Object.getOwnPropertyDescriptor(access, 'object');
      expect(property).toMatchObject({ value: object, writable: false, configurable: false });
    }
    // Unlike an ArrayBuffer, this one cannot lose its bytes.
    expect(addon.operands).toBeInstanceOf(SharedArrayBuffer);
  });

  it('cannot be constructed', () => {
    for (const object of Object.values(objects)) {
      const Constructor = object.constructor as new (...args: unknown[]) => unknown;
      expect(() => new Constructor()).toThrow(TypeError);
      expect(() => new Constructor(object)).toThrow(TypeError);
      expect(() => Reflect.construct(Object, [], Constructor)).not.toThrow();
      expect(() => Reflect.construct(Constructor, [], Object)).toThrow(TypeError);
    }
  });

  it('refuse arguments of another type without touching the device', () => {
    const calls = { mapping, memory, file, lun, addon } as unknown as Record<string, Methods>;
    for (const call of [
      () => calls['mapping']!['readBlock']?.(0, new Uint8Array(8)),
      () => calls['mapping']!['readBlock']?.(0, new Float64Array(8)),
      () => calls['mapping']!['writeBlock']?.(0, {}),
      () => calls['mapping']!['writeBlock']?.(),
      () => calls['mapping']!['readBlock']?.('0', new Uint32Array(1)),
      () => calls['addon']!['addressOf']?.({}),
      () => calls['addon']!['addressOf']?.(new ArrayBuffer(8)),
      () => calls['addon']!['allocate']?.(),
      () => calls['addon']!['allocate']?.({ ...request, size: Symbol('size') }),
      () => calls['addon']!['adoptAfu']?.('3', true),
      () => calls['addon']!['openAfu']?.(3),
      () => calls['addon']!['lockRange']?.(0, 0),
      () => calls['file']!['map']?.(0, 0, 'big'),
      () => calls['file']!['map']?.(-4096, 4096, 'big'),
      () => calls['file']!['map']?.(0, 4096),
      () => calls['file']!['ioctlSync']?.('START_WORK'),
      () => calls['file']!['ioctlSync']?.('START_WORK', { ...work, flags: 1 }),
      () => calls['file']!['ioctlSync']?.('START_WORK', { ...work, numInterrupts: 1n }),
      () => calls['file']!['ioctlSync']?.('FORMAT', {}),
      () => calls['file']!['ioctlSync']?.(0, {}),
      () => calls['file']!['ioctl']?.('START_WORK', 1),
      () => calls['lun']!['ioctl']?.('START_WORK', work),
    ]) {
      expect(call, String(call)).toThrow();
    }
  });

  it('pass on what a getter of an input throws', () => {
    const input = {
      get flags(): bigint {
        throw new RangeError('from the getter');
      },
    };
    expect(() => file.ioctlSync('START_WORK', input as never)).toThrow('from the getter');
    expect(() => file.ioctl('START_WORK', input as never)).toThrow('from the getter');
  });

  it('refuse accesses outside their range', () => {
    for (const wrong of [-8, 4, 4092, 4096, 2 ** 53 - 8, -(2 ** 40), 2 ** 70, Number.NaN]) {
      offset[0] = wrong;
      for (const access of [mapping.read64, mapping.write64, memory.load64, memory.store64]) {
        expect(access, `${access.name} ${wrong}`).toThrow(RangeError);
      }
    }
    expect(() => mapping.readBlock(8, new BigUint64Array(512))).toThrow(RangeError);
    expect(() => mapping.writeBlock(4, new BigUint64Array(1))).toThrow(RangeError);
    expect(mapping.readBlock(4088, new BigUint64Array(1))).toBe(1);
  });

  it('do nothing once closed, unmapped or freed', async () => {
    const closed = (await addon.openAfu('/dev/cxl/afu0.0s')) as AfuFile;
    expect(await closed.ioctl('START_WORK', work)).toEqual({ tid: 0 });
    const area = closed.map(0, 4096, 'big') as ProblemStateMapping;
    const closing = closed.close();
    expect(closed.close()).toBe(closing);
    expect(closed.fd).toBe(-1);
    expect(await closing).toBe(0);
    offset[0] = 0;
    for (const access of [area.read32, area.read64, area.write32, area.write64]) {
      expect(access()).toBe(false);
    }
    expect(area.readBlock(0, new Uint32Array(1))).toBe(0);
    expect(closed.ioctlSync('GET_AFU_ID', {})).toBe(-9);
    expect(await closed.ioctl('GET_AFU_ID', {})).toBe(-9);
    expect(closed.map(0, 4096, 'big')).toBe(-9);
    closed.arm();
    closed.disarm();
    const freed = addon.allocate(request) as MemoryRegion;
    freed.detach();
    freed.detach();
    freed.free();
    freed.free();
    expect(freed.load8).toThrow('freed');
    expect(freed.store64).toThrow('freed');
  });

  it('close after the ioctls that are under way', async () => {
    const slow = (await addon.openAfu('/dev/cxl/afu0.0s')) as AfuFile;
    const done: string[] = [];
    const started = slow.ioctl('START_WORK', work).then((answer) => {
      done.push('START_WORK');
      return answer;
    });
    const closing = slow.close().then((answer) => {
      done.push('close');
      return answer;
    });
    expect(await slow.ioctl('GET_AFU_ID', {})).toBe(-9);
    expect([await started, await closing]).toEqual([{ tid: 0 }, 0]);
    expect(done).toEqual(['START_WORK', 'close']);
  });
});
