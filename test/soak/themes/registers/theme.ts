/**
 * Registers while the link goes down, cards are unplugged, contexts detached, and the backing of
 * mappings vanishes in the middle of accesses (SIGBUS), on several threads. A SIGBUS that is not
 * the addon's goes to the handler that was there before.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { mockOf } from 'node-cxl/mock';
import { inject } from '../../../conformance/support/injection';
import { command, status } from '../../../conformance/support/simulated-target';
import { startJob } from '../../../conformance/support/work-queue';
import { Violation } from '../../counts.mjs';
import type { Theme, Turn } from '../../turn';
import { Weather } from '../../weather';
import { Hammer } from './hammer';

const THREADS = 3;
/** Hammers of this thread. */
const LANES = 2;

interface Disturbance {
  readonly name: string;
  readonly detaches: boolean;
  begin(): void | Promise<void>;
  end(): void | Promise<void>;
}

function disturbances(turn: Turn): Disturbance[] {
  const nothing = () => {};
  if (turn.targetName === 'mock') {
    const card = mockOf(turn.system).card(0);
    return [
      // The driver notices at the latest when the link works again.
      { name: 'link', detaches: true, begin: () => card.freeze(), end: () => card.recover() },
      {
        name: 'link, noticed',
        detaches: true,
        begin: () => {
          card.freeze();
          card.notice();
        },
        end: () => card.recover(),
      },
      { name: 'detach', detaches: true, begin: () => card.afu(0).detachAll(), end: nothing },
      { name: 'unplug', detaches: true, begin: () => card.unplug(), end: () => card.plug() },
    ];
  }
  if (turn.targetName === 'rig') {
    return [
      { name: 'detach', detaches: true, begin: () => onCard(turn, 'detachAll'), end: nothing },
      {
        name: 'link, noticed',
        detaches: true,
        begin: () => onCard(turn, 'errorState'),
        end: nothing,
      },
    ];
  }
  const lines = (name: string, detaches: boolean, begin: string, end?: string): Disturbance => ({
    name,
    detaches,
    begin: () => command(begin),
    end: () => (end === undefined ? undefined : command(end)),
  });
  return [
    lines('link', false, 'link-down card0', 'link-up card0'),
    lines('SIGBUS', false, 'truncate-during afu0.0', 'truncate-during stop'),
    lines('detach', true, 'detach-all afu0.0'),
    lines('unplug', true, 'unplug card0', 'plug card0'),
    {
      name: 'foreign SIGBUS',
      detaches: false,
      begin() {
        const before = status().foreignSigbus;
        command(turn.random.chance(0.5) ? 'foreign-sigbus' : 'foreign-sigbus thread');
        turn.check(status().foreignSigbus === before + 1, 'a foreign SIGBUS did not arrive');
      },
      end: nothing,
    },
  ];
}

/** Injects it by a context that this detaches, and waits until the card can be used again. */
async function onCard(turn: Turn, what: 'detachAll' | 'errorState'): Promise<void> {
  const node = turn.node;
  const job = await startJob(turn.system, node);
  inject(job.regs, what, { argument: 200n });
  while (job.context.linkState() !== 'down') await sleep(50);
  await job.end();
  for (;;) {
    const again = await startJob(turn.system, node).catch(() => undefined);
    if (again !== undefined) return again.end();
    await sleep(100);
  }
}

async function thread(turn: Turn, weather: Weather): Promise<void> {
  const worker = new Worker(new URL('./themes/registers/worker.mjs', import.meta.url), {
    workerData: {
      buffer: weather.buffer,
      seed: turn.random.integer(0, 2 ** 31),
      node: turn.node,
    },
  });
  const ended = new Promise<void>((resolve, reject) => {
    worker.once('error', reject);
    worker.on('message', ({ counts, violation }) => {
      turn.counts.addAll(counts);
      if (violation !== undefined) turn.fail(new Violation(violation));
    });
    worker.once('exit', () => resolve());
  });
  await ended;
  turn.counts.add('threads');
}

export const registers: Theme = {
  name: 'registers',

  async run(turn) {
    const weather = new Weather();
    const storm = async () => {
      const all = disturbances(turn);
      try {
        while (!turn.over) {
          await sleep(turn.random.integer(1, 30));
          const { name, detaches, begin, end } = turn.random.pick(all) as Disturbance;
          weather.begin(detaches);
          await begin();
          if (turn.random.chance(0.7)) await sleep(turn.random.integer(0, 20));
          await end();
          weather.end();
          turn.counts.add(`disturbance ${name}`);
        }
      } finally {
        weather.stop();
      }
    };
    const hammer = new Hammer({
      system: turn.system,
      node: () => turn.node,
      weather,
      random: turn.random,
      count: (name, number) => turn.counts.add(name, number),
      over: () => turn.over,
    });
    const threads = turn.targetName === 'simulated' ? THREADS : 0;
    await turn.lanes([
      storm,
      ...Array.from({ length: LANES }, () => () => hammer.run()),
      ...Array.from({ length: threads }, () => () => thread(turn, weather)),
    ]);
  },
};
