import { readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { Folder, type RunOptions, run as runProgram, TIMEOUT } from './run';

describe('node-cxl flash', { timeout: TIMEOUT }, () => {
  const folder = new Folder();
  let env: Record<string, string>;

  beforeAll(() => {
    const luns = [{ blocks: 1000, file: folder.file('lun') }];
    env = folder.mock('mock.json', { cards: [], flash: [{ luns }] });
  });

  async function run(...words: string[]) {
    return runWith({}, ...words);
  }

  async function runWith(options: RunOptions, ...words: string[]) {
    const { code, stdout, stderr } = await runProgram(['flash', ...words], { env, ...options });
    return { code, out: stdout, err: stderr };
  }

  it('lists LUNs as a table and as JSON', async () => {
    expect((await run('list')).out).toContain('/dev/sdb');
    const { luns } = JSON.parse((await run('list', '--json')).out);
    expect(luns.map((lun: { generic: string }) => lun.generic)).toEqual(['/dev/sg1', '/dev/sg2']);
  });

  it('shows the attributes of a LUN', async () => {
    const status = JSON.parse((await run('status', '/dev/sg1', '--json')).out);
    expect(status).toMatchObject({ mode: 'legacy', ports: [0, 1], mounts: [] });
    expect(status).toMatchObject({
      ...{ blocks: null, blockSizeBytes: null, maxTransferBlocks: null, link: null },
    });
    const wrong = await run('status', '/dev/sg7');
    expect([wrong.code, wrong.err.includes('flash list')]).toEqual([3, true]);
  });

  it('writes a file and reads it back in another process', async () => {
    const source = folder.file('in');
    const target = folder.file('out');
    writeFileSync(source, Buffer.alloc(300 * 4096 + 5, 'flash'));
    const short = await run('write', '/dev/sg1', '--yes', '--superpipe', '--in', source);
    expect([short.code, short.err.includes('--pad')]).toEqual([2, true]);
    const where = ['--lba', '0x10', '--superpipe'];
    const writing = ['write', '/dev/sg1', '--yes', ...where];
    const written = await run(...writing, '--in', source, '--pad', '--json');
    expect(JSON.parse(written.out)).toMatchObject({ blocks: 301 });
    const read = await run('read', '/dev/sg2', ...where, '--count', '301', '--out', target);
    expect(read.code).toBe(0);
    const [before, after] = [readFileSync(source), readFileSync(target)];
    expect(after.length).toBe(301 * 4096);
    expect(after.subarray(0, before.length).equals(before)).toBe(true);
  });

  it('refuses files that cannot be written to, or have no length', async () => {
    const absent = folder.file('no/such/folder');
    const read = await run('read', '/dev/sg1', '--superpipe', '--count', '1', '--out', absent);
    expect([read.code, read.err.split('\n').length]).toEqual([1, 2]);
    expect(read.err).toMatch(/^node-cxl: ENOENT.*no\/such\/folder/);
    const write = await run('write', '/dev/sg1', '--yes', '--superpipe', '--in', folder.path);
    expect([write.code, write.err.includes('is a directory')]).toEqual([2, true]);
  });

  it('restores the mode of the LUN when it is interrupted', async () => {
    const words = ['flash', 'bench', '/dev/sg1', '--superpipe', '--for', '600s'];
    let interrupted = false;
    const { code, stderr } = await runProgram(words, {
      env: { ...env, NODE_DEBUG: 'cxl' },
      onOutput: (child, text) => {
        if (!interrupted && text.includes('mmap')) child.kill('SIGINT');
        interrupted ||= text.includes('mmap');
      },
    });
    expect([code, stderr.includes('close')]).toEqual([130, true]);
  });

  it('refuses a LUN without superpipe, and blocks past its end', async () => {
    const legacy = await run('read', '/dev/sg1', '--count', '1');
    expect([legacy.code, legacy.err.includes('not in superpipe mode')]).toEqual([1, true]);
    const past = await run('read', '/dev/sg1', '--superpipe', '--lba', '999', '--count', '2');
    expect([past.code, past.err.includes('below 1000')]).toEqual([2, true]);
  });

  it('measures commands per second', async () => {
    const result = await run('bench', '/dev/sg1', '--superpipe', '--for', '1s', '--json');
    expect(JSON.parse(result.out).iops).toBeGreaterThan(0);
    expect(result.err).toBe('');
    const large = await run('bench', '/dev/sg1', '--superpipe', '--blocks', '1001');
    expect([large.code, large.err.includes('from 1 to 1000')]).toEqual([2, true]);
  });
});
