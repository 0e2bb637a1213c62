/**
 * All calls at once, while links go down, cards are unplugged, contexts detached, AFUs disabled, reset
 * and changed in mode, and in a guest images downloaded. What is known of the device says what must
 * hold: while it is calm every call works on a context that nothing has detached, and none on one that
 * was; and in the end everything works again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Adapter, Context, ProblemState } from 'node-cxl';
import { mockOf } from 'node-cxl/mock';
import { ALL_ONES_64 } from '../../../lib/shared/all-ones';
import { command } from '../../conformance/support/simulated-target';
import { startCopyJob, startJob } from '../../conformance/support/work-queue';
import type { Theme, Turn } from '../turn';
import { isAlive, type Look, Weather } from '../weather';

const CONTEXTS = 10;
const CALLERS = 3;
const VALUE = 0x1008;
/** Milliseconds within which a context that was detached must tell so. */
const TOLD = 10_000;
/** Milliseconds of a wait that is to end at once. */
const WAIT = 1000;

/** What a call may fail with while the device is disturbed, or its context was detached. */
const FAILURES = [
  ...['EIO', 'ENOENT', 'ENODEV', 'ENXIO', 'EBUSY', 'EINVAL', 'ENOSPC', 'EACCES', 'ENOTDIR'],
  ...['ETIMEDOUT', 'ECANCELED', 'EFAULT', 'EREMOTEIO', 'EPERM'],
];

interface Disturbance {
  readonly name: string;
  /** Whether contexts are detached by it, or may be. */
  readonly detaches: boolean;
  run(turn: Turn): void | Promise<void>;
}

const pause = (turn: Turn) => sleep(turn.random.integer(0, 15));

/** What an administrator does; it may be refused, as long as contexts are open. */
async function administer(turn: Turn, what: string, call: () => Promise<unknown>): Promise<void> {
  await turn.code(what, Promise.resolve().then(call), FAILURES);
}

async function firstAdapter(turn: Turn): Promise<Adapter | undefined> {
  const [adapter] = await turn.system.adapters();
  return adapter;
}

async function changeMode(turn: Turn): Promise<void> {
  const [afu] = await turn.system.afus();
  if (afu === undefined) return;
  await administer(turn, 'mode', () => afu.setMode('none'));
  await pause(turn);
  await administer(turn, 'mode', () => afu.setMode('afu_directed'));
}

async function downloadImage(turn: Turn): Promise<void> {
  const image = new Uint8Array(turn.random.integer(1, 3) * 100_000).fill(1);
  const controller = new AbortController();
  if (turn.random.chance(0.3)) setTimeout(() => controller.abort(), turn.random.integer(0, 5));
  const adapter = await firstAdapter(turn);
  const download = adapter?.downloadImage(image, { needHeader: true, signal: controller.signal });
  await turn.code('image', Promise.resolve(download), ['ABORT_ERR', ...FAILURES]);
}

function common(guest: boolean): Disturbance[] {
  const adapterReset: Disturbance = {
    name: 'reset of the card',
    detaches: true,
    run: async (turn) => {
      const adapter = await firstAdapter(turn);
      await administer(turn, 'card reset', async () => adapter?.reset({ force: true }));
    },
  };
  return [
    { name: 'mode', detaches: false, run: changeMode },
    {
      name: 'reset of the AFU',
      detaches: false,
      run: async (turn) => {
        const [afu] = await turn.system.afus();
        await administer(turn, 'AFU reset', async () => afu?.reset());
      },
    },
    {
      name: 'irqs_max',
      detaches: false,
      run: async (turn) => {
        const [afu] = await turn.system.afus();
        await administer(turn, 'irqs_max', async () => afu?.setIrqsMax(turn.random.integer(4, 64)));
      },
    },
    // After a reset a guest's card can be used only once the driver was bound again.
    ...(guest ? [{ name: 'image', detaches: true, run: downloadImage }] : [adapterReset]),
  ];
}

