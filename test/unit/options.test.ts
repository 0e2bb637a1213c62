/** Options objects of the public API: names that do not exist are refused, whatever their value. */
import type { Afu, Context, Cxl } from 'node-cxl';
import { doeFromDump } from 'node-cxl/doe';
import { listLuns, openFlashHost, openLun } from 'node-cxl/flash';
import {
  complianceMode,
  createMockCxl,
  createMockDoe,
  encodeCdat,
  MockMailbox,
  memcpyAfu,
  memoryDevice,
  mockDoeFromConfig,
  mockFromConfig,
} from 'node-cxl/mock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { failure, refuses } from './options-support';

describe('unknown options of adapters, AFUs, contexts and memory', () => {
  let system: Cxl;
  let afu: Afu;
  let context: Context;

  beforeEach(async () => {
    system = createMockCxl();
    afu = (await system.afus())[0]!;
    context = await afu.open();
  });
  afterEach(() => context.close());

  it('are refused by every method that takes options', async () => {
    const [adapter] = await system.adapters();
    await refuses((options) => adapter!.reset(options), { forced: 'force' });
    await refuses((options) => adapter!.downloadImage(new Uint8Array(1), options), {
      needsHeader: 'needHeader',
      abortSignal: 'signal',
    });
    await refuses((options) => system.allocate(4096, options), {
      align: 'alignment',
      hugepages: 'hugePages',
      numanode: 'numaNode',
    });
    await refuses((options) => system.adopt(0, options), { own: 'owned', mmioSzie: 'mmioSize' });
    await refuses((options) => context.attach(options), {
      interupts: 'interrupts',
      errFF: 'errFf',
    });
    await refuses((options) => context.attach(options), { hold: 'holds' });
    expect((await failure(() => context.attach({ wed: 0n, tid: true } as never))).code).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
    await refuses((options) => context.attachSync(options), { Tid: 'tid' });
    await context.attach({ wed: 0n });
    await refuses((options) => context.mapProblemState(options), { endain: 'endian' });
    await refuses((options) => context.waitForEvent(options), { timeoutMs: 'timeout' });
    await refuses((options) => context.waitForInterrupt(1, options), { timeout_ms: 'timeout' });
    await refuses((options) => context.events(options), { singal: 'signal' });
    expect((await failure(() => context.events({ timeout: 5 } as never))).code).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
    const memory = system.allocate(4096);
    await refuses((options) => memory.free(options), { forced: 'force' });
    await refuses((options) => memory.load32(0, options), { endianness: 'endian' });
    await refuses((options) => memory.store64(0, 0n, options), { endianess: 'endian' });
  });

  it('an AbortSignal in place of { signal } is refused, not ignored', async () => {
    await context.attach({ wed: 0n });
    const { signal } = new AbortController();
    const error = await failure(() => context.waitForEvent(signal as never));
    expect(error.code).toBe('ERR_INVALID_ARG_VALUE');
    expect(error.message).toContain('is not an option');
  });
});

