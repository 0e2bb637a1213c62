/** Mailboxes over a bus that refuses what the test says: errors, and what is closed after them. */
import { type ConfigSpace, Doe, type DoeMailbox, type PciBus } from 'node-cxl/doe';
import { createMockDoe, type MockDoe, type MockProtocol } from 'node-cxl/mock';
import { beforeEach, describe, expect, it } from 'vitest';
import { ERRNOS } from '../../../dist/shared/errno';
import { failure } from '../options-support';

const ADDRESS = '0000:01:00.0';
const AT = 0x190;
const REGISTERS = 0x18;
const echoProtocol = { vendorId: 0x1234, type: 7 };
const echo: MockProtocol = { ...echoProtocol, answer: (request) => Buffer.from(request) };
const payload = Buffer.from('00112233', 'hex');

let mock: MockDoe;
/** What the test replaces of each space that is opened. */
let replaced: Partial<ConfigSpace>;
/** Calls of open, lock, unlock and close. */
let calls: string[];

/** The mock's bus, with `changes`. */
function changed(changes: Partial<PciBus>): Doe {
  const { bus } = mock;
  const other: PciBus = {
    kind: bus.kind,
    functions: () => bus.functions(),
    path: (address) => bus.path(address),
    open: (address, access) => bus.open(address, access),
    owner: (address) => bus.owner(address),
    driver: (address) => bus.driver(address),
    unbind: (address) => bus.unbind(address),
    bind: (address, driver) => bus.bind(address, driver),
    ...changes,
  };
  return new Doe(other);
}

async function watched(): Promise<DoeMailbox> {
  const doe = changed({
    open(address, access) {
      calls.push(`open ${access}`);
      const space = mock.bus.open(address, access);
      if (typeof space === 'number') return space;
      return {
        ...space,
        lock(offset, length) {
          calls.push(`lock ${offset} ${length}`);
          return space.lock(offset, length);
        },
        unlock(offset, length) {
          calls.push(`unlock ${offset} ${length}`);
          return space.unlock(offset, length);
        },
        close() {
          calls.push('close');
          space.close();
        },
        ...replaced,
      };
    },
  });
  const [mailbox] = await doe.mailboxes(ADDRESS);
  expect(calls.splice(0)).toEqual(['open read', 'close']);
  return mailbox!;
}

beforeEach(() => {
  mock = createMockDoe({
    functions: [{ address: ADDRESS, mailboxes: [{ protocols: [echo] }] }],
  });
  replaced = {};
  calls = [];
});

describe('the configuration space of a mailbox', () => {
  const whole = ['open write', `lock ${AT} ${REGISTERS}`, `unlock ${AT} ${REGISTERS}`, 'close'];

  it('is open and locked during an exchange and reset(), and open for status()', async () => {
    const mailbox = await watched();
    await mailbox.exchange(echoProtocol, payload);
    expect(calls.splice(0)).toEqual(whole);
    await mailbox.reset();
    expect(calls.splice(0)).toEqual(whole);
    await mailbox.status();
    expect(calls.splice(0)).toEqual(['open read', 'close']);
  });

  it('is closed after each failure', async () => {
    const mailbox = await watched();
    const [device] = mock.function(ADDRESS).mailboxes;
    device!.faults = { errorAt: 'go' };
    await failure(() => mailbox.exchange(echoProtocol, payload));
    expect(calls.splice(0)).toEqual(whole);
    device!.faults = { busy: true };
    await failure(() => mailbox.reset());
    expect(calls.splice(0)).toEqual(whole);
    mock.function(ADDRESS).remove('link down');
    expect(await failure(() => mailbox.status())).toMatchObject({
      code: 'ENODEV',
      syscall: 'read(config)',
      path: `mock:${ADDRESS}`,
    });
    expect(calls.splice(0)).toEqual(['open read', 'close']);
  });

  it('that cannot be locked: the errno of fcntl(), and nothing is sent', async () => {
    const mailbox = await watched();
    const [device] = mock.function(ADDRESS).mailboxes;
    device!.log.length = 0;
    for (const errno of ['ENOSYS', 'ENOLCK'] as const) {
      replaced = { lock: () => -ERRNOS[errno] };
      const error = await failure(() => mailbox.exchange(echoProtocol, payload));
      expect(error).toMatchObject({
        code: errno,
        syscall: 'fcntl(F_OFD_SETLK)',
        path: `mock:${ADDRESS}`,
      });
      expect(error.message.includes('the lock needs the addon')).toBe(errno === 'ENOSYS');
      expect(calls.splice(0).at(-1)).toBe('close');
    }
    expect(device!.log).toEqual([]);
  });

  it('whose lock another one has, by either errno of POSIX, is locked when that is over', async () => {
    const mailbox = await watched();
    for (const errno of ['EAGAIN', 'EACCES'] as const) {
      const answers = [-ERRNOS[errno], -ERRNOS[errno], 0];
      replaced = { lock: () => answers.shift() ?? 0 };
      expect(await mailbox.exchange(echoProtocol, payload)).toEqual(payload);
      expect(answers).toEqual([]);
    }
  });

  it('that cannot be read or written: the errno of the access', async () => {
    const mailbox = await watched();
    const hints = { EPERM: 'locked down', EROFS: 'recorded', EIO: 'gone' } as const;
    for (const code of ['EPERM', 'EROFS', 'EIO'] as const) {
      replaced = { writeDword: () => -ERRNOS[code] };
      const error = await failure(() => mailbox.exchange(echoProtocol, payload));
      expect(error).toMatchObject({ code, syscall: 'write(config)', path: `mock:${ADDRESS}` });
      expect(error.message).toContain(hints[code]);
      replaced = {};
      // The abort failed, too.
      expect(mailbox.phase).toBe('dead');
      await mailbox.reset();
    }
    for (const code of ['EPERM', 'EACCES', 'ENODATA', 'EIO'] as const) {
      replaced = { readDword: () => -ERRNOS[code] };
      const error = await failure(() => mailbox.status());
      expect(error).toMatchObject({ code, syscall: 'read(config)', path: `mock:${ADDRESS}` });
      expect(error.message).toContain(code === 'EIO' ? 'gone' : 'only root');
    }
  });

  it('that cannot be opened: the errno of open(), and who can', async () => {
    const mailbox = await watched();
    mock.function(ADDRESS).readable = 64;
    const refused = await failure(() => mailbox.reset());
    expect(refused).toMatchObject({ code: 'EACCES', syscall: 'open', path: `mock:${ADDRESS}` });
    expect(refused.message).toContain('only root can write');
    mock.function(ADDRESS).remove();
    const gone = await failure(() => mailbox.status());
    expect(gone).toMatchObject({ code: 'ENOENT', syscall: 'open', path: `mock:${ADDRESS}` });
    expect(gone.message).toContain('no such PCI function');
    expect(calls).toEqual(['open write', 'open read']);
  });
});

