/**
 * Events amid aborts, time-outs and iterators: each that the device raised comes once, none is lost,
 * and those of an AFU driver come in order. Faults, errors and driver events carry numbers. An
 * interrupt is raised again only when it has come, as the driver would make one of two.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CxlEvent } from 'node-cxl';
import { injectAndWait, interrupts } from '../../conformance/support/injection';
import {
  COPY,
  INTERRUPT,
  type Job,
  REGISTERS,
  RESTART,
  STOPPED,
  startCopyJob,
  startJob,
  until,
} from '../../conformance/support/work-queue';
import type { Random } from '../random.mjs';
import type { Theme, Turn } from '../turn';

const CONTEXTS = { mock: 6, simulated: 6, rig: 2 };
const COPIERS = { mock: 4, simulated: 4, rig: 1 };
const INTERRUPTS = { mock: 16, simulated: 16, rig: 4 };
/** Addresses of data storage faults are below those that a process can map. */
const FAULT_STEP = 0x40;
const FAULTS = 1000;
/** Driver events that are not taken yet: more than 1024 that waits passed over would be dropped. */
const MAX_DRIVER_EVENTS = 100;
/** Milliseconds in which what was raised must come at the end. */
const LATE = 20_000;

const ENDS = ['ETIMEDOUT', 'ABORT_ERR'];
const FAULT_CODES = ['EFAULT', 'EREMOTEIO'];

/** What was raised on one context and has not come. */
class Ledger {
  readonly interrupts = new Set<number>();
  fault: bigint | undefined;
  error: bigint | undefined;
  readonly driver: number[] = [];
  #numbers = 0;
  readonly #turn: Turn;

  constructor(turn: Turn) {
    this.#turn = turn;
  }

  next(): number {
    this.#numbers += 1;
    return this.#numbers;
  }

  get empty(): boolean {
    return (
      this.interrupts.size === 0 &&
      this.fault === undefined &&
      this.error === undefined &&
      this.driver.length === 0
    );
  }

  get text(): string {
    return `interrupts ${[...this.interrupts]}, fault ${this.fault}, error ${this.error}, driver events ${this.driver}`;
  }

  came(event: CxlEvent<unknown>): void {
    this.#turn.counts.add(`came ${event.type}`);
    const wrong = (what: string) => this.#turn.check(false, `${what}; not raised: ${this.text}`);
    switch (event.type) {
      case 'afu-interrupt':
        if (!this.interrupts.delete(event.irq)) wrong(`interrupt ${event.irq} came`);
        break;
      case 'data-storage':
        if (this.fault !== event.address) wrong(`a fault at ${event.address} came`);
        this.fault = undefined;
        break;
      case 'afu-error':
        if (this.error !== event.error) wrong(`error ${event.error} came`);
        this.error = undefined;
        break;
      case 'afu-driver': {
        const number = Buffer.from(event.data).readUInt32LE(0);
        if (this.driver[0] !== number) wrong(`driver event ${number} came`);
        this.driver.shift();
        break;
      }
      default:
        wrong(`${event.type} came`);
    }
  }
}

/** An event of an AFU driver with a number, as the kernel writes it. */
function driverEvent(processElement: number, number: number): Buffer {
  // Type, bytes, process element and a reserved field, in the byte order of the machine.
  const header = Buffer.from(new Uint16Array([4, 12, processElement, 0]).buffer);
  const data = Buffer.alloc(4);
  data.writeUInt32LE(number);
  return Buffer.concat([header, data]);
}

/** Raises one thing or several that are not on their way. */
async function raise(turn: Turn, { context, regs }: Job, ledger: Ledger): Promise<void> {
  const { random, counts } = turn;
  const count = INTERRUPTS[turn.targetName];
  const what = random.integer(0, 99);
  if (what < 75) {
    const idle = Array.from({ length: count }, (_, i) => i + 1).filter(
      (irq) => !ledger.interrupts.has(irq) && random.chance(0.5),
    );
    if (idle.length === 0) return;
    for (const irq of idle) ledger.interrupts.add(irq);
    counts.add('raised afu-interrupt', idle.length);
    const argument = interrupts(...idle);
    await turn.call('raise', injectAndWait(regs, 'interrupt', { argument }));
  } else if (what < 82 && ledger.fault === undefined) {
    const address = BigInt(((ledger.next() % FAULTS) + 1) * FAULT_STEP);
    ledger.fault = address;
    counts.add('raised data-storage');
    await turn.call('fault', injectAndWait(regs, 'dataStorage', { value: address }));
  } else if (what < 90 && ledger.error === undefined) {
    const value = BigInt(ledger.next());
    ledger.error = value;
    counts.add('raised afu-error');
    await turn.call('error', injectAndWait(regs, 'afuError', { value }));
  } else if (turn.target.has.has('device-side') && ledger.driver.length < MAX_DRIVER_EVENTS) {
    const element = context.processElement!;
    const number = ledger.next();
    ledger.driver.push(number);
    counts.add('raised afu-driver');
    const bytes = driverEvent(element, number);
    await turn.target.device.injectEventBytes(turn.target.afu, element, bytes);
  }
}

function waitOptions(random: Random) {
  const options: { timeout?: number; signal?: AbortSignal } = {};
  if (random.chance(0.7)) options.timeout = random.integer(0, 4);
  if (options.timeout === undefined || random.chance(0.3)) {
    const controller = new AbortController();
    options.signal = controller.signal;
    const after = random.next() * 4;
    if (after < 0.3) controller.abort();
    else if (after < 0.6) setImmediate(() => controller.abort());
    else setTimeout(() => controller.abort(), after);
  }
  return options;
}

