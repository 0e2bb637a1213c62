/**
 * A daemon that fails, in every way at every message: the program gets an error or a lost context, in
 * time, nothing is left, and nothing was sent that would have harmed a daemon that lives.
 */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context, Cxl } from 'node-cxl';
import { createPslseCxl } from 'node-cxl/pslse';
import { afterEach, describe, expect, it } from 'vitest';
import { type FakeDaemon, fakeDaemon, settled, workers } from './support';

const TIMEOUT = 200;
const CLIENT = {
  connectTimeout: 1000,
  mmioTimeout: TIMEOUT,
  attachTimeout: TIMEOUT,
  detachTimeout: TIMEOUT,
};
const own = workers();
let daemon: FakeDaemon | undefined;

afterEach(async () => {
  await daemon?.stop();
  daemon = undefined;
});

/** What a program does with every message, and the code of each step that failed. */
async function program(system: Cxl): Promise<string[]> {
  const failures: string[] = [];
  const attempt = async (step: string, action: () => unknown) => {
    try {
      return await action();
    } catch (error) {
      failures.push(`${step}: ${(error as NodeJS.ErrnoException).code}`);
      return undefined;
    }
  };
  await attempt('list', () => system.afus());
  const context = (await attempt('open', () => system.open('/dev/cxl/afu0.0'))) as
    | Context
    | undefined;
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
    await context.waitForInterrupt(1, { timeout: TIMEOUT });
  });
  await attempt('link', () => {
    if (context.linkState() === 'down') throw Object.assign(new Error(), { code: 'down' });
  });
  await attempt('close', () => context.close());
  memory.free({ force: true });
  return failures;
}

const PLACES = [
  'accept',
  'connect',
  'query',
  'open',
  'attach',
  'map',
  'write64',
  'read64',
  'read32',
  'write32',
  'memory-read',
  'touch',
  'memory-write',
  'interrupt',
  'ebread',
  'detach',
];
/** All of them for both modes with CXL_FAULTS=all, which takes minutes. */
const all = process.env['CXL_FAULTS'] === 'all';
const KINDS = {
  dedicated: all ? ['eof', 'reset', 'garbage', 'half', 'half-eof', 'silence'] : ['eof', 'garbage'],
  directed: all ? ['eof', 'reset', 'garbage', 'half', 'half-eof', 'silence'] : ['half'],
};

/** The codes of the first step that fails. What does not matter is a set. */
const EXPECTED: Record<string, RegExp> = {
  accept: /^list: (ECONNRESET|ETIMEDOUT|EPROTONOSUPPORT)$/,
  connect: /^list: (ECONNRESET|ETIMEDOUT|EPROTONOSUPPORT)$/,
  query: /^list: (ECONNRESET|ETIMEDOUT|EPROTONOSUPPORT)$/,
  open: /^attach: (ECONNRESET|ETIMEDOUT|EPROTONOSUPPORT)$/,
  attach: /^attach: (EIO|ETIMEDOUT)$/,
  map: /^attach: EIO$/,
};

