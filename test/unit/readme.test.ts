/** The programs and the mock configuration in README.md work. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Memory } from 'node-cxl';
import { createMockCxl, mockDoeFromConfig, mockFromConfig } from 'node-cxl/mock';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const folder = path.dirname(createRequire(import.meta.url).resolve('node-cxl/package.json'));
const readme = readFileSync(path.join(folder, 'README.md'), 'utf8');

function block(language: string, what: string): string {
  const blocks = [...readme.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))];
  const found = blocks.map(([, text]) => text as string).filter((text) => text.includes(what));
  expect([what, found.length]).toEqual([what, 1]);
  return found[0] as string;
}

function run(what: string): string {
  return execFileSync(process.execPath, ['--input-type=module', '-e', block('js', what)], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, NODE_CXL_BACKEND: 'mock' },
  });
}

describe('the README', { timeout: 60_000 }, () => {
  it('has a first program that works on the mock', () => {
    const output = run("from 'node-cxl';");
    expect(output).toMatch(/^afu0\.0 afu_directed$/m);
    expect(output).toContain('Hello, accelerator');
  });

  it('has a `using` example that works twice at once, on memory of its own each time', async () => {
    const job = ts.transpileModule(
      `async function job() { ${block('ts', 'using queue')} await turn(); return queue; }`,
      { compilerOptions: { target: ts.ScriptTarget.ES2022 } },
    ).outputText;
    const make = new Function('cxl', 'turn', `${job}\nreturn job;`);
    const mock = createMockCxl();
    // Both are attached at the same time.
    let waiting = 0;
    let go = () => {};
    const both = new Promise<void>((resolve) => {
      go = resolve;
    });
    const turn = () => {
      waiting += 1;
      if (waiting === 2) go();
      return both;
    };
    const run = make(mock, turn) as () => Promise<Memory>;
    const queues = await Promise.all([run(), run()]);
    expect(queues.map((queue) => queue.freed)).toEqual([true, true]);
    expect(mock.counters).toMatchObject({ files: 0, bytes: 0 });
  });

  it('has a flash program that works on the mock', () => {
    expect(run("from 'node-cxl/flash';")).toBe('same records: true\n');
  });

  it('has a mailbox program that works on the mock', () => {
    const output = run("from 'node-cxl/doe';");
    expect(output).toContain('0000:0d:00.0+190 1e98 2 CXL table access (CDAT)');
    expect(output).toMatch(/^a table of 160 bytes$/m);
  });

  it('describes a mock that can be made', async () => {
    const scratch = mkdtempSync(path.join(tmpdir(), 'readme-'));
    const config = JSON.parse(block('json', '"cards"'));
    config.flash[0].luns[0].file = path.join(scratch, 'lun.img');
    const file = path.join(scratch, 'config.json');
    writeFileSync(file, JSON.stringify(config));
    try {
      expect(await mockFromConfig(file).afus()).toHaveLength(2);
      expect(await mockDoeFromConfig(file).functions()).toHaveLength(2);
    } finally {
      rmSync(scratch, { recursive: true });
    }
  });
});