function ofMock(turn: Turn, guest: boolean): Disturbance[] {
  const card = mockOf(turn.system).card(0);
  const between = async (begin: () => void, end: () => void) => {
    begin();
    await pause(turn);
    end();
  };
  return [
    {
      name: 'link',
      detaches: true,
      run: () =>
        between(
          () => card.linkDown(),
          () => card.recover(),
        ),
    },
    {
      name: 'link, not noticed',
      detaches: true,
      run: () =>
        between(
          () => card.freeze(),
          () => card.recover(),
        ),
    },
    {
      name: 'unplug',
      detaches: true,
      run: () =>
        between(
          () => card.unplug(),
          () => card.plug(),
        ),
    },
    { name: 'bind', detaches: true, run: () => card.rebind() },
    { name: 'detach', detaches: true, run: () => card.afu(0).detachAll() },
    ...(guest
      ? []
      : [
          {
            name: 'disable',
            detaches: false,
            run: () =>
              between(
                () => card.afu(0).disable(),
                () => card.afu(0).enable(),
              ),
          },
        ]),
  ];
}

function ofSimulated(guest: boolean): Disturbance[] {
  const lines = (name: string, detaches: boolean, begin: string, end?: string): Disturbance => ({
    name,
    detaches,
    async run(turn) {
      try {
        command(begin);
      } catch (error) {
        turn.expected(name, error, ['EBUSY']);
        return;
      }
      await pause(turn);
      if (end !== undefined) command(end);
    },
  });
  return [
    // The driver does not notice.
    lines('link', false, 'link-down card0', 'link-up card0'),
    lines('unplug', true, 'unplug card0', 'plug card0'),
    lines('detach', true, 'detach-all afu0.0'),
    lines('lock', false, 'lock card0', 'unlock card0'),
    lines('slow attach', false, 'slow-attach afu0.0 30'),
    ...(guest ? [] : [lines('disable', false, 'disable afu0.0', 'enable afu0.0')]),
  ];
}

/** Waits until the device can be used. */
async function usable(turn: Turn): Promise<void> {
  const end = performance.now() + TOLD;
  for (;;) {
    try {
      const job = await startJob(turn.system, turn.node);
      await job.end();
      return;
    } catch (error) {
      turn.check(performance.now() < end, `not usable again: ${(error as Error).stack}`);
      await sleep(5);
    }
  }
}

class Chaos {
  readonly #turn: Turn;
  readonly #weather = new Weather();

  constructor(turn: Turn) {
    this.#turn = turn;
  }

  async storm(all: readonly Disturbance[]): Promise<void> {
    const turn = this.#turn;
    while (!turn.over) {
      await sleep(turn.random.integer(1, 60));
      const one: Disturbance = turn.random.pick(all);
      this.#weather.begin(one.detaches);
      turn.counts.note(one.name);
      await turn.call(one.name, Promise.resolve(one.run(turn)));
      await turn.call('recovery', usable(turn));
      this.#weather.end();
      turn.counts.add(`disturbance ${one.name}`);
    }
  }

