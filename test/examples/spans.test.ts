import { AsyncLocalStorage } from 'node:async_hooks';
import * as diagnostics from 'node:diagnostics_channel';
import { openLun } from 'node-cxl/flash';
import { createMockCxl, createMockDoe, memcpyAfu } from 'node-cxl/mock';
import { afterEach, describe, expect, it } from 'vitest';
import { inKernel } from '../unit/mock-support';
import { type Span, spansOf, type Tracer } from './spans';

/** Keeps the spans, as an exporter of OpenTelemetry for tests does. */
class Recorder implements Tracer {
  readonly spans: {
    name: string;
    attributes: Record<string, unknown>;
    errors: string[];
    ended: number;
  }[] = [];

  startSpan(name: string): Span {
    const span = {
      name,
      attributes: {} as Record<string, unknown>,
      errors: [] as string[],
      ended: 0,
    };
    this.spans.push(span);
    return {
      setAttribute: (attribute, value) => (span.attributes[attribute] = value),
      recordException: (error) => span.errors.push((error as Error & { code: string }).code),
      end: () => (span.ended += 1),
    };
  }
}

const path = '/dev/cxl/afu0.0s';
const card = () => createMockCxl({ cards: [{ afus: [{ model: memcpyAfu() }] }] });

describe('spans of node-cxl', () => {
  let stop = () => {};
  afterEach(() => stop());

  function record(): Recorder {
    const recorder = new Recorder();
    stop = spansOf(recorder);
    return recorder;
  }

  it('are one for each open, attach, wait and close, with its error', async () => {
    const recorder = record();
    const context = await card().open(path);
    context.attachSync({ wed: 0n, interrupts: 4 });
    await context.attach({ wed: 0n }).catch(() => {});
    await context.waitForEvent({ timeout: 0 }).catch(() => {});
    const interrupt = context.waitForInterrupt(2).catch(() => {});
    await context.close();
    await interrupt;
    const events = context.events().next();
    await events.catch(() => {});
    expect(recorder.spans).toEqual([
      { name: 'node-cxl:open', attributes: { 'cxl.path': path }, errors: [], ended: 1 },
      {
        name: 'node-cxl:attach',
        attributes: { 'cxl.path': path, 'cxl.interrupts': 4 },
        errors: [],
        ended: 1,
      },
      { name: 'node-cxl:attach', attributes: { 'cxl.path': path }, errors: ['EIO'], ended: 1 },
      {
        name: 'node-cxl:wait',
        attributes: { 'cxl.path': path, 'cxl.call': 'waitForEvent' },
        errors: ['ETIMEDOUT'],
        ended: 1,
      },
      {
        name: 'node-cxl:wait',
        attributes: { 'cxl.path': path, 'cxl.call': 'waitForInterrupt', 'cxl.irq': 2 },
        errors: ['ECANCELED'],
        ended: 1,
      },
      { name: 'node-cxl:close', attributes: { 'cxl.path': path }, errors: [], ended: 1 },
    ]);
  });

  it('are one for each command and ioctl of a flash adapter', async () => {
    const recorder = record();
    const lun = await openLun('/dev/sg1', { system: createMockCxl({ cards: [], flash: [{}] }) });
    await lun.call('DETACH', { contextId: 99n }).catch(() => {});
    await lun.enableSuperpipe();
    const context = await lun.attach();
    const device = (await context.openDirect()).blockDevice();
    await device.write(7, new Uint8Array(device.blockSize));
    await device.read(7, 1);
    await context.close();
    await lun.close();
    const ioctls = recorder.spans.filter(({ name }) => name === 'node-cxl:flash.ioctl');
    expect(ioctls.map(({ attributes, errors }) => [attributes['cxl.ioctl'], ...errors])).toEqual(
      expect.arrayContaining([['DETACH', 'EINVAL'], ['MANAGE_LUN'], ['ATTACH'], ['USER_DIRECT']]),
    );
    const commands = recorder.spans.filter(({ name }) => name === 'node-cxl:flash.command');
    const attributes = { 'cxl.path': '/dev/sg1', 'cxl.lba': '7', 'cxl.blocks': 1 };
    expect(commands).toEqual([
      {
        name: 'node-cxl:flash.command',
        attributes: { ...attributes, 'cxl.command': 'write' },
        errors: [],
        ended: 1,
      },
      {
        name: 'node-cxl:flash.command',
        attributes: { ...attributes, 'cxl.command': 'read' },
        errors: [],
        ended: 1,
      },
    ]);
    expect(recorder.spans.every(({ ended }) => ended === 1)).toBe(true);
  });

  it('are one for each exchange of a mailbox', async () => {
    const recorder = record();
    const known = { vendorId: 0x1234, type: 7 };
    const doe = createMockDoe({
      functions: [
        {
          address: '0000:01:00.0',
          mailboxes: [{ protocols: [{ ...known, answer: (request) => Buffer.from(request) }] }],
        },
      ],
    });
    const [mailbox] = await doe.mailboxes('0000:01:00.0');
    await mailbox?.exchange(known, Buffer.alloc(8));
    await mailbox?.exchange({ ...known, type: 8 }, Buffer.alloc(4), { timeout: 1 }).catch(() => {});
    const fields = { 'cxl.path': expect.any(String), 'cxl.vendorId': 0x1234 };
    expect(recorder.spans).toEqual([
      {
        name: 'node-cxl:doe.exchange',
        attributes: { ...fields, 'cxl.type': 7, 'cxl.length': 8 },
        errors: [],
        ended: 1,
      },
      {
        name: 'node-cxl:doe.exchange',
        attributes: { ...fields, 'cxl.type': 8, 'cxl.length': 4 },
        errors: ['ETIMEDOUT'],
        ended: 1,
      },
    ]);
  });

  it('cost nothing once nobody listens', async () => {
    const recorder = record();
    stop();
    const context = await card().open(path);
    await context.close();
    expect(recorder.spans).toEqual([]);
  });
});

