import { execFile } from 'node:child_process';
import { describe, expect, it } from 'vitest';

interface Outcome {
  readonly code: number | null;
  readonly out: string;
}

/**
 * Runs a program with a mock in another process. It is killed when it takes too long, or so many
 * milliseconds after its first output.
 */
function run(body: string, afterFirstWord?: number): Promise<Outcome> {
  const program = `
    const { createMockCxl, memcpyAfu } = require('node-cxl/mock');
    const mock = createMockCxl({ cards: [{ afus: [{ model: memcpyAfu() }] }] });
    (async () => {
      const context = await mock.open('/dev/cxl/afu0.0s');
      await context.attach({ wed: 0n, interrupts: 4 });
      console.log('attached');
      ${body}
    })();`;
  return new Promise((done) => {
    const child = execFile(
      process.execPath,
      ['-e', program],
      { timeout: 20000, killSignal: 'SIGKILL' },
      (_error, out) => done({ code: child.exitCode, out: out.trim() }),
    );
    if (afterFirstWord === undefined) return;
    child.stdout?.once('data', () => setTimeout(() => child.kill('SIGKILL'), afterFirstWord));
  });
}

describe('a program on the mock', () => {
  it('ends when it has nothing to do, even with open contexts', async () => {
    const { code, out } = await run('');
    expect({ code, out }).toEqual({ code: 0, out: 'attached' });
  });

  it('does not end while it waits for an event', async () => {
    const { code, out } = await run('await context.waitForEvent(); console.log("woken");', 500);
    expect({ code, out }).toEqual({ code: null, out: 'attached' });
  });

  it('ends after the event', async () => {
    const { code, out } = await run(
      `setTimeout(() => mock.card(0).afu(0).raiseInterrupt(0, 1), 20);
       await context.waitForEvent(); console.log('woken');`,
    );
    expect({ code, out }).toEqual({ code: 0, out: 'attached\nwoken' });
  });

  it('ends when the wait is aborted', async () => {
    const { code, out } = await run(
      `const abort = new AbortController();
       setTimeout(() => abort.abort(), 20);
       await context.waitForEvent({ signal: abort.signal }).catch((error) => console.log(error.code));`,
    );
    expect({ code, out }).toEqual({ code: 0, out: 'attached\nABORT_ERR' });
  });

  it('makes progress by polling memory alone', async () => {
    const { code, out } = await run(
      `const queue = mock.allocate(128, { alignment: 65536 });
       const other = await mock.open('/dev/cxl/afu0.0s');
       await other.attach({ wed: queue.address | 1n });
       queue.store8(0, 0x80);
       while (queue.load8(1) === 0);
       console.log('done');`,
    );
    expect({ code, out }).toEqual({ code: 0, out: 'attached\ndone' });
  });
});
