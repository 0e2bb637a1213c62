/**
 * A daemon that fails, in every way at every message: the program gets an error or a lost context, in
 * time, nothing is left, and nothing was sent that would have harmed a daemon that lives.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context, Cxl } from 'node-cxl';
import { createPslseCxl, type PslseOptions } from 'node-cxl/pslse';
import { afterEach, describe, expect, it } from 'vitest';
import { type FakeDaemon, fakeDaemon, settled, UNHARMED, workers } from './support';

/** Milliseconds of time-outs that are to end a step, and of those that are not. */
const SHORT = 250;
const LONG = 15_000;
const CLIENT = { mmioTimeout: SHORT, attachTimeout: SHORT, detachTimeout: SHORT };
let daemon: FakeDaemon | undefined;

afterEach(async () => {
  await daemon?.stop();
  daemon = undefined;
});

/** What a program does with every message, and the code of each step that failed. */
async function program(system: Cxl): Promise<string[]> {
  const failures: string[] = [];
  const attempt = async <T>(step: string, action: () => T | Promise<T>) => {
    try {
      return await action();
    } catch (error) {
      failures.push(`${step}: ${(error as NodeJS.ErrnoException).code}`);
      return undefined;
    }
  };
  await attempt('list', () => system.afus());
  const context: Context | undefined = await attempt('open', () => system.open('/dev/cxl/afu0.0'));
  if (context === undefined) return failures;
  await attempt('attach', () => context.attach({ wed: 1n }));
  const memory = system.allocate(4096);
  await attempt('use', async () => {
    const registers = context.mapProblemState();
    registers.write64(0x20, 1n);
    registers.read64(0x20);
    registers.read32(0x20);
    registers.write32(0x20, 1);
    registers.write64(0x100, memory.address);
    registers.write64(0x110, memory.address);
    registers.write64(0x120, 1n);
    await (await context.afu()).errorBuffer(0, 8);
    await context.waitForInterrupt(1, { timeout: LONG });
  });
  await attempt('link', () => {
    if (context.linkState() === 'down') throw Object.assign(new Error(), { code: 'down' });
  });
  await attempt('close', () => context.close());
  memory.free({ force: true });
  return failures;
}

/** The daemon's messages to this program, by what ends the wait for each. */
const PLACES: Record<string, keyof PslseOptions> = {
  accept: 'connectTimeout',
  connect: 'connectTimeout',
  query: 'connectTimeout',
  open: 'connectTimeout',
  attach: 'attachTimeout',
  map: 'attachTimeout',
  write64: 'mmioTimeout',
  read64: 'mmioTimeout',
  read32: 'mmioTimeout',
  write32: 'mmioTimeout',
  'memory-read': 'mmioTimeout',
  touch: 'mmioTimeout',
  'memory-write': 'mmioTimeout',
  interrupt: 'mmioTimeout',
  ebread: 'mmioTimeout',
  detach: 'detachTimeout',
};
const KINDS = ['eof', 'silence', 'garbage', 'half-eof', 'reset', 'half'];
/** Messages of one byte, and what is none, have no half. */
const WITHOUT_HALF = ['accept', 'attach', 'map', 'write64', 'write32', 'detach'];
/** Every kind at every message in both modes; otherwise one kind at each, by turns. */
const all = process.env['CXL_FAULTS'] === 'all';

function kindsAt(at: string, first: number): string[] {
  const kinds = WITHOUT_HALF.includes(at) ? KINDS.filter((kind) => !/half/.test(kind)) : KINDS;
  return all ? kinds : [kinds[first % kinds.length]!];
}

/** What the program is told. */
function expected(at: string, kind: string): string[] {
  const silent = kind === 'silence' || kind === 'half';
  const code = silent ? 'ETIMEDOUT' : kind === 'garbage' ? 'EPROTONOSUPPORT' : 'ECONNRESET';
  if (['accept', 'connect', 'query'].includes(at)) return [`list: ${code}`, `open: ${code}`];
  if (at === 'open') return [`attach: ${code}`, 'use: EIO'];
  if (at === 'attach') return [`attach: ${silent ? 'ETIMEDOUT' : 'EIO'}`, 'use: EIO'];
  if (at === 'map') return ['attach: EIO', 'use: EIO'];
  // Whether the last message comes makes no difference to the program.
  return at === 'detach' ? [] : ['use: EIO', 'link: down'];
}

/** Short is the time-out that is to end the step, alone: on a busy machine others take long, too. */
function timeouts(at: string, timeout: keyof PslseOptions, silent: boolean): PslseOptions {
  const long = { connectTimeout: LONG, mmioTimeout: LONG, attachTimeout: LONG };
  if (!silent) return { ...long, detachTimeout: LONG };
  // The same time-out is that of steps before it. A context that opens late is waited for as a detach.
  const short = at === 'open' || at === 'map' ? 2 * SHORT : SHORT;
  return { ...long, detachTimeout: SHORT, [timeout]: short };
}

