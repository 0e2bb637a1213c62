import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type LunInfo, listLuns } from 'node-cxl/flash';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { inject, testTarget } from '../../conformance/flash-target';
import { command } from '../../conformance/support/simulated-target';

const PROGRAM = path.resolve('dist/cli/main.js');
const TIMEOUT = 60_000;

// The program runs as a process of its own and shares the adapter of this process.
describe('node-cxl flash on the simulated device', { timeout: TIMEOUT }, () => {
  let folder: string;
  let source: string;
  const target = testTarget();
  let about: LunInfo;

  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'flash-cli-'));
    source = path.join(folder, 'in');
    writeFileSync(source, Buffer.alloc(3 * 4096, 'simulated'));
  });

  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  beforeEach(async () => {
    await target.lun();
    const found = (await listLuns()).find(({ generic }) => generic === target.nodes[0]?.[0]);
    about = found as LunInfo;
  });

  function run(words: string[], mounts?: string) {
    const env = { ...process.env, ...(mounts === undefined ? {} : { CXLSIM_MOUNTS: mounts }) };
    return new Promise<{ code: number; out: string; err: string }>((resolve) => {
      execFile(process.execPath, [PROGRAM, 'flash', ...words], { env }, (error, out, err) => {
        resolve({ code: error === null ? 0 : Number(error.code), out, err });
      });
    });
  }

  it('lists the LUNs with their modes', async () => {
    const luns: LunInfo[] = JSON.parse((await run(['list', '--json'])).out).luns;
    expect(luns).toEqual(JSON.parse(JSON.stringify(await listLuns())));
    expect(luns.filter(({ mode }) => mode === 'superpipe')).toEqual([about]);
  });

  it('shows the capacity of a LUN in superpipe mode', async () => {
    const { out } = await run(['status', about.block ?? '', '--json']);
    expect(JSON.parse(out)).toMatchObject({
      mode: 'superpipe',
      ports: [0, 1],
      mounts: [],
      blocks: 262144,
      blockSizeBytes: 4096,
      link: 'up',
    });
  });

  it('writes, reads and measures a LUN that is in superpipe mode, by either node', async () => {
    const { block = '', generic = '' } = about;
    const written = await run(['write', block, '--yes', '--lba', '100', '--in', source, '--json']);
    expect(written).toMatchObject({ code: 0, err: '' });
    const copy = path.join(folder, 'out');
    const read = await run(['read', generic, '--lba', '100', '--count', '3', '--out', copy]);
    expect(read.code).toBe(0);
    expect(readFileSync(copy).equals(readFileSync(source))).toBe(true);
    const bench = await run(['bench', block, '--for', '1s', '--json']);
    expect(JSON.parse(bench.out).iops).toBeGreaterThan(0);
  });

  it('refuses a LUN without superpipe unless --superpipe is given', async () => {
    const node = target.nodes[1]?.[0] ?? '';
    const refused = await run(['write', node, '--yes', '--in', source]);
    expect([refused.code, refused.err.includes('not in superpipe mode')]).toEqual([1, true]);
    expect((await run(['write', node, '--yes', '--in', source, '--superpipe'])).code).toBe(0);
    const after = (await listLuns()).find(({ generic }) => generic === node);
    expect(after?.mode).toBe('legacy');
  });

  it('reports an adapter that has failed, until the driver is bound again', async () => {
    const lun = await target.lun();
    const context = await lun.attach();
    inject(context, 'resetFails', 1);
    inject(context, 'errorState', 5);
    const failed = await run(['read', about.block ?? '', '--count', '1']);
    expect([failed.code, failed.err.includes('or it has failed')]).toEqual([3, true]);
    // Unbind waits until all contexts are closed.
    expect(() => command('flash-rebind')).toThrow(/EBUSY/);
    await context.close();
    command('flash-rebind');
    expect((await listLuns()).map(({ mode }) => mode)).toEqual(Array(8).fill('legacy'));
    const read = await run(['read', about.block ?? '', '--count', '1', '--superpipe']);
    expect(read.code).toBe(0);
    await lun.enableSuperpipe();
  });

  it('refuses a LUN mounted by any port or partition, without --force', async () => {
    const other = (await listLuns()).find(
      (lun) => lun.wwid === about.wwid && lun.generic !== about.generic,
    );
    const words = ['write', about.block ?? '', '--yes', '--in', source];
    const mounted = `${other?.block}1 /srv xfs rw 0 0`;
    const refused = await run(words, mounted);
    expect([refused.code, refused.err.includes('mounted on /srv')]).toEqual([1, true]);
    expect((await run([...words, '--force'], mounted)).code).toBe(0);
    const status = await run(['status', about.block ?? '', '--json'], mounted);
    expect(JSON.parse(status.out).mounts).toEqual(['/srv']);
    expect((await run(words, `${other?.block}a1 /srv xfs rw 0 0`)).code).toBe(0);
  });

  const modeOf = async (node: string) =>
    (await listLuns()).find(({ generic }) => generic === node)?.mode;
  const pause = (time: number) => new Promise((resolve) => setTimeout(resolve, time));

  /** `flash bench --superpipe`, which `interrupt` ends by signals. */
  async function interrupted(node: string, interrupt: (child: ChildProcess) => Promise<void>) {
    const words = ['flash', 'bench', node, '--superpipe', '--for', '20s', '--depth', '64'];
    const child = spawn(process.execPath, [PROGRAM, ...words], { stdio: 'pipe' });
    let said = '';
    child.stderr.on('data', (text) => {
      said += text;
    });
    const code = new Promise<number | null>((resolve) => child.on('close', resolve));
    await interrupt(child);
    return { code: await code, said };
  }

  /** Waits for superpipe mode: how many milliseconds that took. */
  async function untilSuperpipe(node: string): Promise<number> {
    const start = performance.now();
    while ((await modeOf(node)) !== 'superpipe') await pause(2);
    return performance.now() - start;
  }

  it('returns the LUN to the block layer at SIGINT, SIGTERM and SIGHUP, whenever they come', async () => {
    const node = target.nodes[1]?.[0] ?? '';
    const codes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };
    let usual = 0;
    for (let round = 0; round < 12; round += 1) {
      const name = (['SIGHUP', 'SIGINT', 'SIGTERM'] as const)[round % 3] ?? 'SIGINT';
      const early = round > 3 && round % 2 === 0;
      const time = Math.random() * (early ? usual : 100);
      const { code, said } = await interrupted(node, async (child) => {
        if (!early) usual = await untilSuperpipe(node);
        await pause(time);
        child.kill(name);
      });
      const about = { name, early, time };
      // Before the program has begun, the signal ends it at once.
      const expected = early && code === null ? null : codes[name];
      expect({ ...about, said, code }).toEqual({ ...about, said: '', code: expected });
      expect({ ...about, mode: await modeOf(node) }).toEqual({ ...about, mode: 'legacy' });
    }
  });

  it('takes a signal that comes again at once, as under npx, for the same request', async () => {
    const node = target.nodes[1]?.[0] ?? '';
    const { code } = await interrupted(node, async (child) => {
      await untilSuperpipe(node);
      for (const name of ['SIGINT', 'SIGINT', 'SIGTERM', 'SIGINT', 'SIGTERM'] as const) {
        child.kill(name);
        await pause(1);
      }
    });
    expect([code, await modeOf(node)]).toEqual([130, 'legacy']);
  });
});
