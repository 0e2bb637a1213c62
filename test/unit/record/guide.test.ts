/** Every program and command in lib/record/RECORDING.md works. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const folder = path.dirname(createRequire(import.meta.url).resolve('node-cxl/package.json'));
const guide = readFileSync(path.join(folder, 'lib/record/RECORDING.md'), 'utf8');
const blocks = (language: string) =>
  [...guide.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(
    ([, text]) => text as string,
  );

/** Within the package, so that the programs find `node-cxl` by its name. */
let scratch: string;

beforeAll(() => {
  mkdirSync(path.join(folder, 'build'), { recursive: true });
  scratch = mkdtempSync(path.join(folder, 'build/recording-guide-'));
  for (const text of blocks('js')) {
    writeFileSync(path.join(scratch, /^\/\/ (\S+\.mjs)\n/.exec(text)![1]!), text);
  }
});

afterAll(() => rmSync(scratch, { recursive: true }));

function shell(command: string, backend: string) {
  const { NODE_OPTIONS: _, VITEST: __, ...env } = process.env;
  const program = `${process.execPath} ${path.join(folder, 'dist/cli/main.js')}`;
  const told = spawnSync('sh', ['-c', command.replaceAll('npx node-cxl', program)], {
    cwd: scratch,
    encoding: 'utf8',
    env: { NODE_CXL_BACKEND: backend, ...env, NO_COLOR: '1' },
  });
  expect([command, told.status, told.stderr]).toEqual([command, 0, '']);
  return told.stdout;
}

describe('the guide to recording', { timeout: 120_000 }, () => {
  it('has commands and programs that record, replay and make tests', () => {
    const [record, replay, test] = blocks('sh').map((text) => text.trim().split('\n'));
    for (const command of record!) expect(shell(command, 'mock')).toBe('Hello, accelerator\n');
    for (const command of replay!) expect(shell(command, 'native')).toBe('Hello, accelerator\n');
    expect(shell('node part.mjs', 'mock')).toBe('Hello, accelerator\n');
    expect(shell('node replay.mjs', 'native')).toBe('Hello, accelerator\n');
    shell('NODE_CXL_BACKEND=replay:part.cxlrec node app.mjs', 'native');
    for (const command of test!) shell(command, 'native');
    const tests = shell('node --test --test-reporter=tap run.node-test.mjs', 'native');
    expect(tests).toMatch(/^# pass 1$/m);
    writeFileSync(
      path.join(scratch, 'vitest.config.mjs'),
      "export default { test: { include: ['*.test.mjs'] } };\n",
    );
    const vitest = path.join(folder, 'node_modules/vitest/vitest.mjs');
    expect(shell(`node ${vitest} run --root ${scratch}`, 'native')).toMatch(
      /Tests +1 passed \(1\)/,
    );
  });

  it('shows a departure as it is', () => {
    shell('NODE_CXL_RECORD=run.cxlrec node app.mjs', 'mock');
    const app = readFileSync(path.join(scratch, 'app.mjs'), 'utf8');
    writeFileSync(path.join(scratch, 'changed.mjs'), app.replace("copy('Hello", "copy('Jelly"));
    const { status, stderr } = spawnSync(process.execPath, ['changed.mjs'], {
      cwd: scratch,
      encoding: 'utf8',
      env: { ...process.env, NODE_CXL_BACKEND: 'replay:run.cxlrec' },
    });
    expect(status).toBe(1);
    const shown = /^the program departs(.|\n)*?from: {5}/m.exec(guide)![0].split('\n');
    for (const line of shown) {
      expect(stderr).toContain(line.replace(/ \(byte .*|START_WORK.*/, ''));
    }
  });
});
