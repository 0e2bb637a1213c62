/**
 * A failure at every call of the seam. Each scenario runs once to count the calls: register
 * accesses, ioctls, descriptors, mappings, allocations, waits for events. Then it runs again for
 * each of them, with that call failing: with CXL_FAULTS=all (`npm run test:faults`); otherwise for one
 * in three.
 */
import type { Cxl } from 'node-cxl';
import {
  type BlockDevice,
  type FlashAttachOptions,
  type FlashContext,
  openLun,
} from 'node-cxl/flash';
import { createMockCxl, type MockCxl, type MockFlashAdapter } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { INJECTION_COMMANDS, INJECTION_REGISTERS } from '../../lib/mock/flash/injection';
import { statusWord } from '../conformance/flash-target';
import { type Failure, withHook } from './flash-seam';

const SIZE = 4096;
const BLOCKS = 16;
const EIO = -5;
const ENODEV = -19;
const EMFILE = -24;
const LIMIT = 10_000;

const sleep = (time: number) => new Promise((resolve) => setTimeout(resolve, time));

/** How each call can fail. */
function failuresOf(call: string): Failure[] {
  if (call.startsWith('read64')) return ['fault', 'ones'];
  if (call.startsWith('write64')) return ['fault'];
  if (call === 'wait') return [EIO, EMFILE];
  if (call === 'adopt') return [EMFILE, ENODEV];
  return [call === 'open' ? EMFILE : EIO];
}

/** One failure of so many is tried; each scenario begins with another one. */
const STRIDE = process.env['CXL_FAULTS'] === 'all' ? 1 : 3;

