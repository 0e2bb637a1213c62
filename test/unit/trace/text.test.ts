/** `node-cxl trace FILE`: lines, JSON, fields, filters, and recordings of several files. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { createMockCxl } from 'node-cxl/mock';
import { recordCxl } from 'node-cxl/record';
import { describe, expect, it } from 'vitest';
import { copyText, scratchFolder, writeRecording } from '../record/support';
import { interrupt, json, jsonLines, output, PROGRAM, trace } from './support';

const folder = scratchFolder();
const file = writeRecording(path.join(folder, 'program'), PROGRAM);

describe('node-cxl trace', () => {
  it('prints time, duration, context, call, arguments and result, a line each', async () => {
    expect((await output(file)).split('\n')).toEqual([
      '    0.000000            recording  system(system="cxl", backend="mock", pageSize=4096)',
      '    0.000100 <0.000050> memory     allocate(size=4096) = {size=4096, address=&mem1}',
      '    0.000200 <0.000500> afu0.0s#1  open(path="/dev/cxl/afu0.0s") = {fd=5}',
      '    0.000790            memory     memory by program mem1+0x8: <8 bytes: 0123456789abcdef>',
      '    0.000800 <0.001000> afu0.0s#1  ioctl(START_WORK, workElementDescriptor=&mem1+0x20) = {}',
      '    0.000900 <0.000050> sysfs      sysfs.read(path="/sys/class/cxl/afu0.0s/mmio_size") = ENOENT',
      '    0.001900 <0.000010> afu0.0s#1  mmap(endian="big", length=4096, offset=0x0) = {length=4096}',
      '    0.002000 <0.000900> afu0.0s#1  read64(0x8) = 0x1 ×10',
      '    0.003000            afu0.0s#1  write64(0x10, &mem1+0x8)',
      '    0.003100 <0.000010> afu0.0s#1  arm()',
      '    0.005000            afu0.0s#1  events = [{type="afu-interrupt", processElement=7, flags=0, irq=1}, {type="afu-interrupt", processElement=7, flags=0, irq=3}]',
      '    0.005250            afu0.0s#1  read64(0x8) = SIGBUS',
      '    0.006000 <0.000500> afu0.0s#1  close() = 0',
      '    0.007000            recording  end(reason="exit", code=0)',
      '',
    ]);
  });

  it('prints an object a line with --json, with the same keys each', async () => {
    const lines = await jsonLines(file);
    expect(lines.length).toBe(14);
    const keys = Object.keys(lines[0]);
    for (const line of lines) expect(Object.keys(line)).toEqual(keys);
    expect(lines[4]).toMatchObject({
      time: 800,
      duration: 1000,
      thread: '1234',
      kind: 'call',
      context: 'afu0.0s#1',
      path: '/dev/cxl/afu0.0s',
      name: 'ioctl(START_WORK)',
      input: { workElementDescriptor: 'mem1+0x20' },
      error: null,
      unfinished: false,
      file,
    });
    expect(lines[7]).toMatchObject({ result: '0x1', times: 10, duration: 900 });
    expect(lines[5]).toMatchObject({ result: null, error: 'ENOENT' });
  });

  it('prints fields with --plain', async () => {
    const lines = (await output(file, '--plain')).split('\n');
    expect(lines[5]).toBe(
      '0.000900\t0.000050\t1234\tsysfs\tsysfs.read\tpath /sys/class/cxl/afu0.0s/mmio_size\tENOENT',
    );
    expect(lines[8]).toBe('0.003000\t-\t1234\tafu0.0s#1\twrite64\toffset 16, value mem1+0x8\t-');
  });

  it('filters by context, call and time', async () => {
    const names = async (...words: string[]) =>
      (await jsonLines(file, ...words)).map(({ name }) => name);
    expect(await names('--context', 'sysfs', '--context', 'memory')).toEqual([
      'allocate',
      'memory',
      'sysfs.read',
    ]);
    for (const context of ['afu0.0s', 'afu0.0s#1', '/dev/cxl/afu0.0s']) {
      expect((await names('--context', context)).length).toBe(9);
    }
    expect(await names('--call', 'START_WORK')).toEqual(['ioctl(START_WORK)']);
    expect(await names('--call', 'ioctl', '--call', 'write*')).toEqual([
      'ioctl(START_WORK)',
      'write64',
    ]);
    // What was under way at the first moment is shown; what began at the last is not.
    expect(await names('--from', '1.8ms', '--to', '3000us')).toEqual([
      'ioctl(START_WORK)',
      'mmap',
      'read64',
    ]);
    expect(await names('--from', '0s', '--to', '0.0001s')).toEqual(['system']);
  });

  it('refuses a time without a unit, and names that nothing has', async () => {
    expect((await trace(file, '--from', '5')).error?.message).toContain('us, ms, s, m, h');
    const { stdout, stderr, error } = await trace(file, '--context', 'afu9', '--call', 'x');
    expect(stdout).toBe('');
    expect(error?.message).toBe(
      "no context 'afu9' in the recording: afu0.0s#1, memory, recording, sysfs",
    );
    expect(stderr).toContain("no call 'x' in the recording: allocate, arm, close");
    // A name that there is, at another time.
    expect((await trace(file, '--call', 'close', '--to', '1ms')).error).toBeUndefined();
  });

  it('numbers the openings of a device, and says what had not returned', async () => {
    const open = { type: 'call', name: 'open', object: 0, input: { path: '/dev/cxl/afu0.0s' } };
    const unfinished = writeRecording(path.join(folder, 'unfinished'), [
      { ...open, call: 1, time: 10 } as never,
      { type: 'return', call: 1, time: 20, created: 1 },
      { ...open, call: 2, time: 30 } as never,
      { type: 'return', call: 2, time: 40, errno: -13 },
      { ...open, call: 3, time: 50 } as never,
      { type: 'return', call: 3, time: 60, created: 2 },
      { type: 'call', call: 4, name: 'close', object: 2, input: {}, time: 70 },
      { type: 'call', call: 5, name: 'close', object: 1, input: {}, time: 80 },
      { type: 'return', call: 5, time: 90, answer: 0 },
      { type: 'call', call: 6, name: 'munmap', object: 99, input: {}, time: 95 },
      { type: 'return', call: 6, time: 96 },
    ]);
    const { stdout, stderr } = await trace(unfinished);
    expect(stdout.split('\n').map((line) => line.slice(13))).toEqual([
      '<0.000010> afu0.0s#1  open(path="/dev/cxl/afu0.0s")',
      '<0.000010> afu0.0s    open(path="/dev/cxl/afu0.0s") = EACCES',
      '<0.000010> afu0.0s#2  open(path="/dev/cxl/afu0.0s")',
      '           afu0.0s#2  close() <unfinished>',
      '<0.000010> afu0.0s#1  close() = 0',
      '<0.000001> object99   munmap()',
      '',
    ]);
    expect(stderr).toMatch(
      /^warning: .*unfinished: at byte \d+: the recording ends here without its end/,
    );
    expect(stderr.trim().split('\n').length).toBe(1);
  });

  it('decodes events in the byte order of the machine that they came from', async () => {
    const big = writeRecording(
      path.join(folder, 'big'),
      [
        { type: 'events', object: 1, bytes: interrupt(2, 'big'), errno: -5, time: 10 },
        { type: 'end', reason: 'exit', time: 20 },
      ],
      { endian: 'big' },
    );
    const [batch] = await jsonLines(big);
    expect(batch).toMatchObject({
      result: [{ type: 'afu-interrupt', irq: 2, processElement: 7 }],
      error: 'EIO',
    });
  });

  it('reads the files of a program, its worker threads and child processes together', async () => {
    const recording = path.join(folder, 'group');
    const script = `
      const { cxl } = require('node-cxl');
      const { Worker, isMainThread } = require('node:worker_threads');
      const { execFileSync } = require('node:child_process');
      (async () => {
        await (await cxl.open('/dev/cxl/afu0.0s')).close();
        if (process.env.INNER) return;
        execFileSync(process.execPath, ['-e', process.env.SCRIPT], { env: { ...process.env, INNER: '1' } });
        process.env.INNER = '1';
        new Worker(process.env.SCRIPT, { eval: true });
      })();`;
    execFileSync(process.execPath, ['-e', script], {
      env: {
        ...process.env,
        SCRIPT: script,
        NODE_CXL_BACKEND: 'mock',
        NODE_CXL_RECORD: recording,
      },
    });
    const lines = await jsonLines(recording, '--call', 'open');
    const threads = lines.map(({ thread }) => thread);
    const pids = threads.map((thread) => thread.split('-')[0]);
    expect(threads.length).toBe(3);
    expect(pids[1]).not.toBe(pids[0]);
    expect(threads[2]).toBe(`${pids[0]}-1`);
    const times = (await jsonLines(recording)).map(({ time }) => time);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(await output(recording)).toContain(`${threads[2]} `);
    // Any file of it leads to the others.
    const inner = lines[1].file as string;
    expect(inner).not.toBe(recording);
    expect(await jsonLines(inner, '--call', 'open')).toEqual(lines);
    const { contexts } = await json(recording, '--stats', '--call', 'open');
    expect(contexts.map(({ context }: { context: string }) => context)).toEqual(
      threads.map((thread) => `${thread} afu0.0s#1`),
    );
  });

  it('shows what a program did on the mock', async () => {
    const recording = path.join(folder, 'copy');
    const recorded = recordCxl(createMockCxl(), { file: recording });
    await copyText(recorded);
    recorded.stop();
    const text = await output(recording);
    for (const line of [
      /afu0\.0s#1 {2}ioctl\(START_WORK, .*workElementDescriptor=&mem1\+0x20\)/,
      /memory {5}store64\(&mem1\+0x18, &mem3\)/,
      /memory {5}memory by device\? .*mem3: <24 bytes: 48656c6c6f2c/,
      /afu0\.0s#1 {2}events = \[\{type="afu-interrupt", .*irq=1\}\]/,
    ]) {
      expect(text).toMatch(line);
    }
  });
});