describe('the phase of a mailbox', () => {
  it('is that of its exchange, at each access', async () => {
    const mailbox = await watched();
    const space = mock.bus.open(ADDRESS, 'write') as ConfigSpace;
    const phases: string[] = [];
    const note = () => {
      if (phases.at(-1) !== mailbox.phase) phases.push(mailbox.phase);
    };
    replaced = {
      readDword(offset) {
        note();
        return space.readDword(offset);
      },
      writeDword(offset, value) {
        note();
        return space.writeDword(offset, value);
      },
    };
    await mailbox.exchange(echoProtocol, payload);
    note();
    expect(phases.splice(0)).toEqual(['idle', 'sending', 'waiting', 'receiving', 'idle']);
    mock.function(ADDRESS).mailboxes[0]!.faults = { errorAt: 'go' };
    await failure(() => mailbox.exchange(echoProtocol, payload));
    note();
    expect(phases).toEqual(['idle', 'sending', 'waiting', 'aborting', 'idle']);
  });

  it('is `dead` once the device is gone, which is not accessed after that', async () => {
    const mailbox = await watched();
    let accesses = 0;
    const gone = () => {
      accesses += 1;
      return accesses < 4 ? 0 : -ERRNOS.ENODEV;
    };
    replaced = { readDword: gone, writeDword: gone };
    const error = await failure(() => mailbox.exchange(echoProtocol, payload));
    expect(error).toMatchObject({ code: 'ENODEV', syscall: 'write(config)' });
    expect([mailbox.phase, accesses]).toEqual(['dead', 4]);
  });
});

describe('a bus', () => {
  it('is made at the first use, once', async () => {
    let made = 0;
    const doe = new Doe(() => {
      made += 1;
      return mock.bus;
    });
    expect(made).toBe(0);
    expect(await doe.functions()).toEqual([ADDRESS]);
    expect(await doe.mailboxes()).toHaveLength(1);
    expect([made, doe.bus]).toEqual([1, mock.bus]);
  });

  it('is refused when it is none', () => {
    for (const none of [undefined, null, 'mock', {}]) {
      expect(() => new Doe(none as never)).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }),
      );
    }
  });

  it('that cannot be listed: the errno of readdir()', async () => {
    const doe = changed({ functions: async () => -ERRNOS.ENOENT });
    const expected = { code: 'ENOENT', syscall: 'readdir', path: 'mock' };
    expect(await failure(() => doe.functions())).toMatchObject(expected);
    expect(await failure(() => doe.scan())).toMatchObject(expected);
    expect(await failure(() => doe.mailboxes())).toMatchObject(expected);
  });

  it('whose function cannot be opened: a problem of that function', async () => {
    for (const code of ['ENOENT', 'EACCES'] as const) {
      const doe = changed({ open: () => -ERRNOS[code] });
      const { problem, ...rest } = await doe.scanFunction('01:00.0');
      expect(problem).toMatchObject({ code, syscall: 'open', path: `mock:${ADDRESS}` });
      expect(problem?.message.includes('no such PCI function')).toBe(code === 'ENOENT');
      const owner = { kernelFeatures: [], kernelTables: [] };
      expect(rest).toEqual({ address: ADDRESS, owner, mailboxes: [] });
    }
  });

  it('whose function cannot be read: a problem of that function, and what was found before', async () => {
    const space = mock.bus.open(ADDRESS, 'read') as ConfigSpace;
    for (const [reads, found] of [
      [0, 0],
      [2, 0],
      [4, 1],
    ] as const) {
      let count = 0;
      const readDword = (offset: number) => {
        count += 1;
        // The mailbox is followed by one that cannot be read.
        if (count > reads) return -ERRNOS.EIO;
        return offset === AT ? 0x2001_002e : space.readDword(offset);
      };
      const doe = changed({ open: () => ({ ...space, readDword }) });
      const { problem, mailboxes } = await doe.scanFunction(ADDRESS);
      expect(problem).toMatchObject({ code: 'EIO', syscall: 'read(config)' });
      expect(mailboxes).toHaveLength(found);
    }
  });

  it('that throws: the error of scanFunction()', async () => {
    const broken = new Error('not of a system call');
    const space = mock.bus.open(ADDRESS, 'read') as ConfigSpace;
    let closed = 0;
    const doe = changed({
      open: () => ({
        ...space,
        readDword: () => {
          throw broken;
        },
        close: () => {
          closed += 1;
        },
      }),
    });
    expect(await failure(() => doe.scanFunction(ADDRESS))).toBe(broken);
    expect(closed).toBe(1);
  });
});