/** Rejects when the promise has not settled in time: something hangs. */
async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} hangs`)), LIMIT);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** One run: a mock, what the scenario does to it, and what must hold afterwards. */
class Run {
  readonly mock: MockCxl;
  readonly adapter: MockFlashAdapter;
  readonly system: Cxl;
  readonly calls: string[] = [];
  /** How often each promise has settled. */
  readonly settlements: number[] = [];
  context: FlashContext | undefined;
  #observing = true;
  /** Of each block: the generation written last, those that may be there, and the next one. */
  readonly #allowed: Set<number>[] = Array.from({ length: BLOCKS }, () => new Set([0]));
  readonly #writing = new Set<number>();
  #generation = 0;
  readonly #settling: Promise<void>[] = [];
  readonly #results: { readonly bytes: Uint8Array; readonly copy: Uint8Array }[] = [];
  readonly #wrong: string[] = [];

  constructor(commandMode: 'ioarrin' | 'sq', failAt: number, failure: Failure) {
    this.mock = createMockCxl({
      cards: [],
      flash: [{ commandMode, commandRoom: 3, luns: [{ blocks: 65536 * 2 }] }],
    });
    this.adapter = this.mock.flash.adapters[0] as MockFlashAdapter;
    this.system = withHook(this.mock, (call) => {
      if (!this.#observing) return undefined;
      this.calls.push(call);
      return this.calls.length === failAt ? failure : undefined;
    });
  }

  /** What the scenario does to the device is none of the calls that fail. */
  apart<T>(action: () => T): T {
    const before = this.#observing;
    this.#observing = false;
    try {
      return action();
    } finally {
      this.#observing = before;
    }
  }

  status(codes: Parameters<typeof statusWord>[0], count: number): void {
    this.apart(() => {
      const page = this.context?.registers;
      if (page?.mapped !== true) return;
      page.write64(INJECTION_REGISTERS.value, statusWord(codes));
      page.write64(INJECTION_REGISTERS.count, BigInt(count));
      page.write64(INJECTION_REGISTERS.command, BigInt(INJECTION_COMMANDS.status) << 56n);
    });
  }

  async attach(options: FlashAttachOptions = {}): Promise<FlashContext> {
    const lun = await openLun('/dev/sg1', { system: this.system });
    await lun.enableSuperpipe();
    this.context = await lun.attach({
      queueDepth: 4,
      bounceBytes: SIZE,
      watchInterval: 10,
      responseTimeout: 150,
      ...options,
    });
    return this.context;
  }

  /** Writes a new generation to a block that no other write is under way to. */
  write(device: BlockDevice, block: number, signal?: AbortSignal): void {
    if (this.#writing.has(block)) return;
    this.#generation += 1;
    const generation = this.#generation;
    const bytes = new Uint8Array(SIZE).fill(generation);
    this.#writing.add(block);
    const allowed = this.#allowed[block] as Set<number>;
    allowed.add(generation);
    this.#track(device.write(block, bytes, signal && { signal }), () => {
      allowed.clear();
      allowed.add(generation);
    });
    // After an abort the command may still run, and overtake a later write.
    if (signal === undefined) this.#settling.at(-1)?.finally(() => this.#writing.delete(block));
  }

  read(device: BlockDevice, block: number, signal?: AbortSignal): void {
    const bytes = new Uint8Array(SIZE).fill(255);
    const keep = () => this.#results.push({ bytes, copy: bytes.slice() });
    const reading = device.read(block, bytes, signal && { signal }).finally(keep);
    this.#track(reading, () => {
      if (bytes.some((byte) => byte !== bytes[0]) || bytes[0] === 255) {
        this.#wrong.push(`a read of block ${block} brought what was never written`);
      }
    });
  }

  #track(promise: Promise<unknown>, onSuccess: () => void): void {
    const index = this.settlements.push(0) - 1;
    const count = () => {
      this.settlements[index] = (this.settlements[index] as number) + 1;
    };
    this.#settling.push(
      promise.then(
        () => {
          count();
          onSuccess();
        },
        (error) => {
          count();
          if (error.code === undefined) this.#wrong.push(`an error without a code: ${error.stack}`);
        },
      ),
    );
  }

  /** Everything settles, and afterwards all is as it should be. */
  async check(device: BlockDevice | undefined): Promise<void> {
    this.#observing = false;
    this.adapter.hold(false);
    await within('a transfer', Promise.all(this.#settling));
    const { context } = this;
    if (context !== undefined && device !== undefined && !context.closed) {
      const drained = device.drained().catch(() => undefined);
      await within('drained()', drained);
    }
    await within('close()', context?.close().catch(() => undefined) ?? Promise.resolve());
    await sleep(0);
    expect(this.settlements.every((count) => count === 1)).toBe(true);
    for (const { bytes, copy } of this.#results) {
      if (!Buffer.from(bytes).equals(copy)) this.#wrong.push('a buffer changed after its promise');
    }
    await this.#checkBlocks();
    expect(this.#wrong).toEqual([]);
    const { files, mappings, bytes, contexts } = this.mock.counters;
    expect({ files, mappings, bytes, contexts }).toEqual({
      files: 0,
      mappings: 0,
      bytes: 0,
      contexts: 0,
    });
  }

  /** Reads all blocks by another context. */
  async #checkBlocks(): Promise<void> {
    const lun = await openLun('/dev/sg1', { system: this.mock });
    await lun.enableSuperpipe();
    const context = await lun.attach();
    const device = (await context.openDirect()).blockDevice();
    const all = await device.read(0, BLOCKS);
    for (const [block, allowed] of this.#allowed.entries()) {
      const bytes = all.subarray(block * SIZE, (block + 1) * SIZE);
      const [generation = -1] = bytes;
      if (!allowed.has(generation) || bytes.some((byte) => byte !== generation)) {
        this.#wrong.push(`block ${block} has generation ${generation}, not ${[...allowed]}`);
      }
    }
    await context.close();
  }
}

type Scenario = (run: Run) => Promise<BlockDevice | undefined>;

async function direct(run: Run, options: FlashAttachOptions = {}): Promise<BlockDevice> {
  return (await (await run.attach(options)).openDirect()).blockDevice();
}

const quiet = (promise: Promise<unknown>) => promise.catch(() => undefined);

const SCENARIOS: Record<string, Scenario> = {
  async 'issue and complete, by interrupts'(run) {
    const device = await direct(run);
    for (let block = 0; block < 8; block += 1) run.write(device, block);
    await sleep(5);
    for (let block = 0; block < 4; block += 1) run.read(device, block);
    return device;
  },

  async 'issue and complete, by polling'(run) {
    const device = await direct(run, { completion: 'poll' });
    for (let block = 0; block < 6; block += 1) run.write(device, block);
    await sleep(2);
    for (let block = 0; block < 6; block += 1) run.read(device, block);
    return device;
  },

  async retry(run) {
    const device = await direct(run);
    run.status({ fc: 0x57 }, 2);
    run.status({ scsi: 0x02 }, 1);
    for (let block = 0; block < 5; block += 1) run.write(device, block);
    run.read(device, 7);
    await sleep(10);
    return device;
  },

  async abort(run) {
    const device = await direct(run);
    const controller = new AbortController();
    run.adapter.hold(true);
    for (let block = 0; block < 8; block += 1) {
      run.write(device, block, block % 2 === 0 ? controller.signal : undefined);
      run.read(device, 8 + block, block % 2 === 1 ? controller.signal : undefined);
    }
    await sleep(1);
    controller.abort();
    run.adapter.hold(false);
    for (let block = 8; block < 12; block += 1) run.write(device, block);
    await sleep(5);
    return device;
  },

  async 'reset and recover'(run) {
    const device = await direct(run);
    run.write(device, 0);
    await sleep(2);
    run.adapter.hold(true);
    for (let block = 1; block < 7; block += 1) run.write(device, block);
    run.apart(() => run.adapter.reset(4));
    await sleep(40);
    run.read(device, 0);
    run.write(device, 0);
    await sleep(5);
    return device;
  },

  async 'recover before the doorbell'(run) {
    const device = await direct(run);
    for (let block = 0; block < 4; block += 1) run.write(device, block);
    const recovery = quiet(device.resource.context.recover());
    for (let block = 4; block < 6; block += 1) run.write(device, block);
    await recovery;
    await sleep(5);
    return device;
  },

  async 'reset, commands fail'(run) {
    const device = await direct(run, { onReset: 'fail' });
    for (let block = 0; block < 6; block += 1) run.write(device, block);
    run.apart(() => run.adapter.reset(4));
    await sleep(40);
    for (let block = 0; block < 6; block += 1) run.write(device, block);
    await sleep(5);
    return device;
  },

  async 'a command hangs'(run) {
    const device = await direct(run, { responseTimeout: 30 });
    run.adapter.hold(true);
    for (let block = 0; block < 5; block += 1) run.write(device, block);
    await sleep(45);
    run.adapter.hold(false);
    await sleep(40);
    return device;
  },

  async release(run) {
    const context = await run.attach();
    const first = await context.openDirect();
    const device = first.blockDevice();
    run.adapter.hold(true);
    for (let block = 0; block < 8; block += 1) run.write(device, block);
    const release = quiet(first.release());
    run.adapter.hold(false);
    await within('release()', release);
    const next = (await context.openDirect()).blockDevice();
    for (let block = 8; block < 12; block += 1) run.write(next, block);
    await sleep(5);
    return next;
  },

  async close(run) {
    const device = await direct(run);
    run.adapter.hold(true);
    for (let block = 0; block < 8; block += 1) run.write(device, block);
    await sleep(1);
    await within('close()', quiet(device.resource.context.close()));
    return device;
  },
};

for (const commandMode of ['ioarrin', 'sq'] as const) {
  describe(`a failure at each call, ${commandMode} mode`, () => {
    for (const [turn, [name, scenario]] of Object.entries(SCENARIOS).entries()) {
      it(name, async () => {
        const execute = async (failAt: number, failure: Failure): Promise<Run> => {
          const run = new Run(commandMode, failAt, failure);
          let device: BlockDevice | undefined;
          try {
            device = await scenario(run);
          } catch (error) {
            // An attach or an open that fails ends the scenario.
            if ((error as { code?: string }).code === undefined) throw error;
          }
          await run.check(device);
          return run;
        };
        const { calls } = await execute(0, undefined);
        expect(calls.length).toBeGreaterThan(15);
        const failures = calls.flatMap((call, index) =>
          failuresOf(call).map((failure) => ({ call, at: index + 1, failure })),
        );
        const runs = failures
          .filter((_, index) => index % STRIDE === turn % STRIDE)
          .map(({ call, at, failure }) => async () => {
            await execute(at, failure).catch((error: Error) => {
              throw new Error(`call ${at}, ${call}: ${failure}: ${error.message}`, {
                cause: error,
              });
            });
          });
        // Each has a mock of its own, and waits most of its time.
        const lane = async () => {
          for (let run = runs.shift(); run !== undefined; run = runs.shift()) await run();
        };
        await Promise.all([lane(), lane(), lane(), lane()]);
      }, 300_000);
    }
  });
}