const { tracingChannel } = diagnostics;
describe.skipIf(tracingChannel === undefined)(
  'tracingChannel() of Node 18.19, 19.9 and later',
  () => {
    it('has the messages, with durations, results and errors', async () => {
      const seen: [string, object][] = [];
      const on = (event: string) => (message: unknown) => {
        seen.push([event, { ...(message as object) }]);
      };
      const subscribers = {
        start: on('start'),
        end: on('end'),
        asyncStart: on('asyncStart'),
        asyncEnd: on('asyncEnd'),
        error: on('error'),
      };
      const channels = tracingChannel('node-cxl:wait');
      channels.subscribe(subscribers);
      try {
        const context = await card().open(path);
        await context.attach({ wed: 0n });
        const error = await context.waitForEvent({ timeout: 20 }).catch((thrown) => thrown);
        const began = { path, call: 'waitForEvent' };
        const ended = { ...began, error, duration: expect.any(Number) };
        expect(seen).toEqual([
          ['start', began],
          ['end', began],
          ['error', ended],
          ['asyncStart', ended],
          ['asyncEnd', ended],
        ]);
        expect((seen.at(-1)?.[1] as { duration?: number } | undefined)?.duration).toBeGreaterThan(
          15,
        );
        expect(error.stack).toContain('spans.test');
        await context.close();
      } finally {
        channels.unsubscribe(subscribers);
      }
    });

    it('binds a store that is current during the operation', async () => {
      const store = new AsyncLocalStorage<string>();
      const { start } = tracingChannel('node-cxl:wait');
      start.bindStore(store, () => 'in the wait');
      try {
        const system = card();
        const kernel = inKernel(system);
        kernel.setDriverOps({ fetchEvent: () => new Uint8Array(1), eventDelivered: () => {} });
        const context = system.adopt(kernel.getFd(), { owned: true });
        const typed = context.decodeDriverEvents(() => store.getStore());
        const wait = typed.waitForEvent();
        kernel.eventsPending(1);
        expect(await wait).toMatchObject({ decoded: 'in the wait' });
        expect(store.getStore()).toBeUndefined();
        await context.close();
      } finally {
        start.unbindStore(store);
      }
    });
  },
);
