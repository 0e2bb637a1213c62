/** Waits that block the thread on the mock, whose AFU models and timers have no other thread. */
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { codeOf, mapped, oneEcho, thrownCode } from './mock-support';

const ADDRESS = 0x10;

describe('a wait that blocks the thread', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('runs the AFU models', async () => {
    const system = oneEcho();
    const { context, area } = await mapped(system);
    const memory = system.allocate(4096);
    context.hold(memory);
    for (let round = 0; round < 10; round += 1) {
      area.write64(ADDRESS, memory.address);
      context.waitForInterruptSync(1, { timeout: 10_000 });
    }
    await context.close();
  });

  it('runs what the driver and the card do after some time', async () => {
    const system = oneEcho();
    const { context } = await mapped(system);
    const start = performance.now();
    system.card(0).enterErrorState(30);
    expect(thrownCode(() => context.waitForInterruptSync(1, { timeout: 10_000 }))).toBe('EIO');
    expect(performance.now() - start).toBeLessThan(9000);
    // Also where the driver of a guest notices by polling.
    const guest = oneEcho({ flavor: 'guest', errorPollInterval: 40 });
    const other = await mapped(guest);
    guest.card(0).enterErrorState(10_000);
    expect(thrownCode(() => other.context.waitForEventSync({ timeout: 10_000 }))).toBe('EIO');
    await context.close();
    await other.context.close();
  });

  it('ends by the real clock under fake timers, which stand still meanwhile', async () => {
    const system = oneEcho();
    const { context } = await mapped(system);
    vi.useFakeTimers();
    expect(thrownCode(() => context.waitForEventSync({ timeout: 20 }))).toBe('ETIMEDOUT');
    let expired = false;
    setTimeout(() => {
      expired = true;
    }, 10);
    expect(thrownCode(() => context.waitForEventSync({ timeout: 20 }))).toBe('ETIMEDOUT');
    expect(expired).toBe(false);
    vi.useRealTimers();
    await context.close();
  });

  it('does not run timers of the program, and they run on time afterwards', async () => {
    const { context } = await mapped(oneEcho());
    let ran = false;
    setTimeout(() => {
      ran = true;
    }, 1);
    expect(thrownCode(() => context.waitForEventSync({ timeout: 30 }))).toBe('ETIMEDOUT');
    expect(ran).toBe(false);
    expect(await codeOf(context.waitForEvent({ timeout: 5 }))).toBe('ETIMEDOUT');
    expect(ran).toBe(true);
    await context.close();
  });

  it('ends by worker.terminate()', async () => {
    const source = `
      const { parentPort } = require('node:worker_threads');
      const { createMockCxl, echoAfu } = require('node-cxl/mock');
      (async () => {
        const system = createMockCxl({ cards: [{ afus: [{ model: echoAfu() }] }] });
        const context = await system.open('/dev/cxl/afu0.0s');
        await context.attach({ wed: 0n });
        parentPort.postMessage('blocked');
        context.waitForInterruptSync(1);
      })();
    `;
    const worker = new Worker(source, { eval: true, execArgv: [] });
    await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    expect(await worker.terminate()).toBe(1);
  });
});
