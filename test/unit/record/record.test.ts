/** Recording: nothing changes for the program, whatever becomes of the file. */
import { spawnSync } from 'node:child_process';
import fs, { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { createMockCxl, mockOf } from 'node-cxl/mock';
import { readRecording, recordCxl, recordingFiles, replayCxl } from 'node-cxl/record';
import { describe, expect, it } from 'vitest';
import { copyText, read, scratchFolder } from './support';

const folder = scratchFolder();
const root = path.dirname(createRequire(import.meta.url).resolve('node-cxl/package.json'));
const file = (name: string) => path.join(folder, name);

function node(script: string, env: Record<string, string>) {
  return spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, NODE_CXL_BACKEND: 'mock', ...env },
  });
}

const OPEN = `
  const context = await cxl.open('/dev/cxl/afu0.0s');
  await context.attach({ wed: 0n });
  const registers = context.mapProblemState({ endian: 'big' });`;

describe('NODE_CXL_RECORD', { timeout: 60_000 }, () => {
  it('records a program as it is, and is not seen by what it does', () => {
    const script = `
      import { cxl } from 'node-cxl';
      import { mockOf } from 'node-cxl/mock';
      ${OPEN}
      console.log(cxl.backend, registers.read64(8), mockOf(cxl).counters.contexts);
      await context.close();`;
    const plain = node(script, {});
    const recorded = node(script, { NODE_CXL_RECORD: file('program') });
    expect(recorded.stdout).toBe(plain.stdout);
    expect([recorded.status, recorded.stderr]).toEqual([0, plain.stderr]);
    expect(read(file('program')).problems).toEqual([]);
  });

  it('off, wraps nothing', () => {
    const names = `
      import { cxl } from 'node-cxl';
      ${OPEN}
      console.log(cxl.binding.constructor.name);
      console.log(process.getActiveResourcesInfo().includes('Timeout'));`;
    expect(node(names, {}).stdout).toBe('ObservedBinding\nfalse\n');
    expect(node(names, { NODE_CXL_RECORD: file('on') }).stdout).toMatch(/^RecordedBinding\n/);
  });

  it('gives workers and child processes files of their own, found together and replayed', () => {
    const worker = `
      const { cxl } = require('node-cxl');
      cxl.open('/dev/cxl/afu0.0s').then((context) => context.close())
        .then(() => require('node:worker_threads').parentPort?.postMessage('done'));`;
    const script = `
      import { execFileSync } from 'node:child_process';
      import { once } from 'node:events';
      import { Worker } from 'node:worker_threads';
      import { cxl } from 'node-cxl';
      await cxl.adapters();
      const worker = new Worker(${JSON.stringify(worker)}, { eval: true, execArgv: [] });
      const exit = once(worker, 'exit');
      await once(worker, 'message');
      await exit;
      execFileSync(process.execPath, ['-e', ${JSON.stringify(worker)}], { stdio: 'inherit' });
      console.log('all');`;
    expect(node(script, { NODE_CXL_RECORD: file('group') })).toMatchObject({ stdout: 'all\n' });
    const files = recordingFiles(file('group'));
    expect(files).toHaveLength(3);
    const [main, thread, child] = files.map((each) => readRecording(each).header);
    expect(files[0]).toBe(file('group'));
    expect([thread!.pid, thread!.threadId]).toEqual([main!.pid, 1]);
    expect(child!.pid).not.toBe(main!.pid);
    expect(recordingFiles(files[2]!)).toEqual(files);
    for (const each of files) {
      expect(read(each).problems).toEqual([]);
      expect(read(each).records.at(-1)).toMatchObject({ type: 'end', reason: 'exit' });
    }
    const replayed = node(script, { NODE_CXL_BACKEND: `replay:${file('group')}` });
    expect(replayed).toMatchObject({ stdout: 'all\n', status: 0 });
  });

  it('a file of a worker that cannot be read is listed, and told where it is needed', () => {
    const worker = `
      const { cxl } = require('node-cxl');
      cxl.open('/dev/cxl/afu0.0s').then((context) => context.close());`;
    const script = `
      import { once } from 'node:events';
      import { Worker } from 'node:worker_threads';
      import { cxl } from 'node-cxl';
      await cxl.adapters();
      const worker = new Worker(${JSON.stringify(worker)}, { eval: true, execArgv: [] });
      worker.on('error', ({ message }) => console.log(message));
      await once(worker, 'exit');`;
    expect(node(script, { NODE_CXL_RECORD: file('parts') }).stdout).toBe('');
    const [main, part] = recordingFiles(file('parts')) as [string, string];
    // Of another recording: left out. Cut off within its header: it may be of this one.
    fs.writeFileSync(`${main}.1-1`, readFileSync(file('group')));
    fs.truncateSync(part, 40);
    expect(recordingFiles(main)).toEqual([main, part]);
    expect(() => readRecording(part)).toThrow(/its header is damaged or cut off$/);
    const replayed = node(script, { NODE_CXL_BACKEND: `replay:${main}` });
    expect(replayed.stdout).toContain(
      `${main} cannot be replayed: no file beside it is of a thread 1; ${part} cannot be read as a recording: its header is damaged or cut off`,
    );
  });

  it('a program that swallows its departure is told of, and does not end with 0', () => {
    const script = (offset: number, end: string) => `
      import { cxl } from 'node-cxl';
      try {
        ${OPEN}
        registers.read64(${offset});
        await context.close();
      } catch {
        console.log('caught');
      }
      ${end}`;
    expect(node(script(8, ''), { NODE_CXL_RECORD: file('swallow') }).status).toBe(0);
    const replay = (offset: number, end: string) =>
      node(script(offset, end), { NODE_CXL_BACKEND: `replay:${file('swallow')}` });
    expect(replay(8, '')).toMatchObject({ status: 0, stdout: '', stderr: '' });
    for (const [end, status] of [
      ['', 1],
      ['process.exit()', 1],
      ['process.exit(0)', 1],
      // Its own code stays.
      ['process.exitCode = 5', 5],
      ['process.exit(7)', 7],
    ] as const) {
      const told = replay(16, end);
      expect([end, told.status, told.stdout]).toEqual([end, status, 'caught\n']);
      expect(told.stderr).toContain('the program departs from the recording');
      expect(told.stderr).toMatch(/\n {2}came: .*read64 \{offset: 0x10\}/);
      expect(told.stderr).toMatch(/\n {2}from: {5}.*eval1\]:8:/);
    }
    // Not caught, it is printed once.
    const thrown = node(script(16, '').replace('catch {', 'catch (error) { throw error;'), {
      NODE_CXL_BACKEND: `replay:${file('swallow')}`,
    });
    expect(thrown.stderr.match(/departs from the recording/g)).toHaveLength(1);
    expect(thrown.status).toBe(1);
  });

  it('nor is one in a worker thread left untold', () => {
    const worker = (offset: number) => `
      const { cxl } = require('node-cxl');
      (async () => {
        const context = await cxl.open('/dev/cxl/afu0.0s');
        await context.attach({ wed: 0n });
        context.mapProblemState({ endian: 'big' }).read64(${offset});
        await context.close();
      })().catch(() => {});`;
    const script = (offset: number) => `
      import { once } from 'node:events';
      import { Worker } from 'node:worker_threads';
      const worker = new Worker(${JSON.stringify(worker(offset))}, { eval: true, execArgv: [] });
      const [code] = await once(worker, 'exit');
      process.exitCode = code;`;
    const use = "import { cxl } from 'node-cxl'; await cxl.adapters();";
    expect(node(use + script(8), { NODE_CXL_RECORD: file('quiet') }).status).toBe(0);
    const replayed = (offset: number) =>
      node(use + script(offset), { NODE_CXL_BACKEND: `replay:${file('quiet')}` });
    expect(replayed(8)).toMatchObject({ status: 0, stderr: '' });
    const told = replayed(16);
    expect(told.stderr).toMatch(/departs from the recording .*quiet/);
    expect(told.status).toBe(1);
  });

  it('SIGKILL loses no call, and with flush: access no access', async () => {
    const script = `
      import { cxl } from 'node-cxl';
      ${OPEN}
      registers.read64(0x08);
      registers.read32(0x10);
      process.kill(process.pid, 'SIGKILL');`;
    for (const flush of ['batch', 'access']) {
      const options = JSON.stringify({ flush });
      const env = { NODE_CXL_RECORD: file(flush), NODE_CXL_RECORD_OPTIONS: options };
      expect(node(script, env).signal).toBe('SIGKILL');
      const { records, problems } = read(file(flush));
      expect(problems).toMatchObject([{ kind: 'cut' }]);
      const returns = records.filter(({ type }) => type === 'return');
      const names = records.flatMap((each) => (each.type === 'call' ? [each.name] : []));
      expect(names.at(-1)).toBe('mmap');
      expect(returns).toHaveLength(names.length);
      const loads = records.flatMap((each) => (each.type === 'access' ? [each.name] : []));
      expect(loads).toEqual(flush === 'access' ? ['read64', 'read32'] : []);
    }
  });

  it('an uncaught exception and process.exit() lose nothing', () => {
    for (const end of ["throw new Error('mine')", 'process.exit(3)']) {
      const script = `
        import { cxl } from 'node-cxl';
        ${OPEN}
        registers.read64(0x08);
        ${end};`;
      node(script, { NODE_CXL_RECORD: file('thrown') });
      const { records, problems } = read(file('thrown'));
      expect(problems).toEqual([]);
      expect(records.slice(-2)).toMatchObject([{ name: 'read64' }, { type: 'end' }]);
    }
  });

  it('a file that cannot be made is a warning; a wrong option is an error', () => {
    const script = "import { cxl } from 'node-cxl'; console.log((await cxl.afus()).length);";
    const { stdout, stderr, status } = node(script, { NODE_CXL_RECORD: '/nowhere/at/all' });
    expect([stdout, status]).toEqual(['3\n', 0]);
    expect(stderr).toMatch(/CXL_RECORDING_FAILED.*nothing is recorded: ENOENT/);
    const wrong = { NODE_CXL_RECORD: file('x'), NODE_CXL_RECORD_OPTIONS: '{"pols":1}' };
    expect(node(script, wrong).stderr).toContain(
      'NODE_CXL_RECORD_OPTIONS.pols is not an option; did you mean polls?',
    );
  });

  it('a limit on the size of files ends the recording, not the program', () => {
    const script = `
      import { cxl } from 'node-cxl';
      ${OPEN}
      for (let n = 0; n < 60; n += 1) await cxl.afus();
      await context.close();
      console.log('done');`;
    writeFileSync(file('big.mjs'), script);
    const command = `ulimit -f 8; exec ${process.execPath} --input-type=module -e "$(cat ${file('big.mjs')})"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', command], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, NODE_CXL_BACKEND: 'mock', NODE_CXL_RECORD: file('limited') },
    });
    expect(stdout).toBe('done\n');
    expect(stderr.match(/CXL_RECORDING_FAILED/g)).toHaveLength(1);
    expect(stderr).toContain('EFBIG');
    const { records, problems } = read(file('limited'));
    expect(problems).toMatchObject([{ kind: 'cut' }]);
    expect(records.length).toBeGreaterThan(10);
  });
});

describe('a write that fails', () => {
  it('at any step ends the recording with one warning; what was written is read', async () => {
    const { writeSync, ftruncateSync } = fs;
    const reference = file('reference');
    const whole = recordCxl(createMockCxl(), { file: reference, snapshot: false });
    await copyText(whole);
    whole.stop();
    const total = read(reference).records.length;
    const warnings: (Error & { code?: string })[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on('warning', onWarning);
    let failures = 0;
    try {
      for (let failing = 1; ; failing += 3) {
        let count = 0;
        const out = file('failing');
        const recorded = recordCxl(createMockCxl(), { file: out, snapshot: false });
        const fail = () => {
          count += 1;
          if (count >= failing) throw Object.assign(new Error('ENOSPC: full'), { code: 'ENOSPC' });
        };
        fs.writeSync = ((...args: Parameters<typeof writeSync>) => {
          fail();
          return writeSync(...args);
        }) as typeof fs.writeSync;
        try {
          expect(await copyText(recorded)).toBe('Hello, accelerator');
          recorded.stop();
        } finally {
          fs.writeSync = writeSync;
          fs.ftruncateSync = ftruncateSync;
        }
        const { records, problems } = read(out);
        if (count < failing) {
          expect(records).toHaveLength(total);
          break;
        }
        failures += 1;
        expect(records.length).toBeGreaterThanOrEqual(failing - 1);
        if (records.at(-1)?.type !== 'end') expect(problems).toMatchObject([{ kind: 'cut' }]);
      }
      await new Promise(setImmediate);
    } finally {
      process.off('warning', onWarning);
    }
    expect(failures).toBeGreaterThan(8);
    const ours = warnings.filter(({ code }) => code === 'CXL_RECORDING_FAILED');
    expect(ours).toHaveLength(failures);
  });

  it('as its descriptor was closed by somebody else', async () => {
    const out = file('closed');
    const recorded = recordCxl(createMockCxl(), { file: out, snapshot: false });
    const fd = fs.readdirSync('/proc/self/fd').find((name) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${name}`) === out;
      } catch {
        return false;
      }
    });
    fs.closeSync(Number(fd));
    expect(await copyText(recorded)).toBe('Hello, accelerator');
    recorded.stop();
    expect(read(out).problems).toMatchObject([{ kind: 'cut' }]);
  });
});

