/** Options of node-cxl/doe: unknown names are refused; an abort ends every call. */
import { AbortError } from 'node-cxl';
import {
  Compliance,
  type Doe,
  type DoeMailbox,
  discoverIndex,
  discoveryProtocol,
  type ExchangeOptions,
  MAX_PAYLOAD_BYTES,
  readCdat,
  readCdatBytes,
  SysfsPci,
  spdmVersions,
  tableAccessProtocol,
} from 'node-cxl/doe';
import { createMockDoe, type MockDoe } from 'node-cxl/mock';
import { beforeEach, describe, expect, it } from 'vitest';
import { failure, refuses } from '../options-support';

const ADDRESS = '0000:0d:00.0';

let mock: MockDoe;
let table: DoeMailbox;
let compliance: DoeMailbox;
let spdm: DoeMailbox;
beforeEach(async () => {
  mock = createMockDoe();
  [table, compliance, spdm] = (await mock.mailboxes(ADDRESS)) as [
    DoeMailbox,
    DoeMailbox,
    DoeMailbox,
  ];
});

describe('options of node-cxl/doe', () => {
  it('that do not exist are refused by every function', async () => {
    const wrong = { timeoutMs: 'timeout', forced: 'force', maxlength: 'maxLength' };
    const none = Buffer.alloc(4);
    await refuses((options) => table.exchange(discoveryProtocol, none, options), wrong);
    await refuses((options) => table.discover(options), wrong);
    await refuses((options) => discoverIndex(table, 0, options), wrong);
    await refuses((options) => mock.find(ADDRESS, tableAccessProtocol, options), wrong);
    await refuses((options) => spdmVersions(spdm, options), wrong);
    await refuses((options) => new Compliance(compliance, options), wrong);
    await refuses((options) => table.reset(options), { singal: 'signal', forse: 'force' });
    const cdat = { verfy: 'verify', timeout_ms: 'timeout' };
    await refuses((options) => readCdat(table, options), cdat);
    await refuses((options) => readCdatBytes(table, options), cdat);
    expect((await failure(() => readCdat(table, { maxLength: 5 } as never))).message).toContain(
      'options.maxLength is not an option',
    );
    await refuses((options) => mock.scan(options), { signals: 'signal' });
    await refuses((options) => mock.scanFunction(ADDRESS, options), { signals: 'signal' });
    await refuses((options) => mock.mailboxes(ADDRESS, options), { signals: 'signal' });
    await refuses((options) => new SysfsPci(options), { device: 'devices' });
  });

  it('that are undefined are as absent', async () => {
    const undefinedAll = {
      signal: undefined,
      timeout: undefined,
      force: undefined,
      maxLength: undefined,
    };
    expect(await table.discover(undefinedAll)).toHaveLength(2);
    expect((await readCdat(table, { verify: undefined })).checksumValid).toBe(true);
  });

  it('are checked although the call could do without them', async () => {
    const wrong = { code: 'ERR_INVALID_ARG_TYPE' };
    expect(
      await failure(() =>
        table.exchange(discoveryProtocol, Buffer.alloc(4), { force: 1 } as never),
      ),
    ).toMatchObject(wrong);
    expect(await failure(() => readCdat(table, { verify: 0 } as never))).toMatchObject(wrong);
    for (const none of [{}, null, undefined]) {
      expect(await failure(() => readCdat(none as never))).toMatchObject(wrong);
    }
    expect(await failure(() => table.reset({ force: 1 } as never))).toMatchObject(wrong);
    expect(await failure(() => table.reset({ signal: {} } as never))).toMatchObject(wrong);
    expect(await failure(() => mock.scan({ signal: {} } as never))).toMatchObject(wrong);
  });

  it('have the ranges that their documentation says', async () => {
    const exchange = (options: ExchangeOptions) =>
      table.exchange(discoveryProtocol, Buffer.alloc(4), options);
    const wrong = { code: 'ERR_OUT_OF_RANGE' };
    for (const timeout of [0, 2 ** 31, 1.5]) {
      expect(await failure(() => exchange({ timeout }))).toMatchObject(wrong);
    }
    for (const maxLength of [-1, MAX_PAYLOAD_BYTES + 1]) {
      expect(await failure(() => exchange({ maxLength }))).toMatchObject(wrong);
    }
    for (const timeout of [1, 2 ** 31 - 1]) expect(await exchange({ timeout })).toHaveLength(4);
    expect(await exchange({ maxLength: MAX_PAYLOAD_BYTES })).toHaveLength(4);
    expect(await failure(() => exchange({ maxLength: 0 }))).toMatchObject({ code: 'EOVERFLOW' });
  });
});

describe('an abort of a call of node-cxl/doe', () => {
  const calls: Record<string, (signal: AbortSignal, doe: Doe) => Promise<unknown>> = {
    exchange: (signal) => table.exchange(discoveryProtocol, Buffer.alloc(4), { signal }),
    discover: (signal) => table.discover({ signal }),
    find: (signal, doe) => doe.find(ADDRESS, tableAccessProtocol, { signal }),
    reset: (signal) => table.reset({ signal }),
    readCdat: (signal) => readCdat(table, { signal }),
    readCdatBytes: (signal) => readCdatBytes(table, { signal }),
    spdmVersions: (signal) => spdmVersions(spdm, { signal }),
    compliance: (signal) => new Compliance(compliance, { signal }).capabilities(),
    scan: (signal, doe) => doe.scan({ signal }),
    scanFunction: (signal, doe) => doe.scanFunction(ADDRESS, { signal }),
    mailboxes: (signal, doe) => doe.mailboxes(undefined, { signal }),
    'mailboxes of a function': (signal, doe) => doe.mailboxes(ADDRESS, { signal }),
  };

  it('is an AbortError with the reason as its cause, before it as during it', async () => {
    for (const [name, call] of Object.entries(calls)) {
      for (const when of ['before', 'at once', 'later'] as const) {
        const controller = new AbortController();
        const reason = new Error('enough');
        for (const mailbox of mock.function(ADDRESS).mailboxes) {
          // An exchange waits long enough to be aborted while it does.
          mailbox.faults = when === 'later' ? { delay: 500 } : {};
        }
        if (when === 'before') controller.abort(reason);
        const running = call(controller.signal, mock);
        if (when === 'at once') controller.abort(reason);
        if (when === 'later') {
          if (name === 'reset' || name.startsWith('scan') || name.startsWith('mailboxes')) {
            await running;
            continue;
          }
          setTimeout(() => controller.abort(reason), 20);
        }
        const error = await failure(() => running);
        expect(error, `${name} ${when}`).toBeInstanceOf(AbortError);
        expect(error).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: reason });
        for (const mailbox of mock.function(ADDRESS).mailboxes) expect(mailbox.idle).toBe(true);
      }
    }
  });

  it('while another process has the lock is one as well, and the lock is free afterwards', async () => {
    mock.function(ADDRESS).mailboxes[0]!.faults = { delay: 200 };
    const [elsewhere] = await mock.anotherProcess().mailboxes(ADDRESS);
    const held = elsewhere!.discover({ timeout: 5000 });
    await new Promise((resolve) => setTimeout(resolve, 50));
    const controller = new AbortController();
    const waiting = table.discover({ signal: controller.signal });
    setTimeout(() => controller.abort(), 30);
    expect(await failure(() => waiting)).toBeInstanceOf(AbortError);
    expect(await held).toHaveLength(2);
    mock.function(ADDRESS).mailboxes[0]!.faults = {};
    expect(await table.discover()).toHaveLength(2);
  });
});