describe('a daemon that fails', () => {
  for (const [turn, mode] of (['dedicated', 'directed'] as const).entries()) {
    it(`at any message, ${mode}`, async () => {
      daemon = await fakeDaemon({ mode });
      for (const [index, [at, timeout]] of Object.entries(PLACES).entries()) {
        for (const kind of kindsAt(at, index + 3 * turn)) {
          await daemon.fail({ at, kind });
          const silent = kind === 'silence' || kind === 'half';
          const system = createPslseCxl({ port: daemon.port, ...timeouts(at, timeout, silent) });
          const start = Date.now();
          const failures = await program(system);
          const took = Date.now() - start;
          const { violations, connections, left, taken } = await settled(daemon);
          const what = { mode, at, kind };
          expect({ ...what, failures, violations, connections, left }).toEqual({
            ...what,
            failures: expected(at, kind),
            ...UNHARMED,
          });
          // No other time-out was waited for.
          expect(took, JSON.stringify(what)).toBeLessThan(LONG);
          if (all && !silent) {
            await daemon.fail(undefined);
            expect({ ...what, again: await program(system) }).toEqual({ ...what, again: [] });
          }
          if (all) {
            const told = failures.join(', ') || 'nothing';
            console.log(
              `| ${mode} | ${at} | ${kind} | ${told} | ${took} ms | ${left} workers, ${connections} sockets, ${taken} contexts |`,
            );
          }
        }
      }
      await daemon.fail(undefined);
      expect(await program(daemon.system)).toEqual([]);
    }, 600_000);
  }

  it('to open a context in time: the context is attached and given back once it is open', async () => {
    for (const mode of ['dedicated', 'directed'] as const) {
      const fault = { at: 'open', kind: 'late' };
      const late = await fakeDaemon({ mode, fault }, { connectTimeout: 500 });
      const context = await late.system.open('afu0.0');
      await expect(context.attach({ wed: 1n })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
      await context.close();
      // When the answer has come, 800 ms after the request.
      await sleep(500);
      const { violations, connections, left, taken } = await settled(late);
      await late.stop();
      expect({ violations, connections, left, taken }).toEqual({ ...UNHARMED, taken: 0 });
    }
  });
});

describe('a host that does not answer', () => {
  it('ETIMEDOUT, and no socket goes on connecting', async () => {
    // A process that is stopped accepts nobody; its queue is soon full.
    const listen = `require('net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 },
      function () { console.log(this.address().port); })`;
    const stopped = spawn(process.execPath, ['-e', listen], { timeout: 60_000 });
    const [line] = await once(stopped.stdout, 'data');
    stopped.kill('SIGSTOP');
    const port = Number(line);
    const waiting = Array.from({ length: 4 }, () => net.connect({ port, host: '127.0.0.1' }));
    for (const socket of waiting) socket.on('error', () => {});
    try {
      await Promise.all(waiting.slice(0, 2).map((socket) => once(socket, 'connect')));
      const system = createPslseCxl({ port, connectTimeout: SHORT });
      await expect(system.adapters()).rejects.toMatchObject({ code: 'ETIMEDOUT' });
      const end = Date.now() + 5000;
      while (workers().length > 0 && Date.now() < end) await sleep(5);
      expect(workers()).toHaveLength(0);
    } finally {
      for (const socket of waiting) socket.destroy();
      stopped.kill('SIGKILL');
    }
  });
});

describe('a worker that ends', () => {
  it('takes its contexts with it: EIO, and the next context has a new worker', async () => {
    daemon = await fakeDaemon({ mode: 'directed', contexts: 2 }, CLIENT);
    const { system } = daemon;
    const context = await system.open('afu0.0s');
    await context.attach({ wed: 0n });
    const registers = context.mapProblemState();
    const wait = context.waitForInterrupt(1);
    const [worker] = workers();
    await Promise.all([expect(wait).rejects.toMatchObject({ code: 'EIO' }), worker!.terminate()]);
    expect(context.linkState()).toBe('down');
    expect(() => registers.read64(8)).toThrow(expect.objectContaining({ code: 'EIO' }));
    await context.close();
    const next = await system.open('afu0.0s');
    await next.attach({ wed: 7n });
    expect(next.mapProblemState().read64(8)).toBe(7n);
    await next.close();
    const { connections, left } = await settled(daemon);
    expect({ connections, left }).toEqual({ connections: 0, left: 0 });
  });

  it('during a register access: EIO', async () => {
    daemon = await fakeDaemon({ fault: { at: 'read64', kind: 'silence' } }, CLIENT);
    const context = await daemon.system.open('afu0.0d');
    await context.attach({ wed: 0n });
    const registers = context.mapProblemState();
    // It ends while the thread is blocked, which hears of it afterwards.
    const [worker] = workers();
    const ended = worker!.terminate();
    expect(() => registers.read64(8)).toThrow(expect.objectContaining({ code: 'EIO' }));
    await ended;
    expect(context.linkState()).toBe('down');
    await context.close();
    expect(workers()).toHaveLength(0);
  });
});
