import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const PROGRAM = path.resolve('dist/cli/main.js');
const DEVICE = '0d:00.0';
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'doe-cli-'));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** On the mock: one memory device with three mailboxes. */
function nodeCxl(...args: string[]) {
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    const env: NodeJS.ProcessEnv = { ...process.env, NODE_CXL_BACKEND: 'mock' };
    delete env['LD_PRELOAD'];
    const child = spawn(process.execPath, [PROGRAM, 'doe', ...args], { env });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data) => {
      stdout += data;
    });
    child.stderr.on('data', (data) => {
      stderr += data;
    });
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

describe('node-cxl doe', { timeout: 30_000 }, () => {
  it('list: a table, and JSON', async () => {
    const table = await nodeCxl('list');
    expect(table).toMatchObject({ code: 0, stderr: '' });
    expect(table.stdout.match(/0000:0d:00\.0/g)).toHaveLength(3);
    expect(table.stdout).toContain('message 3');
    const { stdout } = await nodeCxl('list', DEVICE, '--json');
    const [fn] = JSON.parse(stdout).functions;
    expect(fn).toMatchObject({ address: '0000:0d:00.0', vendorId: '0x8086', problem: null });
    expect(fn.owner).toEqual({ driver: null, kernelFeatures: [], kernelTables: [] });
    expect(fn.mailboxes.map(({ offset }: { offset: string }) => offset)).toEqual([
      ...['0x190', '0x1b0', '0x1d0'],
    ]);
  });

  it('list: from a dump, with what could not be read', async () => {
    const fixtures = path.resolve('test/unit/doe/fixtures');
    const whole = await nodeCxl('list', '--dump', path.join(fixtures, 'qemu-type3.lspci'));
    expect(whole.code).toBe(0);
    expect(whole.stdout.match(/0x190/g)).toHaveLength(2);
    const cut = await nodeCxl('list', '--dump', path.join(fixtures, 'not-root.lspci'));
    expect(cut.code).toBe(1);
    expect(cut.stdout).toBe('');
    expect(cut.stderr.trim().split('\n')).toHaveLength(1);
    expect(cut.stderr).toContain('ENODATA');
  });

  it('discover: every mailbox of the function', async () => {
    const { code, stdout } = await nodeCxl('discover', DEVICE);
    expect(code).toBe(0);
    for (const name of ['CXL table access (CDAT)', 'CXL compliance mode', 'CMA/SPDM']) {
      expect(stdout).toContain(name);
    }
    const found = JSON.parse((await nodeCxl('discover', DEVICE, '--json')).stdout).mailboxes;
    expect(found[1]).toMatchObject({ offset: '0x1b0', version: 2 });
    expect(found[1].protocols[1]).toMatchObject({ vendorId: '0x1e98', type: '0x00' });
  });

  it('cdat: a table, JSON with 64-bit values in hexadecimal, and the undecoded bytes', async () => {
    const file = path.join(folder, 'table');
    const { code, stdout } = await nodeCxl('cdat', DEVICE, '--out', file);
    expect(code).toBe(0);
    expect(stdout).toContain('160 bytes, sequence 0, checksum right');
    expect(stdout).toContain('volatile, 256 MiB at 0x0');
    expect(stdout).toContain('read latency 150 ns');
    expect(stdout).toContain('write bandwidth 16000 MB/s');
    const table = JSON.parse((await nodeCxl('cdat', DEVICE, '--json')).stdout);
    expect(table.structures[0]).toMatchObject({ kind: 'DSMAS', dpaLengthBytes: '0x10000000' });
    expect(table.structures[1]).toHaveProperty('entryBaseUnitPicoseconds');
    expect(table.header.lengthBytes).toBe(160);
    expect(table.data).toBe(readFileSync(file, 'hex'));
  });

  it('compliance: capabilities and status', async () => {
    const caps = await nodeCxl('compliance', DEVICE, 'caps');
    expect(caps.stdout).toContain('multiple-write-streaming');
    const json = JSON.parse((await nodeCxl('compliance', DEVICE, 'caps', '--json')).stdout);
    expect(json).toMatchObject({ availableMask: '0xffff', enabledMask: '0xffff' });
    const status = await nodeCxl('compliance', DEVICE, 'status', '--json');
    expect(JSON.parse(status.stdout)).toEqual({
      capabilities: '0xffff',
      cacheSize: 0,
      cacheSizeUnit: 0,
    });
  });

  it('raw: to the mailbox with the protocol, or to the one at --mailbox', async () => {
    const file = path.join(folder, 'get-version');
    writeFileSync(file, Buffer.from([0x10, 0x84, 0, 0]));
    const answer = await nodeCxl('raw', DEVICE, '1', '1', file, '--json');
    expect(JSON.parse(answer.stdout)).toEqual({
      bytes: 12,
      data: '100400000003001000110012',
    });
    const output = path.join(folder, 'answer');
    const told = await nodeCxl('raw', DEVICE, '1', '1', file, '--out', output, '--json');
    expect(JSON.parse(told.stdout)).toEqual({ bytes: 12, file: output });
    expect(readFileSync(output, 'hex')).toBe('100400000003001000110012');
    const named = await nodeCxl('raw', DEVICE, '0x0001', '01', file, '--mailbox', '1d0');
    expect(named.stdout).toContain('0000  10 04 00 00');
    const wrong = await nodeCxl('raw', DEVICE, '1', '1', file, '--mailbox', '1c0');
    expect(wrong.code).toBe(3);
    expect(wrong.stderr).toContain('190, 1b0, 1d0');
  });

  it('raw: Ctrl-C ends the wait for an answer', async () => {
    const config = path.join(folder, 'slow.json');
    const payload = path.join(folder, 'payload');
    writeFileSync(payload, Buffer.alloc(4));
    const mailboxes = [{ protocols: ['spdm'], faults: { delay: 600_000 } }];
    writeFileSync(config, JSON.stringify({ doe: [{ mailboxes }] }));
    const env = { ...process.env, NODE_CXL_BACKEND: `mock:${config}`, NODE_DEBUG: 'cxl' };
    const words = ['doe', 'raw', DEVICE, '1', '1', payload, '--timeout', '600s'];
    const child = spawn(process.execPath, [PROGRAM, ...words], { env });
    child.stderr.once('data', () => setTimeout(() => child.kill('SIGINT'), 300));
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(130);
  });

  it('failures: one line, and an exit code for each kind', async () => {
    const payload = path.join(folder, 'odd');
    writeFileSync(payload, Buffer.alloc(3));
    const rows: [number, string[]][] = [
      [1, ['raw', DEVICE, '1e98', '7', '/dev/null']],
      [1, ['cdat', DEVICE, '--out', path.join(folder, 'no/such/folder')]],
      [1, ['raw', DEVICE, '1', '0', path.join(folder, 'absent')]],
      [2, ['raw', DEVICE, '1', '1', payload]],
      [2, ['cdat', 'nonsense']],
      [2, ['cdat']],
      [2, ['compliance', DEVICE, 'explode']],
      [2, ['raw', DEVICE, '1e98x', '0', payload]],
      [2, ['discover', DEVICE, '--timeout', '0s']],
      [2, ['nonsense']],
      [3, ['discover', '0000:0e:00.0']],
    ];
    for (const [code, args] of rows) {
      const outcome = await nodeCxl(...args);
      expect([args.join(' '), outcome.code, outcome.stdout]).toEqual([args.join(' '), code, '']);
      expect(outcome.stderr).toMatch(/^node-cxl: .*\n$/);
    }
  });
});