  /** A call that must succeed while all is calm; whether it did. */
  async #tried(what: string, look: Look, alive: boolean, call: () => unknown): Promise<boolean> {
    const turn = this.#turn;
    try {
      await turn.call(what, Promise.resolve().then(call));
      turn.counts.add(what);
      return true;
    } catch (error) {
      const strict = alive && this.#weather.calmSince(look);
      turn.expected(what, error, strict ? [] : FAILURES);
      return false;
    }
  }

  async context(): Promise<void> {
    const { random, system } = this.#turn;
    let context: Context | undefined;
    const opened = this.#weather.look();
    const open = async () => {
      context = await system.open(this.#turn.node);
    };
    await this.#tried('open', opened, true, open);
    if (context === undefined) {
      await sleep(random.integer(1, 10));
      return;
    }
    try {
      // A card that was plugged in anew knows nothing of a context that was opened before.
      const attach = () => context!.attach({ wed: 0n, errFf: random.chance(0.2) });
      let look = this.#weather.look();
      if (!(await this.#tried('attach', look, isAlive(opened, look), attach))) return;
      let area: ProblemState | undefined;
      for (let steps = random.integer(1, 30); steps > 0 && !this.#turn.over; steps -= 1) {
        look = this.#weather.look();
        const alive = isAlive(opened, look);
        area = await this.#step(context, area, look, alive);
        if (!alive && look.calm) {
          await this.#detached(context, area);
          return;
        }
      }
    } finally {
      await this.#turn.code('close', context.close(), []);
    }
  }

  async #step(
    context: Context,
    area: ProblemState | undefined,
    look: Look,
    alive: boolean,
  ): Promise<ProblemState | undefined> {
    const turn = this.#turn;
    const { random, counts } = turn;
    const what = random.integer(0, 5);
    let mapped = area;
    if (what === 0 || mapped === undefined) {
      await this.#tried('map', look, alive, () => {
        mapped = context.mapProblemState({ endian: 'big' });
      });
    } else if (what <= 2) {
      const value = BigInt(random.integer(1, 2 ** 31));
      await this.#tried('access', look, alive, () => {
        area!.write64(VALUE, value);
        const found = area!.read64(VALUE);
        const strict = alive && this.#weather.calmSince(look);
        turn.check(found === value || !strict, `0x${found.toString(16)} loaded after ${value}`);
        if (found === ALL_ONES_64) counts.add('all ones');
      });
    } else if (what === 3) {
      await this.#tried('interrupt', look, alive, async () => {
        area!.write64(0x1000, (1n << 56n) | 1n);
        await context.waitForInterrupt(1, { timeout: 2000 });
      });
    } else if (what === 4) {
      await this.#tried('afuId()', look, alive, () => context.afuId());
      const state = context.linkState();
      const strict = alive && this.#weather.calmSince(look);
      turn.check(state === 'up' || !strict, `the link is ${state} while nothing is wrong`);
    } else {
      await sleep(random.integer(0, 5));
    }
    return mapped;
  }

  /** One that may have been detached while the device is calm: it is, for good, or works. */
  async #detached(context: Context, area: ProblemState | undefined): Promise<void> {
    const turn = this.#turn;
    const end = performance.now() + TOLD;
    while (context.linkState() === 'up' && !turn.over) {
      // It was attached while the disturbance went on, after the detach.
      const look = this.#weather.look();
      const found = area?.mapped === true ? tryRead(area) : undefined;
      if (found === 'works' || area === undefined) return;
      turn.check(performance.now() < end || !look.calm, 'a detached context says that it is up');
      await sleep(10);
    }
    while (!turn.over) {
      const look = this.#weather.look();
      const wait = context.waitForEvent({ timeout: WAIT });
      // What was pending comes first.
      const code = await turn.code('wait when detached', wait, ['EIO', 'ETIMEDOUT']);
      if (code === 'EIO') {
        turn.counts.add('detached');
        return;
      }
      // The link was down for a moment only, and the context works again.
      if (context.linkState() === 'up') return;
      const late = code === 'ETIMEDOUT' && this.#weather.calmSince(look);
      turn.check(!late, 'a detached context does not say so to a wait');
    }
  }

  async caller(): Promise<void> {
    const { random, system, counts } = this.#turn;
    while (!this.#turn.over) {
      const look = this.#weather.look();
      await this.#tried('attributes', look, true, async () => {
        for (const adapter of await system.adapters()) await adapter.caiaVersion();
        for (const afu of await system.afus()) {
          await afu.mode();
          await afu.irqsMax();
          counts.add('AFUs read');
        }
      });
      await sleep(random.integer(0, 10));
    }
  }
}

function tryRead(area: ProblemState): 'works' | 'gone' {
  try {
    area.write64(VALUE, 77n);
    return area.read64(VALUE) === 77n ? 'works' : 'gone';
  } catch {
    return 'gone';
  }
}

export const chaos: Theme = {
  name: 'chaos',

  async run(turn) {
    const guest = turn.target.has.has('guest');
    const own = turn.targetName === 'mock' ? ofMock(turn, guest) : ofSimulated(guest);
    const work = new Chaos(turn);
    await turn.lanes([
      () => work.storm([...common(guest), ...own]),
      ...Array.from({ length: CONTEXTS }, () => async () => {
        while (!turn.over) await work.context();
      }),
      ...Array.from({ length: CALLERS }, () => () => work.caller()),
    ]);
    await turn.call('recovery', usable(turn));
    const job = await startCopyJob(turn.system, turn.node);
    const [source, target] = [job.context.allocate(128), job.context.allocate(128)];
    source.bytes.fill(0x5a);
    const addresses = { source: source.address, destination: target.address };
    await turn.call(
      'copy',
      job.queue.finished(job.queue.add({ command: 0, length: 128, ...addresses })),
    );
    turn.check(
      target.bytes.every((byte) => byte === 0x5a),
      'a copy differs at the end',
    );
    await job.end();
    for (const memory of [source, target]) memory.free();
  },
};
