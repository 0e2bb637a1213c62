/** The program and the commands of lib/FIRST-PROGRAM.md work. */
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backends, blocks, runNode, runShell, scratchFolder, writeNamedBlocks } from './documents';

const GUIDE = 'lib/FIRST-PROGRAM.md';
const scratch = scratchFolder('first-program');

beforeAll(() => {
  writeNamedBlocks(GUIDE, scratch);
  writeFileSync(power9, '{ "cards": [{ "afus": [{ "model": "memcpy" }], "caiaVersion": "2.0" }] }');
});
afterAll(() => rmSync(scratch, { recursive: true }));

const power9 = path.join(scratch, 'caia-2.json');
const shown = () => blocks(GUIDE, 'text')[0]!.text;

describe('the guide to a first program', { timeout: 60_000 }, () => {
  for (const [name, env] of backends) {
    it(`has a program that prints on ${name} what it shows`, async () => {
      expect((await runNode(scratch, ['hello.mjs'], env)).stdout).toBe(shown());
    });
    it(`has a program that finds a process element that can copy, on ${name} of CAIA 2`, async () => {
      const caia2 =
        env['LD_PRELOAD'] === undefined
          ? { NODE_CXL_BACKEND: `mock:${power9}` }
          : { ...env, CXLSIM_CAIA: '2' };
      const { stdout } = await runNode(scratch, ['hello.mjs'], caia2);
      expect(stdout).toMatch(/^afu0\.0 afu_directed CAIA 2\.0$/m);
      expect(stdout).toMatch(/process element 0\nprocess element 1\nHello, accelerator\n$/);
    });
  }

  it('has commands for the mock: each of them', async () => {
    const texts = blocks(GUIDE, 'sh').map(({ text }) => text);
    const mocks = texts.filter((text) => text.includes('NODE_CXL_BACKEND=mock'));
    expect(mocks).toHaveLength(4);
    const [plain = '', debug = '', power9 = '', busy = ''] = mocks;
    expect((await runShell(scratch, plain)).stdout).toBe(shown());
    expect((await runShell(scratch, debug)).stderr).toContain('ioctl(START_WORK) /dev/cxl/afu0.0s');
    expect((await runShell(scratch, power9)).stdout).toContain('Hello, accelerator');
    const failed = await runShell(scratch, busy).catch((error) => error);
    expect(failed.stderr).toMatch(/EBUSY.*ioctl\(START_WORK\).*\/dev\/cxl\/afu0\.0s/);
  });
});
