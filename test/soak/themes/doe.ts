/**
 * Mailboxes with many callers in two processes, while they are busy, answer wrongly, late or not at
 * all, vanish, or belong to the kernel's driver: an answer belongs to its request, or the call says
 * what happened; and once all is well again, every call works.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Doe, DoeMailbox } from 'node-cxl/doe';
import {
  createMockDoe,
  encodeCdat,
  type MockDoe,
  type MockFaults,
  memoryDeviceTable,
  tableAccess,
} from 'node-cxl/mock';
import type { Theme, Turn } from '../turn';
import { Weather } from '../weather';

const CALLERS = 30;
/** Of another process, which shares the locks alone. */
const OTHER_CALLERS = 6;
const ECHO = { vendorId: 0x8086, type: 7 };
const TABLE_ACCESS = { vendorId: 0x1e98, type: 2 };
const ADDRESSES = ['0000:0d:00.0', '0000:0e:00.0'];
/** Milliseconds that a device may take to answer. */
const TIMEOUT = 200;

/** What a call may fail with while its mailbox is disturbed. */
const FAILURES = [
  ...['EBUSY', 'ETIMEDOUT', 'EIO', 'EBADMSG', 'EPROTO', 'ENODEV', 'ENOENT', 'ENXIO', 'ENODATA'],
  ...['EOVERFLOW', 'EMSGSIZE', 'EAGAIN', 'ABORT_ERR', 'EOPNOTSUPP', 'EPROTONOSUPPORT'],
];
/** What it may fail with at any time: others have the mailbox, or the caller gave up. */
const ALWAYS = ['EBUSY', 'ABORT_ERR'];

/** The answer to a request: its bytes inverted. */
const inverted = (request: Buffer) => Buffer.from(request.map((byte) => byte ^ 0xff));

function newDevices(): MockDoe {
  const echo = { ...ECHO, answer: inverted };
  const table = tableAccess(encodeCdat(memoryDeviceTable));
  return createMockDoe({
    functions: ADDRESSES.map((address) => ({
      address,
      driver: 'cxl_pci',
      mailboxes: [{ protocols: [echo, table] }, { protocols: [echo] }],
    })),
  });
}

function someFaults(turn: Turn): MockFaults {
  const { random } = turn;
  const all: MockFaults[] = [
    { busy: true },
    { errorAt: random.pick(['send', 'go', 'receive', 'end']) },
    { delay: random.integer(1, 2 * TIMEOUT) },
    { silent: true },
    { silent: true, ignoresAbort: true },
    { answerAs: { vendorId: 1, type: random.integer(1, 9) } },
    { announce: random.pick([0, 1, 2, 3, 2 ** 18 - 1]) },
    { mangle: (payload) => payload.subarray(0, payload.length - (payload.length % 8)) },
    { mangle: () => Buffer.alloc(0) },
    {
      goneAfter: {
        accesses: random.integer(1, 60),
        how: random.pick(['unplugged', 'link down']),
      },
    },
  ];
  return random.pick(all);
}

async function storm(turn: Turn, devices: MockDoe, doe: Doe, weathers: Map<string, Weather>) {
  const { random, counts } = turn;
  while (!turn.over) {
    await sleep(random.integer(5, 60));
    const address = random.pick(ADDRESSES) as string;
    const weather = weathers.get(address)!;
    const device = devices.function(address);
    weather.begin(false);
    const mailbox = random.pick(device.mailboxes)!;
    if (random.chance(0.15)) {
      device.unbind();
      counts.add('unbinds');
      await sleep(random.integer(1, 30));
      device.bind('cxl_pci');
    } else {
      mailbox.faults = someFaults(turn);
      counts.add(`fault ${Object.keys(mailbox.faults).join('+')}`);
      await sleep(random.integer(1, TIMEOUT));
      mailbox.faults = {};
    }
    device.restore();
    // A mailbox that answered wrongly, or whose abort had no effect, works again after a reset.
    for (const each of await turn.call('mailboxes()', doe.mailboxes(address))) {
      await turn.call('reset()', each.reset({ force: true }));
    }
    weather.end();
    // Calls that began before have failed, or are about to.
    await sleep(random.integer(1, 30));
  }
}

async function caller(turn: Turn, doe: Doe, weathers: Map<string, Weather>): Promise<void> {
  const { random, counts } = turn;
  while (!turn.over) {
    const address = random.pick(ADDRESSES) as string;
    const weather = weathers.get(address)!;
    const before = weather.look();
    const controller = new AbortController();
    const abort = random.chance(0.1)
      ? setTimeout(() => controller.abort(), random.next() * 20)
      : undefined;
    const options = { signal: controller.signal, timeout: TIMEOUT };
    try {
      if (random.chance(0.1)) {
        const force = random.chance(0.5);
        const find = await turn.call('find()', doe.find(address, TABLE_ACCESS, { force: true }));
        const request = Buffer.alloc(4);
        await turn.call(
          'table access',
          find.exchange(TABLE_ACCESS, request, { ...options, force }),
        );
        counts.add('table accesses');
      } else {
        const all = await turn.call('mailboxes()', doe.mailboxes(address));
        const mailbox: DoeMailbox = random.pick(all);
        const request = randomBytes(4 * random.integer(1, 64));
        const answer = await turn.call('exchange()', mailbox.exchange(ECHO, request, options));
        const whole = answer.equals(inverted(request));
        // Nothing in an object tells that its payload was changed on the way.
        turn.check(whole || !weather.calmSince(before), 'an answer belongs to another request');
        counts.add(whole ? 'exchanges' : 'changed answers');
      }
    } catch (error) {
      turn.expected('call', error, weather.calmSince(before) ? ALWAYS : FAILURES);
    }
    clearTimeout(abort);
    await sleep(0);
  }
}

/** With nothing wrong, every call works. */
async function proof(turn: Turn, doe: Doe): Promise<void> {
  for (const address of ADDRESSES) {
    for (const mailbox of await turn.call('mailboxes()', doe.mailboxes(address))) {
      const request = randomBytes(64);
      const answer = await turn.call('exchange()', mailbox.exchange(ECHO, request));
      turn.check(answer.equals(inverted(request)), 'a wrong answer at the end');
      const protocols = await turn.call('discover()', mailbox.discover());
      turn.check(protocols.length >= 2, 'protocols are missing at the end');
    }
  }
}

export const doe: Theme = {
  name: 'doe',

  async run(turn) {
    const devices = newDevices();
    const other = devices.anotherProcess();
    const weathers = new Map(ADDRESSES.map((address) => [address, new Weather()]));
    await turn.lanes([
      () => storm(turn, devices, devices, weathers),
      ...Array.from({ length: CALLERS }, () => () => caller(turn, devices, weathers)),
      ...Array.from({ length: OTHER_CALLERS }, () => () => caller(turn, other, weathers)),
    ]);
    await proof(turn, devices);
    await proof(turn, other);
  },
};
