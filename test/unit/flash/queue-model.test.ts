/**
 * The flash queue under any interleaving of submissions, completions, retries, resets, aborts,
 * deadlines and closes: fast-check chooses what happens, and when what was begun goes on.
 */
import { setImmediate as loopTurn, setTimeout as pause } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Command, type QueueOptions } from '../../../lib/flash/command';
import { CommandQueue } from '../../../lib/flash/command-queue';
import type { Resource } from '../../../lib/flash/resource';
import { systemError } from '../../../lib/shared/errors';
import { AfuScript, type Codes, HeldMemory } from './afu-script';
import { VirtualTime } from './virtual-time';

const DEPTH = 3;
const ROOM = 2;
/** What a status makes of a command: success, again, later, verify (without sense: again), fail. */
const STATUSES: readonly Codes[] = [
  {},
  {},
  { fc: 0x57 },
  { scsi: 0x08 },
  { afu: 0x31 },
  { fc: 0x55 },
  { afu: 0x51 },
];

type Step =
  | {
      readonly do: 'submit';
      readonly count: number;
      readonly resource: number;
      readonly priority: 'high' | 'normal' | 'low';
    }
  | { readonly do: 'complete'; readonly index: number; readonly status: number }
  | { readonly do: 'abort'; readonly index: number }
  | { readonly do: 'pass'; readonly time: number }
  | { readonly do: 'retire'; readonly resource: number }
  | {
      readonly do:
        | 'interrupt'
        | 'lose'
        | 'fault'
        | 'late-fault'
        | 'break-reset'
        | 'recovery-fails'
        | 'drained'
        | 'close';
    };

const steps = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('submit' as const),
      count: fc.integer({ min: 1, max: 4 }),
      resource: fc.integer({ min: 0, max: 1 }),
      priority: fc.constantFrom('high' as const, 'normal' as const, 'low' as const),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('complete' as const),
      index: fc.nat(8),
      status: fc.nat(STATUSES.length - 1),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('abort' as const), index: fc.nat(20) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      time: fc.constantFrom(0, 1, 5, 30, 300),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('retire' as const),
      resource: fc.integer({ min: 0, max: 1 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'interrupt' as const,
        'interrupt' as const,
        'lose' as const,
        'fault' as const,
        'late-fault' as const,
        'break-reset' as const,
        'recovery-fails' as const,
        'drained' as const,
        'close' as const,
      ),
    }),
  },
);

/** One queue, its AFU, and what must hold of them at any instant. */
class Run {
  readonly time: VirtualTime;
  readonly afu: AfuScript;
  readonly queue: CommandQueue;
  readonly commands: { readonly command: Command; readonly memory: HeldMemory; settled: number }[] =
    [];
  /** Calls that must settle in the end. */
  readonly #calls = { begun: 0, ended: 0 };
  readonly #wrong: unknown[] = [];
  readonly #scheduler: fc.Scheduler;
  readonly #resources: readonly Resource[];
  #recovery: Promise<unknown> | undefined;
  #recoveriesToFail = 0;
  #looks = 0;
  #closing: Promise<void> | undefined;

  constructor(
    scheduler: fc.Scheduler,
    time: VirtualTime,
    options: Pick<QueueOptions, 'completion' | 'onReset' | 'squeue'>,
  ) {
    this.time = time;
    this.afu = new AfuScript(ROOM, options.squeue);
    this.#scheduler = scheduler;
    this.#resources = [1, 2].map((handle) => this.#resource(handle));
    this.afu.onCommand = ({ lba, slot }) => {
      const { command, memory, settled } = this.commands[lba]!;
      expect(settled, 'a command is issued that has settled').toBe(0);
      expect(memory.holders, 'the data is not held').toBe(1);
      expect(this.afu.held.length, 'more commands than the AFU takes').toBeLessThan(ROOM);
      expect(this.afu.held.some((held) => held.slot === slot || held.lba === lba)).toBe(false);
      expect(command.slot).toBe(slot);
    };
    this.queue = new CommandQueue(
      this.afu.system as never,
      this.afu.owner(() => this.#recover()),
      {
        ...options,
        depth: DEPTH,
        bounceBytes: 4096,
        endian: 'big',
        retries: 2,
        watchInterval: 50,
        commandTimeout: 1000,
        responseTimeout: 200,
      },
    );
  }

  #resource(handle: number): Resource {
    return {
      handle,
      lun: { path: '/dev/sg1' },
      memoryHolder: {},
      verifyUnitAttention: () => this.#scheduler.schedule(Promise.resolve(true), 'VERIFY'),
    } as unknown as Resource;
  }

