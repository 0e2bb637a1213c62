/** The README's whole program runs as it stands there. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const folder = path.dirname(createRequire(import.meta.url).resolve('node-cxl/package.json'));
const readme = readFileSync(path.join(folder, 'README.md'), 'utf8');

describe('the README', () => {
  it('has a first program that works on the mock', () => {
    const [, program] = /```js\n(.*?)```/s.exec(readme) ?? [];
    const output = execFileSync(
      process.execPath,
      ['--input-type=module', '-e', program as string],
      {
        cwd: folder,
        encoding: 'utf8',
        env: { ...process.env, NODE_CXL_BACKEND: 'mock' },
      },
    );
    expect(output).toMatch(/^afu0\.0 afu_directed$/m);
    expect(output).toContain('Hello, accelerator');
  }, 60_000);
});
