/** What console.log() shows of the objects: their state, without a system call. */
import { inspect } from 'node:util';
import { cxl } from 'node-cxl';
import { doe } from 'node-cxl/doe';
import { openLun } from 'node-cxl/flash';
import { createMockCxl, createMockDoe } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { oneCard, slave, until } from './mock-support';

/** On one line, however long it is. */
const show = (object: unknown) => inspect(object, { breakLength: Number.POSITIVE_INFINITY });

describe('util.inspect()', () => {
  it('of adapters and AFUs names them, also once the card is gone', async () => {
    const mock = oneCard();
    const [adapter] = await mock.adapters();
    const [afu] = await mock.afus();
    const check = () => {
      expect(show(adapter)).toBe(`Adapter { name: 'card0', pciPath: '${adapter!.pciPath}' }`);
      expect(show(afu)).toMatch(/^Afu \{ name: 'afu0\.0'.* \}$/);
    };
    check();
    mock.card(0).unplug();
    check();
  });

  it('of a context follows its state', async () => {
    const mock = oneCard();
    const context = await mock.open(slave);
    const { fd } = context;
    const shown = (state: string, mappings: number, number = fd) =>
      `Context { path: '${slave}', state: '${state}', fd: ${number}, mappings: ${mappings} }`;
    expect(show(context)).toBe(shown('opened', 0));
    await context.attach({ wed: 0n });
    const area = context.mapProblemState();
    expect(show(context)).toBe(shown('attached', 1));
    const wait = context.waitForEvent().catch((error) => error.code);
    mock.card(0).afu(0).detachAll();
    expect(await wait).toBe('EIO');
    expect(show(context)).toBe(shown('detached', 1));
    await context.close();
    expect(show(context)).toBe(shown('closed', 0, -1));
    expect(show(area)).toBe(
      `ProblemState { path: '${slave}', length: ${area.length}, mapped: false }`,
    );
  });

  it('of memory has its address, and works once it is freed', () => {
    const memory = oneCard().allocate(4096);
    const address = `0x${memory.address.toString(16)}`;
    expect(show(memory)).toBe(`Memory { address: ${address}, size: 4096, state: 'allocated' }`);
    memory.free();
    expect(show(memory)).toBe(`Memory { address: ${address}, size: 4096, state: 'freed' }`);
    const pool = oneCard().allocatePool(4096);
    pool.allocate(200);
    expect(show(pool)).toContain("size: 4096, state: 'allocated', pieces: 1, used: 256 }");
  });

  it('of LUNs and resources follows their state', async () => {
    const mock = createMockCxl({ cards: [], flash: [{}] });
    const path = mock.flash.adapters[0]!.nodes[0]!;
    const lun = await openLun(path, { system: mock });
    expect(show(lun)).toBe(`Lun { path: '${path}', closed: false }`);
    await lun.enableSuperpipe();
    const context = await lun.attach();
    const resource = await context.openVirtual({ blocks: 65536 });
    expect(show(resource)).toBe(
      `Resource { lun: '${path}', mode: 'virtual', handle: ${resource.handle}, blocks: 65536n, blockSize: 4096, released: false }`,
    );
    expect(show(context)).toBe(
      `FlashContext { id: 0x${context.id.toString(16)}, access: 'read-write', luns: 1, resources: 1, closed: false }`,
    );
    await context.close();
    await lun.close();
    expect(show(context)).toContain('closed: true');
    expect(show(resource)).toContain('released: true');
    expect(show(lun)).toBe(`Lun { path: '${path}', closed: true }`);
  });

  it('of mailboxes has what they are doing', async () => {
    const mock = createMockDoe();
    const [mailbox] = await mock.mailboxes('0d:00.0');
    const shown = (phase: string) =>
      `DoeMailbox { name: '0000:0d:00.0+190', phase: '${phase}', version: 1 }`;
    expect(show(mailbox)).toBe(shown('idle'));
    mock.function('0d:00.0').mailboxes[0]!.faults = { delay: 100 };
    const discovering = mailbox!.discover();
    await until(() => mailbox!.phase === 'waiting');
    expect(show(mailbox)).toBe(shown('waiting'));
    await discovering;
    mock.function('0d:00.0').remove();
    expect(show(mailbox)).toBe(shown('idle'));
  });

  it('of a system chooses no backend, and looks for no device', () => {
    expect(show(cxl)).toMatch(/Cxl \{ backend: 'not chosen yet' \}$/);
    expect(show(doe)).toBe("Doe { bus: 'not chosen yet' }");
    expect(show(oneCard())).toBe('MockCxl { files: 0, mappings: 0, bytes: 0, contexts: 0 }');
  });

  it('shows only the class of an object that is nested too deep', async () => {
    const mock = oneCard();
    const memory = mock.allocate(4096);
    expect(inspect({ a: { b: { memory } } }, { depth: 1 })).toContain('[Object]');
    expect(inspect({ a: { memory } }, { depth: 1 })).toContain('[Memory]');
    memory.free();
  });

  it('makes no system call', async () => {
    const mock = oneCard({ calls: { detail: 'accesses' } });
    const context = await mock.open(slave);
    await context.attach({ wed: 0n });
    const area = context.mapProblemState();
    const memory = mock.allocate(4096);
    const objects = [mock, ...(await mock.adapters()), ...(await mock.afus())];
    const before = [...mock.calls].length;
    for (const object of [...objects, context, area, memory]) show(object);
    expect([...mock.calls].length).toBe(before);
    await context.close();
  });
});