  /** As FlashContext.recover() does. */
  #recover(): Promise<unknown> {
    this.#recovery ??= this.#recoverOnce().finally(() => {
      this.#recovery = undefined;
      if (!this.queue.stopped) this.queue.proceed();
    });
    return this.#recovery;
  }

  async #recoverOnce(): Promise<void> {
    this.queue.pause();
    try {
      if (!(await this.queue.resetContext())) {
        const { inError } = this.afu;
        await this.#scheduler.schedule(Promise.resolve(), 'RECOVER_AFU');
        if (this.#recoveriesToFail > 0) {
          this.#recoveriesToFail -= 1;
          throw systemError('EIO', 'ioctl(RECOVER_AFU)');
        }
        this.afu.recover();
        await this.queue.resume(inError);
      } else {
        await this.queue.resume(false);
      }
    } catch (error) {
      this.queue.recoveryFailed(error);
      throw error;
    }
  }

  perform(step: Step): void {
    const { queue, afu } = this;
    switch (step.do) {
      case 'submit':
        queue.submit(
          Array.from({ length: step.count }, () => this.#command(step.resource, step.priority)),
        );
        break;
      case 'complete':
        afu.complete(step.index, STATUSES[step.status]);
        break;
      case 'interrupt':
        afu.interrupt();
        break;
      case 'abort': {
        const { command } = this.commands[step.index % Math.max(1, this.commands.length)] ?? {};
        if (command !== undefined) queue.cancel(command, new Error('aborted'));
        break;
      }
      case 'pass':
        this.time.pass(step.time);
        break;
      case 'lose':
        afu.lose();
        break;
      case 'fault':
        afu.fault = 'lost';
        break;
      case 'late-fault':
        afu.fault = 'done';
        break;
      case 'break-reset':
        afu.resetFails = !afu.resetFails;
        break;
      case 'recovery-fails':
        this.#recoveriesToFail += 1;
        break;
      case 'drained':
        this.#follow(queue.drained());
        break;
      case 'retire': {
        const resource = this.#resources[step.resource];
        const canceled = systemError('ECANCELED', 'sislite');
        const retired = queue.retire((command) => command.resource === resource, canceled);
        this.#follow(
          retired.then(() => {
            for (const { command } of this.commands) {
              // What was submitted since is another's.
              if (command.resource === resource) expect(command.place).not.toBe('delayed');
            }
          }),
        );
        break;
      }
      case 'close':
        this.close();
        break;
    }
    this.check();
  }

  #command(resource: number, priority: 'high' | 'normal' | 'low'): Command {
    const memory = new HeldMemory();
    const entry = { memory, settled: 0 } as (typeof this.commands)[number];
    const data = { bytes: undefined, memory, address: 0x1000n, length: 4096 };
    const owner = {
      settled() {
        entry.settled += 1;
      },
    };
    const command = new Command(
      owner,
      this.#resources[resource]!,
      'write',
      priority,
      BigInt(this.commands.length),
      1,
      data as never,
    );
    this.commands.push(Object.assign(entry, { command }));
    return command;
  }

  #follow(call: Promise<unknown>): void {
    this.#calls.begun += 1;
    const ended = () => {
      this.#calls.ended += 1;
    };
    call.then(ended, (error) => {
      ended();
      if ((error as { code?: string }).code === undefined) this.#wrong.push(error);
    });
  }

  close(): void {
    this.#closing ??= this.queue.close();
  }

  /** At any instant. */
  check(): void {
    for (const { command, memory, settled } of this.commands) {
      expect(settled, 'a command has settled twice').toBeLessThanOrEqual(1);
      expect(settled === 1).toBe(command.settled);
      expect(memory.holders).toBe(command.place === 'in-flight' ? 1 : 0);
      // An aborted one may still be in flight; no other place has a settled command.
      if (settled === 1) expect(['none', 'in-flight']).toContain(command.place);
      else expect(command.place).not.toBe('none');
    }
    const inFlight = this.commands.filter(({ command }) => command.place === 'in-flight');
    expect(inFlight.length).toBeLessThanOrEqual(DEPTH);
    expect(new Set(inFlight.map(({ command }) => command.slot)).size).toBe(inFlight.length);
    // What the AFU has is in flight: nothing else may reuse its slot.
    for (const { lba, slot } of this.afu.held) {
      expect(this.commands[lba]!.command.place === 'in-flight' || this.#closing !== undefined).toBe(
        true,
      );
      if (this.#closing === undefined) expect(this.commands[lba]!.command.slot).toBe(slot);
    }
  }

  /** The device is well from now on: everything comes to its end. */
  async finish(): Promise<void> {
    const { afu, queue, time } = this;
    this.#recoveriesToFail = 0;
    afu.resetFails = false;
    afu.fault = undefined;
    await this.#drive();
    this.check();
    if (this.#closing === undefined) {
      expect(queue.busy, 'the queue does not become idle').toBe(false);
      await this.#checkSlots();
      this.close();
    }
    while (this.#scheduler.count() > 0) await this.#scheduler.waitOne();
    await this.#closing;
    queue.free();
    await this.turn();
    expect(this.#calls.ended, 'drained() or retire() does not end').toBe(this.#calls.begun);
    expect(this.#wrong).toEqual([]);
    for (const { command, memory, settled } of this.commands) {
      expect([settled, memory.holders, command.place]).toEqual([1, 0, 'none']);
    }
    expect(afu.freed).toBe(1);
    const late = this.#command(0, 'normal');
    queue.submit([late]);
    expect(late.settled).toBe(true);
    expect(time.timers, 'a timer is left').toBe(0);
  }

  /** The AFU completes what it has, and time passes, until the queue is idle. */
  async #drive(look = () => {}): Promise<void> {
    const { afu, queue, time } = this;
    for (let turn = 0; turn < 400 && (queue.busy || this.#recovery !== undefined); turn += 1) {
      look();
      while (afu.held.length > 0 && !afu.inError) afu.complete(0);
      afu.interrupt();
      time.pass(50);
      while (this.#scheduler.count() > 0) await this.#scheduler.waitOne();
      await this.turn();
    }
  }

  /** What waits for nothing but promises, or for the end of this turn of the event loop, goes on. */
  async turn(): Promise<void> {
    await loopTurn();
    // The queue looks at a reset every millisecond, by a timer that is none of the global object.
    if (this.afu.looks === this.#looks) return;
    this.#looks = this.afu.looks;
    await pause(2);
  }

  /** All slots are there again: as many commands as there are can be in flight. */
  async #checkSlots(): Promise<void> {
    const { queue } = this;
    const before = this.commands.length;
    queue.submit(Array.from({ length: DEPTH * 2 }, () => this.#command(0, 'normal')));
    let most = 0;
    await this.#drive(() => {
      most = Math.max(most, queue.statistics.inFlight);
    });
    expect(this.commands.slice(before).every(({ settled }) => settled === 1)).toBe(true);
    expect(queue.statistics.inFlight).toBe(0);
    expect(most).toBe(Math.min(DEPTH, ROOM));
  }
}

describe('the flash queue, whatever is interleaved', () => {
  it('settles each command once, issues none that has settled, and has all slots back', async () => {
    const runs = Number(process.env['CXL_RUNS'] ?? 150);
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.tuple(steps, fc.nat(3)), { minLength: 1, maxLength: 40 }),
        fc.record({
          completion: fc.constantFrom('interrupt' as const, 'poll' as const),
          onReset: fc.constantFrom('retry' as const, 'fail' as const),
          squeue: fc.boolean(),
        }),
        async (scheduler, script, options) => {
          const time = new VirtualTime();
          await time.during(async () => {
            const run = new Run(scheduler, time, options);
            for (const [step, turns] of script) {
              run.perform(step as Step);
              for (let turn = 0; turn < turns; turn += 1) {
                if (scheduler.count() > 0) await scheduler.waitOne();
                await run.turn();
                run.check();
              }
            }
            await run.finish();
          });
        },
      ),
      { numRuns: runs },
    );
  }, 300_000);
});
