/**
 * Contexts from open to close on many paths at once, with failures in between: what is refused must
 * be refused by the documented code, and what works must work.
 */
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context, Memory, ProblemState } from 'node-cxl';
import { mockOf } from 'node-cxl/mock';
import { startCopyJob } from '../../conformance/support/work-queue';
import type { Theme, Turn } from '../turn';

/** A call of the mock takes milliseconds, most of them waiting; the simulated device has few contexts. */
const LANES = { mock: 64, simulated: 16, rig: 4 };
/** A register that keeps what is stored to it (injection register VALUE). */
const VALUE = 0x1008;
/** All process elements are taken: the simulated device has few. */
const FULL = 'ENOSPC';

/** An open context; undefined when there is no room. */
async function opened(turn: Turn, signal?: AbortSignal): Promise<Context | undefined> {
  try {
    return await turn.call('open', turn.system.open(turn.node, signal ? { signal } : {}));
  } catch (error) {
    turn.expected('open', error, [FULL, ...(signal ? ['ABORT_ERR'] : [])]);
    await sleep(1);
    return undefined;
  }
}

/** A signal that aborts within so many milliseconds, or has already. */
function soon(turn: Turn, milliseconds: number): AbortSignal {
  const controller = new AbortController();
  const most = milliseconds * (turn.targetName === 'simulated' ? 1 : 20);
  const after = turn.random.next() * most - most / 10;
  if (after < 0) controller.abort();
  else setTimeout(() => controller.abort(), after);
  return controller.signal;
}

function useRegisters(turn: Turn, context: Context): ProblemState[] {
  const areas = Array.from({ length: turn.random.integer(1, 3) }, () =>
    context.mapProblemState({ endian: turn.random.pick(['big', 'little']) }),
  );
  for (const area of areas) {
    const value = BigInt(turn.random.integer(1, 2 ** 31));
    area.write64(VALUE, value);
    turn.check(area.read64(VALUE) === value, 'a register lost its value');
    if (turn.random.chance(0.5)) area.unmap();
  }
  return areas;
}

/** Closes it, perhaps twice; then every call is refused. */
async function closed(turn: Turn, context: Context, areas: readonly ProblemState[] = []) {
  const twice = turn.random.chance(0.3) ? [context.close()] : [];
  await turn.code('close', Promise.all([...twice, context.close()]), []);
  turn.check(context.closed && context.fd === -1, 'close() left a descriptor');
  for (const area of areas) turn.check(!area.mapped, 'close() left a mapping');
  turn.refused('map after close', 'ERR_INVALID_STATE', () => context.mapProblemState());
  await turn.code('wait after close', refusal(context.waitForEvent()), ['ERR_INVALID_STATE']);
}

/** A promise that must reject. */
async function refusal(promise: Promise<unknown>): Promise<never> {
  await promise;
  throw new Error('not refused');
}

type Path = (turn: Turn) => Promise<void>;

