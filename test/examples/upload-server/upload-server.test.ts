/** The upload server: on the mock (project `unit`) and on the simulated device (`simulated`). */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createMockCxl, type MockCxl, memcpyAfu } from 'node-cxl/mock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { command } from '../../conformance/support/simulated-target';
import { Copier } from './copier.mjs';
import { Pool } from './pool.mjs';
import { createUploadServer } from './server.mjs';
import { WorkerCopier } from './worker-copier.mjs';

const folder = path.dirname(fileURLToPath(import.meta.url));
const simulated = process.env['CXL_TARGET'] === 'simulated';
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const answerFor = (bytes: Uint8Array) => ({
  status: 200,
  body: { bytes: bytes.length, sha256: sha256(bytes) },
});

let mock: MockCxl;
let pool: Pool;
let port: number;
let close: () => Promise<void>;

/** Starts a server whose copiers are opened by `open`. */
async function start(open: ConstructorParameters<typeof Pool>[0], options = {}): Promise<void> {
  pool = new Pool(open, { size: 2, ...options });
  await pool.open();
  const created = createUploadServer(pool);
  close = created.close;
  created.server.listen(0, '127.0.0.1');
  await once(created.server, 'listening');
  port = (created.server.address() as AddressInfo).port;
}

/** Sends a request whose body comes from `write`, and reads the answer. */
async function send(
  method: string,
  target: string,
  write: (send: (bytes: Uint8Array) => void) => Promise<void> | void = () => {},
) {
  const sent = request({ port, host: '127.0.0.1', method, path: target });
  const response = once(sent, 'response') as Promise<[IncomingMessage]>;
  await write((bytes) => sent.write(bytes));
  sent.end();
  const [message] = await response;
  let text = '';
  for await (const part of message.setEncoding('utf8')) text += part;
  return { status: message.statusCode, text, headers: message.headers };
}

async function upload(bytes: Uint8Array) {
  const { status, text } = await send('POST', '/uploads', (write) => write(bytes));
  return { status, body: JSON.parse(text) };
}

async function metric(name: string): Promise<number> {
  const { text } = await send('GET', '/metrics');
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
}

const targets = simulated
  ? [
      { name: 'on the simulated device', open: (options = {}) => Copier.open(options) },
      { name: 'there, in threads', open: (options = {}) => WorkerCopier.open(options) },
    ]
  : [
      { name: 'on a mock of CAIA 1', caiaVersion: '1.0' },
      { name: 'on a mock of CAIA 2', caiaVersion: '2.0' },
    ].map(({ name, caiaVersion }) => ({
      name,
      open: (options = {}) => Copier.open({ system: mock, ...options }),
      caiaVersion,
    }));

