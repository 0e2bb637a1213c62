/** What becomes of a call whose thread cannot be started. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ended, prelude, runNode } from './child';

/**
 * A library to preload: while the environment has NO_THREADS, a thread with the small stack that the
 * addon asks for cannot be made. Node's own threads and the simulated device's have larger ones.
 */
const SOURCE = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

int pthread_create(pthread_t* thread, const pthread_attr_t* attr, void* (*body)(void*), void* arg) {
  int (*create)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*) = dlsym(RTLD_NEXT, "pthread_create");
  size_t size = 0;
  if (attr != NULL) pthread_attr_getstacksize(attr, &size);
  if (size == 256 * 1024 && getenv("NO_THREADS") != NULL) return EAGAIN;
  return create(thread, attr, body, arg);
}
`;

const compiler = process.env['CC'] ?? 'cc';
const compiles = spawnSync(compiler, ['--version']).status === 0;
const reason = compiles ? '' : ` [skipped: ${compiler} is not installed]`;

const script = `${prelude}
import { openLun } from 'node-cxl/flash';
const threads = () => readdirSync('/proc/self/task').filter((thread) => {
  const [, name] = /^Name:\\s*(.*)$/m.exec(readFileSync('/proc/self/task/' + thread + '/status', 'latin1'));
  return !name.startsWith('cxlsim');
}).length;
const show = (error) =>
  [error.name, error.code, error.errno, error.syscall, error.path, /ulimit -u/.test(error.message)].join();
/** What a call fails with when it gets no thread, and what is left behind. */
async function without(call) {
  const before = [threads(), descriptors()].join();
  process.env.NO_THREADS = '1';
  const said = await Promise.resolve(call()).then(() => 'no error', show);
  delete process.env.NO_THREADS;
  const after = [threads(), descriptors()].join();
  console.log(said, before === after ? 'as before' : before + ' became ' + after);
}
`;

const refused = 'CxlError,EAGAIN,-11,pthread_create,,true as before\n';

describe.skipIf(!compiles)(`a thread that cannot be started${reason}`, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'node-cxl-threads-'));
  const library = path.join(folder, 'no-threads.so');
  const env = { LD_PRELOAD: [process.env['LD_PRELOAD'], library].join(':') };

  beforeAll(() => {
    const source = path.join(folder, 'no-threads.c');
    writeFileSync(source, SOURCE);
    const made = spawnSync(compiler, ['-shared', '-fPIC', '-o', library, source, '-ldl'], {
      encoding: 'utf8',
      env: { ...process.env, LD_PRELOAD: '' },
    });
    expect([made.status, made.stderr]).toEqual([0, '']);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('fails open, and the next one works', async () => {
    const child = await runNode(
      `${script}
      await without(() => cxl.open(device));
      await without(() => cxl.open(device));
      const { context } = await attached();
      await context.close();
      console.log('works');
      `,
      { env },
    );
    expect(child).toEqual(ended(`${refused}${refused}works\n`));
  }, 60_000);

  it('fails attach of an adopted context, and neither its memory nor its close', async () => {
    const child = await runNode(
      `${script}
      const { openSync } = await import('node:fs');
      const queue = cxl.allocate(cxl.pageSize);
      const rounds = [];
      for (let round = 0; round < 3; ++round) {
        const context = await cxl.adopt(openSync(device, 'r+'), { owned: true });
        await without(() => context.attach({ wed: queue.address | 1n, holds: [queue] }));
        process.env.NO_THREADS = '1';
        await context.close();
        delete process.env.NO_THREADS;
        // The first is the base: the device opens what it works with.
        rounds.push(descriptors());
      }
      queue.free();
      console.log(rounds.every((count) => count === rounds[0]));
      const second = await cxl.adopt(openSync(device, 'r+'), { owned: true });
      await without(() => second.attach({ wed: 1n }));
      await second.attach({ wed: 1n });
      await second.close();
      `,
      { env },
    );
    expect(child).toEqual(ended(`${refused}${refused}${refused}true\n${refused}`));
  }, 60_000);

  it('concerns no wait for events, which needs none', async () => {
    const child = await runNode(
      `${script}
      const { context } = await attached();
      const area = context.mapProblemState({ endian: 'big' });
      area.write64(0x1000, (1n << 56n) | 1n);
      await without(() => context.waitForInterruptSync(1));
      const wait = context.waitForInterrupt(2);
      area.write64(0x1000, (1n << 56n) | 2n);
      // A descriptor of its first wait stays.
      console.log((await Promise.all([without(() => wait), wait])).length);
      await context.close();
      `,
      { env },
    );
    expect(child).toEqual(ended('no error as before\nno error as before\n2\n'));
  }, 60_000);

  it('fails calls of a LUN, each of which may have a thread of its own', async () => {
    const child = await runNode(
      `${script}
      const lun = await openLun('/dev/sg90');
      await without(() => lun.enableSuperpipe());
      await lun.enableSuperpipe();
      const first = await lun.attach();
      // Two calls at once need a second thread; the first goes on.
      process.env.NO_THREADS = '1';
      const both = await Promise.allSettled([lun.attach(), lun.attach()]);
      delete process.env.NO_THREADS;
      for (const { reason } of both) console.log(reason === undefined ? 'attached' : show(reason));
      for (const { value } of both) await value?.close();
      const again = await Promise.all([lun.attach(), lun.attach()]);
      for (const context of [first, ...again]) await context.close();
      await lun.disableSuperpipe();
      await lun.close();
      `,
      { env },
    );
    expect(child).toEqual(ended(`${refused}attached\nCxlError,EAGAIN,-11,pthread_create,,true\n`));
  }, 60_000);
});