/** One call that takes events, of any kind. */
async function take(turn: Turn, { context }: Job, ledger: Ledger): Promise<void> {
  const { random } = turn;
  /** The event of the error that ended a wait, where that was a fault. */
  const ended = (what: string, error: unknown, more: readonly string[] = []) => {
    turn.expected(what, error, [...ENDS, ...FAULT_CODES, ...more]);
    const { event } = error as { event?: CxlEvent };
    if (event !== undefined) ledger.came(event);
  };
  switch (random.integer(0, 5)) {
    case 0:
      try {
        ledger.came(await turn.call('wait', context.waitForEvent(waitOptions(random))));
      } catch (error) {
        ended('wait', error);
      }
      break;
    case 1: {
      const types = [random.pick(['afu-interrupt', 'afu-driver', 'afu-error', 'data-storage'])];
      const options = { ...waitOptions(random), types };
      try {
        ledger.came(await turn.call('typed wait', context.waitForEvent(options)));
      } catch (error) {
        ended('typed wait', error);
      }
      break;
    }
    case 2: {
      const irq = random.integer(1, INTERRUPTS[turn.targetName]);
      try {
        await turn.call('interrupt', context.waitForInterrupt(irq, waitOptions(random)));
        ledger.came({ type: 'afu-interrupt', irq } as CxlEvent);
      } catch (error) {
        ended('interrupt', error);
      }
      break;
    }
    case 3: {
      const { signal } = { ...waitOptions(random) };
      let left = random.integer(1, 8);
      const iterator = context.events(signal ? { signal } : {});
      const end = setTimeout(() => iterator.return(), random.integer(0, 5));
      try {
        for await (const event of iterator) {
          ledger.came(event);
          left -= 1;
          if (left === 0) break;
        }
        turn.counts.add('iterators');
      } catch (error) {
        ended('iterator', error);
      }
      clearTimeout(end);
      break;
    }
    case 4: {
      const event = context.takeEvent();
      if (event !== undefined) ledger.came(event);
      break;
    }
    default: {
      // A second reader is refused, and takes nothing.
      const first = context.waitForEvent({ timeout: 2 });
      const second = context.waitForEvent({ timeout: 0 });
      await turn.code('second reader', second, ['ERR_INVALID_STATE']);
      try {
        ledger.came(await turn.call('first reader', first));
      } catch (error) {
        ended('first reader', error);
      }
    }
  }
}

async function exchange(turn: Turn): Promise<void> {
  const job = await startJob(turn.system, turn.node, {
    interrupts: INTERRUPTS[turn.targetName],
  });
  const ledger = new Ledger(turn);
  let raising = true;
  const raiser = async () => {
    while (!turn.over) {
      await raise(turn, job, ledger);
      if (turn.random.chance(0.2)) await sleep(turn.random.integer(0, 2));
      else await new Promise<void>((resolve) => setImmediate(resolve));
    }
    raising = false;
  };
  const reader = async () => {
    while (raising) await take(turn, job, ledger);
    const late = performance.now() + LATE;
    while (!ledger.empty && performance.now() < late) await take(turn, job, ledger);
    turn.check(ledger.empty, `lost: ${ledger.text}`);
    turn.check(job.context.takeEvent() === undefined, 'an event came twice');
  };
  await Promise.all([raiser(), reader()]);
  turn.check(job.context.droppedEvents === 0, `${job.context.droppedEvents} events dropped`);
  const wait = job.context.waitForEvent();
  const end = turn.call('end', job.end());
  await turn.code('wait amid close', wait, ['ECANCELED']);
  await end;
}

/** The AFU copies a number to memory and raises an interrupt: at the interrupt the number is there. */
async function copy(turn: Turn): Promise<void> {
  const job = await startCopyJob(turn.system, turn.node);
  const { context, queue, regs } = job;
  const [source, target] = [context.allocate(4096), context.allocate(4096)];
  for (let number = 1; !turn.over; number += 1) {
    source.store64(0, BigInt(number));
    const addresses = { source: source.address, destination: target.address };
    queue.add({ command: COPY, length: 128, ...addresses });
    queue.add({ command: INTERRUPT, length: 1 });
    if (number > 1) {
      // The AFU stops at each interrupt element, perhaps a moment after the interrupt.
      const stopped = () => (regs.read64(REGISTERS.status) & STOPPED) !== 0n;
      await turn.call('stop of the AFU', until(stopped, 'the stop of the AFU'));
      regs.write64(REGISTERS.control, RESTART);
    }
    await turn.call('interrupt of a copy', context.waitForInterrupt(1));
    const found = target.load64(0);
    turn.check(found === BigInt(number), `interrupt ${number} came with ${found} in memory`);
    turn.counts.add('copies');
  }
  await turn.call('end of a copier', job.end());
  for (const memory of [source, target]) memory.free();
}

export const events: Theme = {
  name: 'events',

  async run(turn) {
    const repeat = (count: number, lane: (turn: Turn) => Promise<void>) =>
      Array.from({ length: count }, () => () => lane(turn));
    await turn.lanes([
      ...repeat(CONTEXTS[turn.targetName], exchange),
      ...repeat(COPIERS[turn.targetName], copy),
    ]);
  },
};
