import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const { nativeBinding } = createRequire(import.meta.url)(path.resolve('dist/native'));
const { sysfs } = nativeBinding();

const ENOENT = -2;
const EISDIR = -21;
const ENOTDIR = -20;
const EINVAL = -22;

describe('the addon’s sysfs', () => {
  let folder: string;
  let file: string;

  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'attribute-'));
    file = path.join(folder, 'file');
  });

  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  it('reads a file to its end, however long', async () => {
    for (const size of [0, 1, 8191, 8192, 8193, 100_000]) {
      const bytes = Buffer.alloc(size, 'attribute');
      writeFileSync(file, bytes);
      expect(bytes.equals(sysfs.readSync(file))).toBe(true);
      expect(bytes.equals(await sysfs.read(file))).toBe(true);
    }
  });

  it('reads a part of a file', async () => {
    const bytes = Buffer.from(Array.from({ length: 20_000 }, (_, i) => i % 251));
    writeFileSync(file, bytes);
    for (const [offset, length] of [
      [0, 0],
      [0, 1],
      [8190, 5],
      [3, 19_000],
      [19_999, 100],
      [20_000, 1],
      [5, undefined],
    ] as const) {
      const end = length === undefined ? undefined : offset + length;
      const read = await sysfs.read(file, offset, length);
      expect(bytes.subarray(offset, end).equals(read), `${offset}, ${length}`).toBe(true);
    }
  });

  it('writes, lists and resolves', async () => {
    mkdirSync(path.join(folder, 'sub'));
    symlinkSync('sub', path.join(folder, 'link'));
    writeFileSync(file, '');
    expect(await sysfs.write(file, 'text')).toBe(0);
    expect(readFileSync(file, 'utf8')).toBe('text');
    expect((await sysfs.readdir(folder)).sort()).toEqual(['file', 'link', 'sub']);
    expect(await sysfs.realpath(path.join(folder, 'link'))).toBe(path.join(folder, 'sub'));
  });

  it('answers the error of the system otherwise', async () => {
    const absent = path.join(folder, 'absent');
    expect(sysfs.readSync(absent)).toBe(ENOENT);
    expect(sysfs.readSync(folder)).toBe(EISDIR);
    expect(await sysfs.readdir(absent)).toBe(ENOENT);
    expect(await sysfs.readdir(file)).toBe(ENOTDIR);
    expect(await sysfs.realpath(absent)).toBe(ENOENT);
    expect(await sysfs.write(absent, '1')).toBe(ENOENT);
    for (const call of ['readdir', 'read', 'realpath', 'write']) {
      expect(await sysfs[call](`${file}\0`, ''), call).toBe(EINVAL);
      expect(() => sysfs[call](1), call).toThrow(TypeError);
    }
    expect(() => sysfs.readSync(1)).toThrow(TypeError);
    expect(() => sysfs.write(file, 1)).toThrow(TypeError);
  });
});
