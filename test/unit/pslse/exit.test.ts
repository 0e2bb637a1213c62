/** Programs that end, by themselves or by an exit, at any point of their use of a daemon. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { afterEach, describe, expect, it } from 'vitest';
import { type FakeDaemon, fakeDaemon } from './support';

const entry = createRequire(import.meta.url).resolve('node-cxl/pslse');
let daemon: FakeDaemon;

afterEach(() => daemon.stop());

async function run(body: string) {
  const source = `
    const { createPslseCxl } = require(${JSON.stringify(entry)});
    const system = createPslseCxl({ port: ${daemon.port} });
    (async () => { ${body} })();`;
  const child = spawn(process.execPath, ['-e', source], { timeout: 15_000 });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  const [status, signal] = await once(child, 'close');
  return { status, signal, stderr };
}

/** The daemon, once it has seen the ends of the connections of processes that have ended. */
async function harmed() {
  const end = Date.now() + 5000;
  for (;;) {
    const { violations, connections, taken } = await daemon.status();
    if (connections === 0 || Date.now() > end) return { violations, connections, taken };
  }
}
const NO = { violations: [], connections: 0, taken: 0 };

const OPENED = `const context = await system.open('afu0.0s');`;
const ATTACHED = `${OPENED} await context.attach({ wed: 0n });`;

describe('a program that ends', () => {
  it('is not kept by an idle context, and detaches it', async () => {
    daemon = await fakeDaemon({ mode: 'directed', contexts: 8 });
    const ends = { '': 0, 'process.exit(3);': 3, 'throw new Error("on purpose");': 1 };
    await Promise.all(
      Object.entries(ends).map(async ([end, code]) => {
        const { status, signal } = await run(ATTACHED + end);
        expect({ end, status, signal }).toEqual({ end, status: code, signal: null });
      }),
    );
    expect(await harmed()).toEqual(NO);
    expect((await daemon.status()).attached).toBe(3);
  });

  it('may exit before a daemon that is slow has attached it', async () => {
    daemon = await fakeDaemon({ fault: { at: 'attach', kind: 'late' } });
    const body = `const context = await system.open('afu0.0d'); context.attach({ wed: 0n });
      setTimeout(() => process.exit(), 50);`;
    expect(await run(body)).toEqual({ status: 0, signal: null, stderr: '' });
    expect(await harmed()).toEqual(NO);
  });

  it('may exit at any point', async () => {
    daemon = await fakeDaemon({ mode: 'directed', contexts: 8 });
    const bodies = [
      `system.afus(); process.exit();`,
      `${OPENED} process.exit();`,
      `${OPENED} context.attach({ wed: 0n }); process.exit();`,
      `${OPENED} context.attach({ wed: 0n }); setImmediate(() => process.exit());`,
      `${ATTACHED} context.waitForInterrupt(1); setImmediate(() => process.exit());`,
      `${ATTACHED} context.close(); process.exit();`,
      `${ATTACHED} context.close(); setImmediate(() => process.exit());`,
    ];
    const runOne = async (body: string) => {
      expect({ body, ...(await run(body)) }).toEqual({ body, status: 0, signal: null, stderr: '' });
    };
    // Some at a time: the processors are few.
    const left = bodies.values();
    await Promise.all(
      [1, 2, 3].map(async () => {
        for (const body of left) await runOne(body);
      }),
    );
    expect(await harmed()).toEqual(NO);
  });
});