describe('unknown options of mocks', () => {
  it('are refused in every nested object', async () => {
    const model = memcpyAfu();
    await refuses((options) => createMockCxl(options), { crads: 'cards', sead: 'seed' });
    await refuses((options) => memcpyAfu(options), { process: 'processes' });
    await refuses((options) => createMockDoe(options), { function: 'functions' });
    await refuses((options) => complianceMode(options), { avail: 'available' });
    await refuses((options) => encodeCdat([], options), { revison: 'revision' });
    await refuses((options) => memoryDevice(options), { adress: 'address' });
    const mock = createMockCxl({ flash: [{}] });
    const afu = mock.card(0).afu(0);
    await refuses((options) => afu.expectOpen(options), { timeoutMs: 'timeout' });

    const address = '0d:00.0';
    const nested: [name: string, call: () => unknown][] = [
      [
        'options.cards[0].afu is not an option; did you mean afus?',
        () => createMockCxl({ cards: [{ afu: [] } as never] }),
      ],
      [
        'options.cards[0].afus[0].modle is not an option; did you mean model?',
        () => createMockCxl({ cards: [{ afus: [{ modle: model } as never] }] }),
      ],
      [
        'options.flash[0].lun is not an option; did you mean luns?',
        () => createMockCxl({ flash: [{ lun: [] } as never] }),
      ],
      [
        'flash.luns[0].block is not an option; did you mean blocks?',
        () => mock.flash.add({ luns: [{ blocks: 65536, block: 1 } as never] }),
      ],
      [
        'fault.probablity is not an option; did you mean probability?',
        () => mock.inject({ name: 'open', probablity: 1 } as never),
      ],
      [
        'options.latency.opens is not an option; did you mean open?',
        () => createMockCxl({ latency: { opens: 5 } as never }),
      ],
      [
        'options.functions[0].mailboxs is not an option; did you mean mailboxes?',
        () => createMockDoe({ functions: [{ address, mailboxs: [] } as never] }),
      ],
      [
        'options.functions[0].mailboxes[0].protocol is not an option; did you mean protocols?',
        () => createMockDoe({ functions: [{ address, mailboxes: [{ protocol: [] } as never] }] }),
      ],
      [
        'mailbox.faults.bussy is not an option; did you mean busy?',
        () => new MockMailbox({ faults: { bussy: true } as never }),
      ],
    ];
    for (const [message, call] of nested) {
      const error = await failure(call);
      expect(error.message).toContain(message);
      expect(error).toMatchObject({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' });
    }
  });

  it('and values of the wrong type', async () => {
    const wrong: [code: string, call: () => unknown][] = [
      ['ERR_INVALID_ARG_TYPE', () => createMockCxl({ faults: 5 as never })],
      ['ERR_INVALID_ARG_TYPE', () => createMockCxl({ faults: [null as never] })],
      ['ERR_INVALID_ARG_TYPE', () => createMockCxl({ cards: {} as never })],
      ['ERR_INVALID_ARG_TYPE', () => createMockCxl({ flash: {} as never })],
      ['ERR_INVALID_ARG_TYPE', () => createMockCxl({ latency: 5 as never })],
      ['ERR_INVALID_ARG_VALUE', () => createMockCxl({ latency: { open: [1] as never } })],
      ['ERR_INVALID_ARG_TYPE', () => createMockCxl({ udevLinks: 'yes' as never })],
      [
        'ERR_INVALID_ARG_VALUE',
        () => createMockCxl({ cards: [{ imageLoaded: 'other' as never }] }),
      ],
      [
        'ERR_INVALID_ARG_VALUE',
        () => createMockCxl({ cards: [{ afus: [{ mode: 'master' as never }] }] }),
      ],
      ['ERR_INVALID_ARG_TYPE', () => createMockDoe({ functions: [null as never] })],
      ['ERR_INVALID_ARG_TYPE', () => mockFromConfig(-0 as never)],
      ['ERR_INVALID_ARG_TYPE', () => mockDoeFromConfig(-0 as never)],
      ['ERR_INVALID_ARG_TYPE', () => doeFromDump(-0 as never)],
    ];
    for (const [code, call] of wrong) expect((await failure(call)).code).toBe(code);
  });
});

describe('unknown options of node-cxl/flash', () => {
  it('are refused by every function', async () => {
    const system = createMockCxl({ cards: [], flash: [{}] });
    const path = system.flash.adapters[0]!.nodes[0]!;
    await refuses((options) => openLun(path, options), { sytem: 'system', singal: 'signal' });
    await refuses((options) => listLuns(options), { systems: 'system' });
    const host = '/dev/cxlflash/cxlflash0';
    await refuses((options) => openFlashHost(host, options), { systm: 'system' });
    const lun = await openLun(path, { system });
    await refuses((options) => lun.enableSuperpipe(options), { allports: 'allPorts' });
    await refuses((options) => lun.disableSuperpipe(options), { wwids: 'wwid' });
    await refuses((options) => lun.attach(options), { queuedepth: 'queueDepth' });
    await lun.enableSuperpipe();
    const context = await lun.attach();
    await refuses((options) => context.openVirtual(options), { block: 'blocks' });
    expect((await failure(() => context.join(null as never))).code).toBe('ERR_INVALID_ARG_TYPE');
    expect((await failure(() => context.detach(null as never))).code).toBe('ERR_INVALID_ARG_TYPE');
    await context.close();
    await lun.close();
  });
});
