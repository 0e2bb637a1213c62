import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const { loadAddon } = createRequire(import.meta.url)(path.resolve('dist/native/addon.js'));
const addon = loadAddon();

describe('readAttribute', () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'attribute-'));
  });

  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  it('reads a file to its end, however long', () => {
    for (const size of [0, 1, 8191, 8192, 8193, 100_000]) {
      const bytes = Buffer.alloc(size, 'attribute');
      const file = path.join(folder, 'file');
      writeFileSync(file, bytes);
      expect(bytes.equals(addon.readAttribute(file))).toBe(true);
    }
  });

  it('answers the error of the system otherwise', () => {
    expect(addon.readAttribute(path.join(folder, 'absent'))).toBe(-2);
    expect(addon.readAttribute(folder)).toBe(-21);
    expect(() => addon.readAttribute(1)).toThrow();
  });
});
