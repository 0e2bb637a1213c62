/**
 * Programs recorded over the addon on the simulated device, and replayed without either: their
 * output is the same, and a program that is changed in one place departs there.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { build } from 'esbuild';
import { readRecording } from 'node-cxl/record';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = path.dirname(createRequire(import.meta.url).resolve('node-cxl/package.json'));
/** Within the package, so that the programs find it by its name. */
let folder: string;
const file = (name: string) => path.join(folder, name);

const FLASH_LOG = `
import { listLuns, openLun } from 'node-cxl/flash';
import { FlashLog } from './flash-log.mjs';

const text = (bytes) => Buffer.from(bytes ?? []).toString();
const [path] = await listLuns();
const lun = await openLun(path.generic);
try {
  await lun.enableSuperpipe();
  const context = await lun.attach();
  try {
    const device = (await context.openVirtual({ blocks: 1024 })).blockDevice();
    const log = await FlashLog.open(device, 0xcafe);
    const records = ['one', 'two'.repeat(5000), '', 'four'];
    console.log(await Promise.all(records.map((record) => log.append(Buffer.from(record)))));
    const again = await FlashLog.open(device, 0xcafe);
    for (let n = 0; n < again.length; n += 1) console.log(n, text(await again.read(n)));
    console.log((await FlashLog.open(device, 0xbeef)).length);
  } finally {
    await context.close();
  }
  await lun.disableSuperpipe();
} finally {
  await lun.close();
}
`;

beforeAll(async () => {
  mkdirSync(path.join(root, 'build'), { recursive: true });
  folder = mkdtempSync(path.join(root, 'build/record-addon-'));
  await build({
    entryPoints: [path.join(root, 'test/examples/flash-log.ts')],
    outfile: file('flash-log.mjs'),
    format: 'esm',
  });
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8');
  writeFileSync(file('readme.mjs'), /```js\n(.*?)```/s.exec(readme)![1]!);
  writeFileSync(file('flash.mjs'), FLASH_LOG);
  writeFileSync(file('input'), Buffer.alloc(200_000, 'some text, '));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(args: readonly string[], env: NodeJS.ProcessEnv) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { status, stdout, stderr };
}

const record = (name: string, args: readonly string[]) =>
  run(args, { NODE_CXL_RECORD: file(`${name}.rec`) });

/** Without the simulated device, and so without a driver; the addon is not loaded. */
const replay = (name: string, args: readonly string[]) =>
  run(['--require', file('no-addon.cjs'), ...args], {
    NODE_CXL_BACKEND: `replay:${file(`${name}.rec`)}`,
    LD_PRELOAD: '',
  });

const NO_ADDON = `
process.on('exit', () => {
  if (Object.keys(require.cache).some((name) => name.endsWith('.node'))) process.exitCode = 99;
});
process.dlopen = () => { throw new Error('the addon was loaded'); };
`;

describe('recorded over the addon, replayed without it', { timeout: 60_000 }, () => {
  const program = path.join(root, 'dist/cli/main.js');
  const cases: [name: string, args: readonly string[], from: string, to: string][] = [
    ['readme', ['readme.mjs'], 'queue.store16(34, 1)', 'queue.store16(34, 2)'],
    ['flash', ['flash.mjs'], "'four'", "'fowr'"],
  ];
  beforeAll(() => writeFileSync(file('no-addon.cjs'), NO_ADDON));

  for (const [name, args, from, to] of cases) {
    it(`${name}: the output is the same; changed in one place, it departs`, () => {
      const told = record(name, args);
      expect([told.status, told.stderr]).toEqual([0, '']);
      const { records, backend } = systemOf(file(`${name}.rec`));
      expect([backend, records > 50]).toEqual(['native', true]);
      expect(replay(name, args)).toEqual(told);
      const source = readFileSync(file(args[0]!), 'utf8');
      expect(source).toContain(from);
      writeFileSync(file('changed.mjs'), source.replace(from, to));
      const other = replay(name, ['changed.mjs']);
      expect(other.status).toBe(1);
      expect(other.stderr).toContain('ReplayDivergedError: the program departs from the recording');
      const changed = { readme: 'store16 {offset: 0x22, value: 2', flash: '<6 bytes: 7772' }[name]!;
      expect(/came: .*/.exec(other.stderr)?.[0]).toContain(changed);
    });
  }

  it('memcpy: the command line copies the same file, and prints the same but the time', () => {
    const args = [program, 'memcpy', '--in', 'input', '--out', 'copy'];
    const told = record('memcpy', args);
    expect([told.status, told.stderr]).toEqual([0, '']);
    rmSync(file('copy'));
    const again = replay('memcpy', args);
    const withoutTime = (text: string) => text.replace(/, [\d.]+ ms: .*$/m, '');
    expect(again.stderr).toBe('');
    expect(withoutTime(again.stdout)).toBe(withoutTime(told.stdout));
    expect(readFileSync(file('copy')).equals(readFileSync(file('input')))).toBe(true);
    // Another file is another program.
    const other = Buffer.from(readFileSync(file('input')));
    other[100_000] = 0;
    writeFileSync(file('input'), other);
    const departed = replay('memcpy', args);
    expect(departed.status).toBe(1);
    expect(departed.stderr).toContain('departs from the recording');
  });
});

function systemOf(name: string) {
  const records = [...readRecording(name)];
  const system = records.find(({ type }) => type === 'system') as { backend: string };
  return { records: records.length, backend: system.backend };
}