describe('options', () => {
  const memories = (name: string) =>
    read(file(name)).records.filter(({ type }) => type === 'memory');

  it('maxMemory and exclude leave contents out, and the recording says so', async () => {
    for (const [name, options, code] of [
      ['limit', { maxMemory: 4096 }, 'memory-limit'],
      ['exclude', { exclude: ({ size }: { size: number }) => size === 128 }, 'memory-excluded'],
    ] as const) {
      const recorded = recordCxl(createMockCxl(), { file: file(name), ...options });
      await copyText(recorded);
      recorded.stop();
      const notes = read(file(name)).records.filter(({ type }) => type === 'note');
      expect(notes).toMatchObject([{ code }, { code }]);
      // Of the queue alone.
      expect(memories(name).map((each) => 'object' in each && each.object)).toEqual([1]);
      // Such a recording is replayed without those contents.
      const replayed = replayCxl(file(name));
      expect(await copyText(replayed)).toBe('\0'.repeat(18));
      // Where it departs, that may be why.
      await expect(copyText(replayed)).rejects.toMatchObject({
        message: expect.stringMatching(
          /\n {2}left out: the contents of a memory .* \(and 1 more\)$/,
        ),
        leftOut: [expect.stringContaining('128 bytes'), expect.stringContaining('128 bytes')],
      });
    }
  });

  it('are checked', () => {
    const system = createMockCxl();
    const wrong: [object, string][] = [
      [{}, 'ERR_INVALID_ARG_TYPE'],
      [{ file: file('x'), maxMemory: -1 }, 'ERR_OUT_OF_RANGE'],
      [{ file: file('x'), flush: 'never' }, 'ERR_INVALID_ARG_VALUE'],
      [{ file: file('x'), polls: 1 }, 'ERR_INVALID_ARG_VALUE'],
      [{ file: file('x'), snapshot: 1 }, 'ERR_INVALID_ARG_TYPE'],
      [{ file: file('x'), exclude: 1 }, 'ERR_INVALID_ARG_TYPE'],
      [{ file: file('x'), other: 1 }, 'ERR_INVALID_ARG_VALUE'],
      [{ file: '/nowhere/at/all' }, 'ENOENT'],
    ];
    for (const [options, code] of wrong) {
      expect(() => recordCxl(system, options as never)).toThrow(expect.objectContaining({ code }));
    }
    expect(() => recordCxl({} as never, { file: file('x') })).toThrow('system must be a Cxl');
    expect(() => replayCxl(file('x'), { timing: 0 })).toThrow('options.timing must be above 0');
    expect(() => replayCxl(1 as never)).toThrow('file must be a path');
    expect(fs.existsSync(file('x'))).toBe(false);
  });

  it('mockOf() finds the mock behind a system that is recorded', async () => {
    const system = createMockCxl();
    const recorded = recordCxl(system, { file: file('mock'), snapshot: false });
    expect(mockOf(recorded)).toBe(system);
    recorded.stop();
    recorded.stop();
    expect(readFileSync(file('mock')).length).toBeGreaterThan(100);
  });
});
