/** The package as programs load it: one instance by require and import, and in workers. */
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';

const require = createRequire(import.meta.url);
const entries = [
  'node-cxl',
  'node-cxl/mock',
  'node-cxl/flash',
  'node-cxl/doe',
  'node-cxl/record',
  'node-cxl/pslse',
];

function run(script: string, env: Record<string, string> = {}): string {
  return execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  }).trim();
}

describe('the package', () => {
  it('is one instance whether required or imported', () => {
    const told = run(`
      import { createRequire } from 'node:module';
      const require = createRequire('${import.meta.url}');
      for (const entry of ${JSON.stringify(entries)}) {
        const imported = await import(entry);
        const required = require(entry);
        const names = Object.keys(required).sort();
        if (names.length === 0) throw new Error(entry + ' exports nothing');
        for (const name of names) {
          if (imported[name] !== required[name]) throw new Error(entry + ' ' + name);
        }
      }
      console.log('same');
    `);
    expect(told).toBe('same');
  });

  it('loads neither addon nor mock until one is used, and nothing that records', () => {
    const told = run(`
      import { createRequire } from 'node:module';
      const require = createRequire('${import.meta.url}');
      require('node-cxl');
      const loaded = Object.keys(require.cache).filter((file) => /\\.node$|[\\\\/]dist[\\\\/](mock|record)[\\\\/]/.test(file));
      console.log(JSON.stringify(loaded));
    `);
    expect(told).toBe('[]');
  });

  it('exports what the documentation names', () => {
    const names = Object.keys(require('node-cxl'));
    for (const name of [
      'cxl',
      'Cxl',
      'Adapter',
      'Afu',
      'Context',
      'ProblemState',
      'Memory',
      'CxlError',
    ]) {
      expect(names).toContain(name);
    }
  });

  it('works in a worker thread', async () => {
    const worker = new Worker(
      `const { cxl } = require('node-cxl');
       cxl.adapters().then((all) => require('node:worker_threads').parentPort.postMessage(all.length));`,
      { eval: true, env: { ...process.env, NODE_CXL_BACKEND: 'mock' } },
    );
    const count = await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    expect(count).toBeGreaterThan(0);
    await worker.terminate();
  });
});

describe('NODE_CXL_BACKEND', () => {
  it('mock: a program runs without a card', () => {
    const told = run(
      "import { cxl } from 'node-cxl'; console.log(cxl.backend, (await cxl.afus()).length > 0);",
      { NODE_CXL_BACKEND: 'mock' },
    );
    expect(told).toBe('mock true');
  });

  it('an invalid value throws at first use', () => {
    const told = run(
      "import { cxl } from 'node-cxl'; try { cxl.pageSize } catch (error) { console.log(error.code, error.message) }",
      { NODE_CXL_BACKEND: 'moch' },
    );
    expect(told).toContain('ERR_INVALID_ARG_VALUE');
    expect(told).toContain("'mock'");
  });

  it('by default: the driver of this machine', () => {
    const told = run(
      "import { cxl } from 'node-cxl'; console.log(cxl.backend, Array.isArray(await cxl.adapters()));",
      { NODE_CXL_BACKEND: '' },
    );
    expect(told).toBe('native true');
  });
});
