/** The programs and the mock configurations of the README and of lib/mock/TESTING.md work. */
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Memory } from 'node-cxl';
import { createMockCxl, mockDoeFromConfig, mockFromConfig } from 'node-cxl/mock';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  backends,
  blocks,
  runNode,
  runShell,
  scratchFolder,
  textOf,
  writeNamedBlocks,
} from './guides/documents';

const scratch = scratchFolder('readme');
const only = (document: string, language: string, what = '') => {
  const found = blocks(document, language).filter(({ text }) => text.includes(what));
  expect([document, what, found.length]).toEqual([document, what, 1]);
  return found[0]!.text;
};

beforeAll(() => {
  writeNamedBlocks('README.md', scratch);
  writeFileSync(path.join(scratch, 'config.json'), only('README.md', 'json'));
});
afterAll(() => rmSync(scratch, { recursive: true }));

describe('the README', { timeout: 60_000 }, () => {
  for (const [name, env] of backends) {
    it(`has a program that works on ${name}`, async () => {
      expect((await runNode(scratch, ['add.mjs'], env)).stdout).toBe('41 + 1 = 42\n');
    });
    it(`has a program that works on ${name} of CAIA 2`, async () => {
      const caia2 =
        env['LD_PRELOAD'] === undefined
          ? { NODE_CXL_BACKEND: 'mock:config.json' }
          : { ...env, CXLSIM_CAIA: '2' };
      expect((await runNode(scratch, ['add.mjs'], caia2)).stdout).toBe('41 + 1 = 42\n');
    });
  }

  it('has commands that run it with each configuration shown', async () => {
    const commands = only('README.md', 'sh', 'NODE_CXL_BACKEND');
    expect((await runShell(scratch, commands)).stdout).toBe('41 + 1 = 42\n41 + 1 = 42\n');
  });

  it('has a program that reports the status of an element that fails', async () => {
    const text = only('README.md', 'js').replace('0x84', '0xbf');
    writeFileSync(path.join(scratch, 'undefined-command.mjs'), text);
    const failed = await runNode(scratch, ['undefined-command.mjs'], {
      NODE_CXL_BACKEND: 'mock',
    }).catch((error) => error);
    expect(failed.stderr).toContain('the AFU says 0x1\n');
  });

  it('says at first sight what it is, and what it is not', () => {
    const beginning = textOf('README.md').slice(0, 1000);
    for (const word of ['IBM CAPI', 'Compute Express Link', 'mock'])
      expect(beginning).toContain(word);
  });
});

describe('the guides', () => {
  it('have a `using` example that works twice at once, on memory of its own each time', async () => {
    const job = ts.transpileModule(
      `async function job() { ${only('lib/device/CAPI.md', 'ts', 'using queue')} await turn(); return queue; }`,
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

  it('have an example of events() that gets them', async () => {
    const text = only('lib/device/CAPI.md', 'ts', 'context.events');
    const mock = createMockCxl();
    const context = await mock.open('afu0.0s');
    await context.attach({ wed: 0n });
    mock.card(0).afu(0).context().raiseInterrupt(2);
    mock.card(0).afu(0).context().dataStorageFault(0x1000n);
    const said: unknown[][] = [];
    const log = (...values: unknown[]) => said.push(values);
    const make = new Function('context', 'signal', 'console', `return (async () => { ${text} })()`);
    const done = make(context, new AbortController().signal, { log }) as Promise<void>;
    const closed = new Promise((resolve) => setTimeout(resolve, 50)).then(() => context.close());
    await Promise.all([done, closed]);
    expect(said).toEqual([[2], [0x1000n, expect.any(BigInt)]]);
  });

  it('describe a mock that can be made', async () => {
    const config = JSON.parse(only('lib/mock/TESTING.md', 'json', '"cards"'));
    config.flash[0].luns[0].file = path.join(scratch, 'lun.img');
    const file = path.join(scratch, 'testing.json');
    writeFileSync(file, JSON.stringify(config));
    expect(await mockFromConfig(file).afus()).toHaveLength(2);
    expect(await mockDoeFromConfig(file).functions()).toHaveLength(2);
  });
});