for (const { name, open, ...card } of targets) {
  describe(`the upload server ${name}`, () => {
    beforeEach(() => {
      mock = createMockCxl({ cards: [{ afus: [{ model: memcpyAfu() }], ...card }] });
    });
    afterEach(async () => {
      await close();
      mock.assertNoLeaks();
    });

    it('copies uploads: empty ones, odd ones, ones of several pieces', async () => {
      await start(open);
      for (const length of [0, 1, 127, 4096, 65_537, 3_000_001]) {
        const bytes = randomBytes(length);
        expect(await upload(bytes)).toEqual(answerFor(bytes));
      }
      expect(await metric('uploads_bytes_total')).toBe(1 + 127 + 4096 + 65_537 + 3_000_001);
    });

    it('serves more uploads at the same time than it has contexts', async () => {
      await start(open);
      const bodies = Array.from({ length: 12 }, (_, n) => randomBytes(50_000 + n));
      expect(await Promise.all(bodies.map(upload))).toEqual(bodies.map(answerFor));
      expect(await metric('uploads_contexts')).toBe(2);
      expect(await metric('uploads_jobs_total')).toBe(12);
    });

    it('goes on with an upload when the link goes down in the middle and recovers', async () => {
      await start(open);
      const [first, second] = [randomBytes(1 << 20), randomBytes(2_000_000)];
      const { status, text } = await send('POST', '/uploads', async (write) => {
        write(first);
        while (pool.metrics.jobs < 1 || pool.metrics.busy > 0) await sleep(1);
        if (simulated) command('link-down card0 100');
        else mock.card(0).enterErrorState(100);
        write(second);
      });
      const whole = Buffer.concat([first, second]);
      expect({ status, body: JSON.parse(text) }).toEqual(answerFor(whole));
      expect(await metric('uploads_lost_total')).toBeGreaterThan(0);
      expect(await metric('uploads_retries_total')).toBeGreaterThan(0);
      expect(await metric('uploads_failures_total')).toBe(0);
      // The other context was idle then: it is found out when it is needed.
      const bodies = [randomBytes(1000), randomBytes(1000), randomBytes(1000)];
      expect(await Promise.all(bodies.map(upload))).toEqual(bodies.map(answerFor));
    });

    it('answers 503 when the card does not come back in time, and serves when it is back', async () => {
      await start(() => open({ timeout: 200 }), { recovery: 50 });
      if (simulated) command('link-down card0');
      else mock.card(0).linkDown();
      const { status, body } = await upload(randomBytes(1000));
      expect(status).toBe(503);
      expect(body.code).toMatch(/^E(IO|NODEV|NOENT)$/);
      expect(await metric('uploads_failures_total')).toBe(1);
      if (simulated) command('link-up card0');
      else mock.card(0).recover();
      const bytes = randomBytes(1000);
      expect(await upload(bytes)).toEqual(answerFor(bytes));
    });

    it('shuts down: serves what it has begun, then closes its contexts', async () => {
      await start(open);
      const bytes = randomBytes(1 << 20);
      let closed = false;
      let closing: Promise<void> | undefined;
      const { status, text, headers } = await send('POST', '/uploads', async (write) => {
        write(bytes.subarray(0, 1000));
        while ((await metric('uploads_contexts')) === 0) await sleep(1);
        closing = close().then(() => {
          closed = true;
        });
        await sleep(30);
        expect(closed).toBe(false);
        write(bytes.subarray(1000));
      });
      expect({ status, body: JSON.parse(text) }).toEqual(answerFor(bytes));
      expect(headers.connection).toBe('close');
      await closing;
      await expect(upload(bytes)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      await expect(pool.copy(bytes)).rejects.toMatchObject({ code: 'ERR_POOL_FULL' });
    });

    it('says whether it is well, and 404', async () => {
      await start(open);
      expect((await send('GET', '/health')).status).toBe(200);
      expect((await send('GET', '/other')).status).toBe(404);
      await pool.close();
      expect((await send('GET', '/health')).status).toBe(503);
    });
  });
}

if (!simulated) {
  describe('the upload server, when the AFU fails', () => {
    it('answers 500 for a fault that is no failure of the card, and replaces the context', async () => {
      mock = createMockCxl({ cards: [{ afus: [{ model: memcpyAfu() }] }] });
      await start(() => Copier.open({ system: mock }), { size: 1 });
      mock.inject({ name: 'translation', after: 1 });
      const { status, body } = await upload(randomBytes(1000));
      expect([status, body.code]).toEqual([500, 'EFAULT']);
      const bytes = randomBytes(1000);
      expect(await upload(bytes)).toEqual(answerFor(bytes));
      await close();
      mock.assertNoLeaks();
      mock.assertNoPendingFaults();
    });

    it('leaves nothing behind when a step of opening a context fails', async () => {
      for (const fault of ['open', 'allocate', 'start-work', 'map'] as const) {
        for (const after of [0, 1, 2, 3]) {
          mock = createMockCxl({ cards: [{ afus: [{ model: memcpyAfu() }] }] });
          mock.inject({ name: fault, errno: 'ENOMEM', after });
          pool = new Pool(() => Copier.open({ system: mock }), { size: 4 });
          const code = await pool.open().then(
            () => 'opened',
            (error) => error.code,
          );
          expect([fault, after, code]).toEqual([fault, after, 'ENOMEM']);
          await pool.close();
          mock.assertNoLeaks();
        }
      }
    });
  });
}

describe('the pool of the upload server', () => {
  it('lets so many jobs wait, serves them in order, and refuses more: 503', async () => {
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const order: number[] = [];
    const copier = {
      copy: async (bytes: Uint8Array) => {
        await gate;
        order.push(bytes.length);
        return bytes;
      },
      close: async () => {},
    };
    await start(async () => copier, { size: 1, waiting: 2 });
    const jobs = [1, 2, 3].map((length) => pool.copy(new Uint8Array(length)));
    const { status, headers } = await send('POST', '/uploads', (write) => write(randomBytes(9)));
    expect([status, headers['retry-after']]).toEqual([503, '1']);
    // One that is still coming is answered as well.
    const unfinished = request({ port, host: '127.0.0.1', method: 'POST', path: '/uploads' });
    unfinished.write(randomBytes(1 << 20));
    const [refused] = (await once(unfinished, 'response')) as [IncomingMessage];
    expect([refused.statusCode, refused.headers.connection]).toEqual([503, 'close']);
    unfinished.destroy();
    open();
    await Promise.all(jobs);
    expect(order).toEqual([1, 2, 3]);
    expect((await upload(randomBytes(4))).status).toBe(200);
    await close();
  });

  it('gives up a job whose attempts all fail, and repeats none that can never succeed', async () => {
    let opened = 0;
    let code = 'EIO';
    const failing = () => Promise.reject(Object.assign(new Error(code), { code }));
    pool = new Pool(
      async () => {
        opened += 1;
        return { copy: failing, close: failing };
      },
      { size: 1, attempts: 3 },
    );
    await expect(pool.copy(randomBytes(1))).rejects.toMatchObject({ code: 'EIO' });
    expect(opened).toBe(3);
    code = 'EFAULT';
    await expect(pool.copy(randomBytes(1))).rejects.toMatchObject({ code: 'EFAULT' });
    expect(opened).toBe(4);
    expect(pool.metrics).toMatchObject({ jobs: 2, failures: 2, retries: 2, lost: 4, contexts: 0 });
    await pool.close();
  });
});

describe('its program', () => {
  const env = simulated ? {} : { NODE_CXL_BACKEND: 'mock' };
  for (const threads of ['0', '1']) {
    it(`serves, and ends by SIGTERM, with THREADS=${threads}`, async () => {
      const child = spawn(process.execPath, [path.join(folder, 'main.mjs')], {
        env: { ...process.env, ...env, PORT: '0', CONTEXTS: '2', THREADS: threads },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      child.stdout.setEncoding('utf8').on('data', (text) => {
        said += text;
      });
      const ended = once(child, 'close');
      while (!said.includes('\n')) await Promise.race([once(child.stdout, 'data'), ended]);
      port = Number(/:(\d+),/.exec(said)?.[1]);
      const bodies = [randomBytes(2_000_000), randomBytes(10), randomBytes(100_000)];
      expect(await Promise.all(bodies.map(upload))).toEqual(bodies.map(answerFor));
      child.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
      expect(said).toMatch(/^closed$/m);
    });
  }

  it('has a systemd unit for the group of the udev rule, whose settings it reads', () => {
    const unit = readFileSync(path.join(folder, 'upload-server.service'), 'utf8');
    const rules = path.join(folder, '../../../lib/udev/70-node-cxl.rules');
    const group = /KERNEL=="afu[^"]*\[sd\]", GROUP="(\w+)"/.exec(readFileSync(rules, 'utf8'))?.[1];
    expect(unit).toContain(`SupplementaryGroups=${group}\n`);
    const main = readFileSync(path.join(folder, 'main.mjs'), 'utf8');
    const settings = /^Environment=(.*)$/m
      .exec(unit)![1]!
      .split(' ')
      .map((one) => one.split('=')[0]);
    for (const setting of settings) expect(main).toContain(`${setting} = '`);
    expect(unit).toContain('/main.mjs\n');
  });
});
