/**
 * What was recorded over the kernel's own driver, in an emulated POWER machine, is replayed without
 * either: each program prints the same.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { readRecording } from 'node-cxl/record';
import { describe, expect, it } from 'vitest';
import { scratchFolder } from './support';

const root = path.dirname(createRequire(import.meta.url).resolve('node-cxl/package.json'));
const fixture = (name: string) => path.join(root, 'test/unit/record/fixtures', name);
const scratch = scratchFolder();

const readme = readFileSync(fixture('power8-readme.mjs'), 'utf8');

function replay(name: string, args: readonly string[]): string {
  return execFileSync(process.execPath, args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, NODE_CXL_BACKEND: `replay:${fixture(`${name}.cxlrec`)}` },
  });
}

describe('recordings of the true driver', { timeout: 60_000 }, () => {
  it('are of a POWER machine', () => {
    const { header } = readRecording(fixture('power8-readme.cxlrec'));
    expect(header).toMatchObject({ arch: 'ppc64', platform: 'linux', endian: 'little' });
  });

  it('a program of the README prints what it printed there', () => {
    const told = replay('power8-readme', ['--input-type=module', '-e', readme]);
    expect(told).toBe(readFileSync(fixture('power8-readme.txt'), 'utf8'));
    expect(told).toContain('Hello, accelerator');
  });

  it('the memcpy command line copies the file, and prints what it printed there but the time', () => {
    const input = path.join(scratch, 'input.txt');
    const output = path.join(scratch, 'output.txt');
    writeFileSync(input, Array.from({ length: 100 }, (_, n) => `line ${n} of a text\n`).join(''));
    const program = path.join(root, 'dist/cli/main.js');
    const told = replay('power8-memcpy', [program, 'memcpy', '--in', input, '--out', output]);
    const withoutTime = (text: string) => text.replace(/, [\d.]+ ms: .*$/m, '');
    expect(withoutTime(told)).toBe(withoutTime(readFileSync(fixture('power8-memcpy.txt'), 'utf8')));
    expect(readFileSync(output)).toEqual(readFileSync(input));
  });

  it('a program that is changed in one place departs there, with the line of the program', () => {
    const other = readme.replace('queue.store16(34, 1)', 'queue.store16(34, 2)');
    expect(other).not.toBe(readme);
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', other], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, NODE_CXL_BACKEND: `replay:${fixture('power8-readme.cxlrec')}` },
    });
    expect(status).toBe(1);
    expect(stderr).toContain('expected: memory 1 store16 {offset: 0x22, value: 1, swapped: true}');
    expect(stderr).toContain('came:     memory 1 store16 {offset: 0x22, value: 2, swapped: true}');
    const line = other.split('\n').findIndex((text) => text.includes('store16(34, 2)')) + 1;
    expect(stderr).toMatch(new RegExp(`from: {5}.*eval1\\]:${line}:`));
  });
});
