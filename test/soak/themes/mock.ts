/**
 * One mock for a long life: contexts, faults, expectations, links and cards that come and go, and
 * many short-lived mocks beside it. Nothing that it keeps grows without a bound.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createMockCxl, echoAfu, type FaultSpec, type MockCxl } from 'node-cxl/mock';
import { nodeOf, type Theme, type Turn } from '../turn';

const LANES = 8;
const REGISTER = { value: 0x00, address: 0x10 };
/** Lines of the driver's log that a mock keeps. */
const LOG_LIMIT = 1000;
/** What a call may fail with by the faults below, and while a card is away. */
const FAILURES = [
  'EIO',
  'ENOSPC',
  'ENOENT',
  'ENODEV',
  'EBUSY',
  'EMFILE',
  'ENOMEM',
  'ETIMEDOUT',
  'EINVAL',
];

const FAULTS: readonly FaultSpec[] = [
  { name: 'open', errno: 'ENOSPC' },
  { name: 'start-work', errno: 'EBUSY' },
  { name: 'map', errno: 'EIO' },
  { name: 'allocate', errno: 'ENOMEM' },
  { name: 'sysfs-read', errno: 'EIO' },
  { name: 'mmio' },
  { name: 'all-ones' },
  { name: 'lost-interrupt' },
  { name: 'translation' },
  { name: 'descriptors' },
];

const newMock = () =>
  createMockCxl({ cards: [{ afus: [{ model: echoAfu() }] }], calls: { detail: 'accesses' } });

/** The one that lives for as long as the process. */
let system: MockCxl | undefined;

/** The echo AFU writes a value to memory and raises an interrupt. */
async function echo(turn: Turn, system: MockCxl, failures: readonly string[]) {
  const { random, counts } = turn;
  const memory: { free(): void }[] = [];
  try {
    const context = await turn.call('open', system.open(nodeOf(system, 'afu0.0')));
    try {
      const target = context.allocate(4096);
      memory.push(target);
      await turn.call('attach', context.attach({ wed: 0n }));
      const area = context.mapProblemState();
      const value = BigInt(random.integer(1, 2 ** 31));
      area.write64(REGISTER.value, value);
      area.write64(REGISTER.address, target.address);
      await turn.call('interrupt', context.waitForInterrupt(1, { timeout: 500 }));
      const found = target.load64(0, { endian: 'big' });
      turn.check(found === value || failures.length > 0, `${found} in memory after ${value}`);
      counts.add('echoes');
    } finally {
      await context.close();
    }
  } catch (error) {
    turn.expected('echo', error, [
      ...failures,
      ...(failures.length > 0 ? ['EFAULT', 'EREMOTEIO'] : []),
    ]);
  }
  for (const each of memory) each.free();
}

async function disturb(turn: Turn, system: MockCxl): Promise<void> {
  const { random, counts } = turn;
  const card = system.card(0);
  while (!turn.over) {
    await sleep(random.integer(1, 20));
    const what = random.pick([
      'fault',
      'fault',
      'fault',
      'link',
      'plug',
      'expectation',
      'attribute',
    ]);
    counts.add(`disturbance ${what}`);
    if (what === 'fault') {
      system.inject({ ...random.pick(FAULTS), times: random.integer(1, 3) });
      await sleep(random.integer(1, 20));
      system.clearFaults();
    } else if (what === 'link') {
      card.linkDown();
      await sleep(random.integer(1, 10));
      card.recover();
    } else if (what === 'plug') {
      card.unplug();
      await sleep(random.integer(1, 10));
      card.plug();
    } else if (what === 'expectation') {
      const options = { timeout: 5 };
      await turn.code('expectation', card.afu(0).expectOpen(options), ['ETIMEDOUT']);
    } else {
      const path = '/sys/class/cxl/card0/psl_revision';
      try {
        system.setAttribute(path, '5\n');
      } catch (error) {
        turn.expected('setAttribute', error, ['ENOENT']);
      }
      system.restoreAttributes();
    }
  }
  turn.check(system.log.length <= LOG_LIMIT, `the log has ${system.log.length} lines`);
}

/** A mock for one job: it goes with its last reference. */
async function shortLived(turn: Turn): Promise<void> {
  while (!turn.over) {
    const one = newMock();
    await echo(turn, one, []);
    one.assertNoLeaks();
    turn.counts.add('mocks');
    await sleep(0);
  }
}

export const mock: Theme = {
  name: 'mock',

  async run(turn) {
    system ??= newMock();
    const long = system;
    await turn.lanes([
      () => disturb(turn, long),
      () => shortLived(turn),
      ...Array.from({ length: LANES }, () => async () => {
        while (!turn.over) {
          await echo(turn, long, FAILURES);
          await sleep(0);
        }
      }),
    ]);
    long.assertNoLeaks();
  },
};
