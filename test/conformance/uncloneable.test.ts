/** Objects that stand for something of this process refuse to be cloned or posted. */
import { serialize } from 'node:v8';
import { afterEach, describe, expect } from 'vitest';
import { codeOf, failure } from './support/errors';
import { startJob } from './support/work-queue';
import { target, test } from './target';

const { system, afu } = target;
const { port1, port2 } = new MessageChannel();
port2.close();

afterEach(() => port1.close());

function refusal(clone: () => unknown): string {
  try {
    clone();
    return 'cloned';
  } catch (error) {
    return (error as Error).message;
  }
}

describe('structuredClone, postMessage and v8.serialize', () => {
  test('refuse objects with native state, by their class', [], async () => {
    const job = await startJob(system, `/dev/cxl/${afu}s`);
    const pool = system.allocatePool(4096);
    const [adapter] = await system.adapters();
    const [first] = await system.afus();
    const objects = {
      Context: job.context,
      ProblemState: job.regs,
      Memory: job.queue.memory,
      MemoryPool: pool,
      Adapter: adapter,
      Afu: first,
      EventIterator: job.context.events(),
    };
    for (const [name, object] of Object.entries(objects)) {
      const message = `#<${name}> could not be cloned.`;
      expect(refusal(() => structuredClone(object))).toBe(message);
      expect(refusal(() => structuredClone({ inside: [object] }))).toBe(message);
      expect(refusal(() => port1.postMessage(object))).toBe(message);
      expect(refusal(() => serialize(object))).toBe(message);
    }
    expect(refusal(() => structuredClone(system))).toMatch(
      /^#<(Mock|Default)?Cxl> could not be cloned\.$/,
    );
    pool.free();
    await job.end();
  });
});

describe('the stack of an error', () => {
  test('names the class of the object', [], async () => {
    const context = await system.open(`/dev/cxl/${afu}s`);
    const error = await failure(() => context.hold({} as never));
    expect(error.stack).toMatch(/at Context\.hold /);
    await context.close();
  });
});

describe('Memory.buffer', () => {
  test('is copied by structuredClone and postMessage without a transfer list', [], () => {
    const memory = system.allocate(4096);
    memory.store8(5, 7);
    const copy = structuredClone(memory.buffer);
    memory.store8(5, 8);
    expect(new Uint8Array(copy)[5]).toBe(7);
    expect(copy.byteLength).toBe(4096);
    memory.free();
  });

  test('is not transferred: a DataCloneError, or before Node 21 a copy', [], () => {
    const memory = system.allocate(4096);
    const { buffer } = memory;
    const channel = new MessageChannel();
    const refuses = Number(process.versions.node.split('.')[0]) >= 21;
    for (const transfer of [
      () => structuredClone(buffer, { transfer: [buffer] }),
      () => channel.port1.postMessage(buffer, [buffer]),
    ]) {
      expect(/transfer|detach/.test(refusal(transfer)) ? 'refused' : 'copied').toBe(
        refuses ? 'refused' : 'copied',
      );
      expect(buffer.byteLength).toBe(4096);
    }
    channel.port1.close();
    memory.store8(0, 1);
    expect(new Uint8Array(buffer)[0]).toBe(1);
    memory.free();
  });

  test('transfer() of its own is ERR_INVALID_STATE and says why', [], async () => {
    const memory = system.allocate(4096);
    for (const method of ['transfer', 'transferToFixedLength']) {
      const { buffer } = memory as unknown as { buffer: Record<string, () => void> };
      expect(await codeOf(() => buffer[method]?.())).toBe('ERR_INVALID_STATE');
      expect(refusal(() => buffer[method]?.())).toContain('belong to the Memory');
    }
    memory.free();
  });

  test('that the program has marked as untransferable is freed all the same', [], async () => {
    const { markAsUntransferable } = await import('node:worker_threads');
    const memory = system.allocate(4096);
    markAsUntransferable(memory.buffer);
    memory.free();
    expect(memory.freed).toBe(true);
    expect(await codeOf(() => memory.load8(0))).toBe('ERR_INVALID_STATE');
  });
});