describe('a daemon that fails', () => {
  for (const mode of ['dedicated', 'directed'] as const) {
    it(`at any message, ${mode}`, async () => {
      daemon = await fakeDaemon({ mode }, CLIENT);
      for (const at of PLACES) {
        for (const kind of KINDS[mode]) {
          daemon.fail({ at, kind });
          const start = Date.now();
          const failures = await program(daemon.system);
          const took = Date.now() - start;
          const { violations, connections, left } = await settled(daemon, own);
          const what = `${at}, ${kind}: ${failures.join(', ')}`;
          const clean = { violations: [], connections: 0, left: 0 };
          expect({ what, violations, connections, left }).toEqual({ what, ...clean });
          const expected = EXPECTED[at] ?? /^use: (EIO|ETIMEDOUT)$/;
          // Whether the last message comes makes no difference to the program.
          if (at !== 'detach') expect(failures[0], what).toMatch(expected);
          expect(took, what).toBeLessThan(10_000);
          if (all)
            console.log(`| ${mode} | ${at} | ${kind} | ${failures.join(', ')} | ${took} ms |`);
        }
      }
    }, 600_000);
  }

  it('is as good as any when it is of another version, or no daemon', async () => {
    daemon = await fakeDaemon({ psl: 9 }, CLIENT);
    expect(await daemon.system.afus()).toHaveLength(1);
    const other = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end(Buffer.of(6)));
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as net.AddressInfo;
    const refused = createPslseCxl({ port, ...CLIENT }).adapters();
    await expect(refused).rejects.toMatchObject({ code: 'EPROTONOSUPPORT' });
    await new Promise((resolve) => other.close(resolve));
    const nobody = createPslseCxl({ port, ...CLIENT });
    await expect(nobody.adapters()).rejects.toMatchObject({
      code: 'ECONNREFUSED',
      message: expect.stringContaining('no PSLSE daemon listens there'),
    });
    await expect(nobody.open('afu0.0d')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('refuses the attach: EBUSY, and the context can be closed', async () => {
    for (const mode of ['dedicated', 'directed'] as const) {
      const fault = { at: 'attach', kind: 'refused' };
      const refusing = await fakeDaemon({ mode, fault }, CLIENT);
      const context = await refusing.system.open('afu0.0');
      await expect(context.attach({ wed: 0n })).rejects.toMatchObject({ code: 'EBUSY' });
      await context.close();
      const { violations } = await settled(refusing, own);
      await refusing.stop();
      expect(violations).toEqual([]);
    }
  });

  it('is gone while a program waits: EIO, then a new daemon can be used', async () => {
    daemon = await fakeDaemon({}, CLIENT);
    const { system } = daemon;
    const context = await system.open('afu0.0d');
    await context.attach({ wed: 0n });
    const registers = context.mapProblemState();
    const lenient = context.waitForInterrupt(1);
    await sleep(20);
    daemon.kill();
    await expect(lenient).rejects.toMatchObject({ code: 'EIO' });
    expect(context.linkState()).toBe('down');
    expect(() => registers.read64(8)).toThrow(expect.objectContaining({ code: 'EIO' }));
    await context.close();
    const next = await system.open('afu0.0d');
    await next.attach({ wed: 7n, errFf: true });
    const ones = next.mapProblemState();
    expect(ones.read64(8)).toBe(7n);
    daemon.kill();
    await sleep(50);
    expect(ones.read64(8)).toBe(2n ** 64n - 1n);
    expect(ones.read32(8)).toBe(0xffff_ffff);
    ones.write64(8, 0n);
    await next.close();
  });
});

describe('a program that ends', () => {
  const require = createRequire(import.meta.url);
  const entry = require.resolve('node-cxl/pslse');

  function run(port: number, body: string) {
    const source = `
      const { createPslseCxl } = require(${JSON.stringify(entry)});
      const system = createPslseCxl({ port: ${port} });
      (async () => { ${body} })();`;
    return spawnSync(process.execPath, ['-e', source], { encoding: 'utf8', timeout: 15_000 });
  }

  it('is not kept by an idle context, and detaches it', async () => {
    daemon = await fakeDaemon({ mode: 'directed', contexts: 2 });
    const body = `const context = await system.open('afu0.0s'); await context.attach({ wed: 0n });`;
    for (const exit of ['', 'process.exit(3);', 'throw new Error("on purpose");']) {
      const { status, signal } = run(daemon.port, body + exit);
      expect({ exit, status, signal }).toMatchObject({ signal: null });
      const { violations, connections, taken } = await daemon.status();
      expect({ violations, connections, taken }).toEqual({
        violations: [],
        connections: 0,
        taken: 0,
      });
    }
    expect((await daemon.status()).attached).toBe(3);
  });

  it('may exit at any point', async () => {
    daemon = await fakeDaemon({ mode: 'directed', contexts: 2 });
    const bodies = [
      `system.afus(); process.exit();`,
      `const context = await system.open('afu0.0s'); process.exit();`,
      `const context = await system.open('afu0.0s'); context.attach({ wed: 0n }); process.exit();`,
      `const context = await system.open('afu0.0s'); context.attach({ wed: 0n });
       setImmediate(() => process.exit());`,
      `const context = await system.open('afu0.0s'); await context.attach({ wed: 0n });
       context.waitForInterrupt(1); setImmediate(() => process.exit());`,
      `const context = await system.open('afu0.0s'); await context.attach({ wed: 0n });
       context.close(); process.exit();`,
      `const context = await system.open('afu0.0s'); await context.attach({ wed: 0n });
       context.close(); setImmediate(() => process.exit());`,
    ];
    for (const body of bodies) {
      const { status, signal, stderr } = run(daemon.port, body);
      expect({ body, status, signal, stderr }).toEqual({
        body,
        status: 0,
        signal: null,
        stderr: '',
      });
    }
    await sleep(50);
    const { violations, connections, taken } = await daemon.status();
    expect({ violations, connections, taken }).toEqual({
      violations: [],
      connections: 0,
      taken: 0,
    });
  });
});