const PATHS: Record<string, Path> = {
  async plain(turn) {
    const context = await opened(turn);
    if (context === undefined) return;
    const queue = context.allocate(4096);
    if (turn.random.chance(0.3)) context.attachSync({ wed: queue.address | 1n });
    else await turn.call('attach', context.attach({ wed: queue.address | 1n }));
    const areas = useRegisters(turn, context);
    turn.refused('free while attached', 'EBUSY', () => queue.free());
    await closed(turn, context, areas);
    queue.free();
  },

  async copies(turn) {
    const job = await startCopyJob(turn.system, turn.node).catch((error) => {
      turn.expected('job', error, [FULL]);
    });
    if (job === undefined) return sleep(1);
    const [source, target] = [job.context.allocate(128), job.context.allocate(128)];
    source.bytes.fill(turn.random.integer(1, 255));
    const at = job.queue.add({
      command: 0,
      length: 128,
      source: source.address,
      destination: target.address,
    });
    await turn.call('copy', job.queue.finished(at));
    turn.check(Buffer.compare(source.bytes, target.bytes) === 0, 'a copy differs');
    await turn.call('end of a job', job.end());
    for (const memory of [source, target]) memory.free();
  },

  async 'open aborted'(turn) {
    const context = await opened(turn, soon(turn, 3));
    await context?.close();
  },

  async 'attach aborted'(turn) {
    const context = await opened(turn);
    if (context === undefined) return;
    const attach = context.attach({ wed: 0n, signal: soon(turn, 2) });
    const code = await turn.code('attach', attach, ['ABORT_ERR']);
    await closed(turn, context, code === undefined ? useRegisters(turn, context) : []);
  },

  async 'closed in between'(turn) {
    const context = await opened(turn);
    if (context === undefined) return;
    const memory: Memory[] = [];
    const ended = ['ECANCELED', 'EIO', 'EBADF', 'ERR_INVALID_STATE', 'ETIMEDOUT', 'ABORT_ERR'];
    const calls: Promise<unknown>[] = [];
    const attach = context.attach({ wed: 0n, signal: soon(turn, 20) });
    calls.push(turn.code('attach', attach, ended));
    const steps = turn.random.integer(0, 6);
    for (let step = 0; step < steps; step += 1) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (context.closed) break;
      try {
        if (step % 3 === 0) memory.push(context.allocate(4096));
        if (step % 3 === 1) context.mapProblemState();
        const wait = context.waitForEvent({ timeout: turn.random.integer(0, 5) });
        calls.push(turn.code('wait', wait, ended));
      } catch (error) {
        turn.expected('a call in between', error, ended);
      }
    }
    await turn.call('close in between', context.close());
    await Promise.all(calls);
    for (const each of memory) each.free();
  },

  async refused(turn) {
    const none = turn.system.open('/dev/cxl/afu9.9s');
    await turn.code('open of no AFU', refusal(none), ['ENOENT']);
    const context = await opened(turn);
    if (context === undefined) return;
    turn.refused('map before attach', 'EIO', () => context.mapProblemState());
    const wait = refusal(context.waitForEvent());
    await turn.code('wait before attach', wait, ['ERR_INVALID_STATE']);
    const many = refusal(context.attach({ wed: 0n, interrupts: 0x7fff }));
    await turn.code('attach with too many interrupts', many, ['EINVAL']);
    await turn.call('attach', context.attach({ wed: 0n }));
    await turn.code('second attach', refusal(context.attach({ wed: 0n })), ['EIO']);
    const areas = useRegisters(turn, context);
    const past = { offset: 2 ** 30, length: 4096 };
    turn.refused('map past the end', 'EINVAL', () => context.mapProblemState(past));
    await closed(turn, context, areas);
  },

  async adopted(turn) {
    const made = descriptor(turn);
    if (made === undefined) return sleep(1);
    const { fd, started } = made;
    // A descriptor of the mock has no other owner.
    const owned = turn.targetName === 'mock' || turn.random.chance(0.5);
    const context = turn.system.adopt(fd, { owned, mmioSize: 65536 });
    if (!started) await turn.call('attach', context.attach({ wed: 0n }));
    await closed(turn, context, useRegisters(turn, context));
    if (!owned) closeSync(fd);
    turn.refused('adopt of no descriptor', 'EBADF', () => turn.system.adopt(99_999));
  },
};

/** A descriptor that was opened elsewhere: by node:fs, or by a kernel driver of the mock. */
function descriptor(turn: Turn) {
  try {
    if (turn.targetName !== 'mock') {
      return { fd: openSync(turn.node, 'r+'), started: false };
    }
    const mock = mockOf(turn.system);
    const kernelContext = mock.card(0).afu(0).createKernelContext();
    turn.check(kernelContext.start(0n) === 0, 'a kernel context does not start');
    return { fd: kernelContext.getFd(), started: true };
  } catch (error) {
    turn.expected('descriptor', error, [FULL]);
    return undefined;
  }
}

export const lifeCycle: Theme = {
  name: 'life-cycle',

  async run(turn) {
    const names = Object.keys(PATHS);
    await turn.lanes(
      Array.from({ length: LANES[turn.targetName] }, () => async () => {
        while (!turn.over) {
          const name = turn.random.pick(names);
          await PATHS[name]!(turn);
          turn.counts.add('cycles');
          turn.counts.add(`path ${name}`);
          // The mock settles calls without a turn of the event loop.
          await new Promise<void>((resolve) => setImmediate(resolve));
        }
      }),
    );
  },
};
