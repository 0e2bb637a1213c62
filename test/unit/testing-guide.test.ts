/** Every program and test in lib/mock/TESTING.md works. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const require = createRequire(import.meta.url);
const folder = path.dirname(require.resolve('node-cxl/package.json'));
const guide = readFileSync(path.join(folder, 'lib/mock/TESTING.md'), 'utf8');
const blocks = [...guide.matchAll(/^```js\n(.*?)^```$/gms)].map(([, text]) => text as string);
const files = new Map(
  blocks.flatMap((text) => {
    const name = /^\/\/ (\S+\.mjs)\n/.exec(text)?.[1];
    return name === undefined ? [] : [[name, text] as const];
  }),
);

/** Without it vitest finds that of this project. */
const CONFIG = 'vitest.config.mjs';

/** Within the package, so that the example finds `node-cxl` and `vitest` by their names. */
let scratch: string;

beforeAll(() => {
  mkdirSync(path.join(folder, 'build'), { recursive: true });
  scratch = mkdtempSync(path.join(folder, 'build/testing-guide-'));
  writeFileSync(
    path.join(scratch, CONFIG),
    "export default { test: { include: ['*.test.mjs'] } };\n",
  );
  for (const [name, text] of files) writeFileSync(path.join(scratch, name), text);
});

afterAll(() => rmSync(scratch, { recursive: true }));

async function run(args: string[], env: NodeJS.ProcessEnv = {}) {
  const { NODE_OPTIONS: _, VITEST: __, ...rest } = process.env;
  return promisify(execFile)(process.execPath, args, {
    cwd: scratch,
    env: { ...rest, NO_COLOR: '1', ...env },
  });
}

describe('the guide to testing', { timeout: 120_000 }, () => {
  it('has a program, tests for vitest and node:test, and a program on a mock', () => {
    const names = [...files.keys()];
    expect(names.filter((name) => name.endsWith('.test.mjs'))).toHaveLength(6);
    expect(names.filter((name) => name.endsWith('.node-test.mjs'))).toHaveLength(2);
    expect(blocks).toHaveLength(names.length + 1);
  });

  it('has tests that pass under vitest', async () => {
    const vitest = path.join(path.dirname(require.resolve('vitest/package.json')), 'vitest.mjs');
    const { stdout } = await run([vitest, 'run', '--root', scratch, '--config', CONFIG]);
    expect(stdout).toMatch(/Test Files +6 passed \(6\)/);
    expect(stdout).toMatch(/Tests +8 passed \(8\)/);
  });

  it('has tests that pass under node:test', async () => {
    const names = [...files.keys()].filter((name) => name.endsWith('.node-test.mjs'));
    const { stdout } = await run(['--test', '--test-reporter=tap', ...names]);
    expect(stdout).toMatch(/^# pass 4$/m);
    expect(stdout).toMatch(/^# fail 0$/m);
  });

  it('has a program that reaches the device from NODE_CXL_BACKEND=mock', async () => {
    const text = blocks.find((block) => block.includes('mockOf(cxl)'));
    const { stdout } = await run(['--input-type=module', '-e', text!], {
      NODE_CXL_BACKEND: 'mock',
    });
    expect(stdout).toBe('afu0.0 frozen\n');
  });

  it('names every fault and behavior that there are', () => {
    const spec = readFileSync(path.join(folder, 'lib/mock/kernel/fault-spec.ts'), 'utf8');
    const names = spec
      .slice(spec.indexOf('REFUSABLE_CALLS'), spec.indexOf('export type RefusableCall'))
      .matchAll(/^ {2}'([a-z-]+)',$/gm);
    for (const [, name] of names) expect(guide).toContain(`\`${name}\``);
    const behaviors = readFileSync(path.join(folder, 'lib/mock/models/behaviors.ts'), 'utf8');
    for (const [, name] of behaviors.matchAll(/^export function (\w+)/gm)) {
      expect(guide).toContain(`\`${name}(`);
    }
  });
});
