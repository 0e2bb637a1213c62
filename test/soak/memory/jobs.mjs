// What one job of the memory soak does with its context and memory. Each copies bytes by the memcpy
// AFU and compares them, so that memory that went too early, or to two owners, is noticed.
import { setTimeout as sleep } from 'node:timers/promises';
import { Violation } from '../counts.mjs';

const DEVICE = '/dev/cxl/afu0.0s';
const COPY = 0;
const VALID = 0x80;
const COMPLETE = 0x80;
/** Milliseconds for one copy, on a busy machine. */
const PATIENCE = 30_000;

function check(condition, what) {
  if (!condition) throw new Violation(what);
}

function refused(call, code) {
  try {
    call();
  } catch (error) {
    if (error.code === code) return;
    throw error;
  }
  throw new Violation(`not refused: ${code}`);
}

/** Copies `source` to `destination`, by the first element of the queue. */
async function copy(system, queue, source, destination, random) {
  const pattern = random.integer(0, 255);
  const { bytes } = source;
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = (pattern + at * 7) & 0xff;
  queue.store16(2, source.size);
  queue.store64(16, source.address);
  queue.store64(24, destination.address);
  system.memoryBarrier();
  queue.store8(0, VALID | COPY);
  const end = performance.now() + PATIENCE;
  while (queue.load8(1) === 0) {
    check(performance.now() < end, 'the AFU does not copy');
    await sleep(1);
  }
  check(queue.load8(1) === COMPLETE, `status ${queue.load8(1)} of a copy`);
  check(Buffer.compare(source.bytes, destination.bytes) === 0, 'the copy differs');
}

const wedOf = (queue) => queue.address | 1n;
const size = (random) => 128 * random.integer(1, 500);

/** Opens and attaches; closes again when there is no room, or `use` has ended. */
async function withContext({ system, whenThereIsRoom }, prepare, use) {
  const context = await whenThereIsRoom(async () => {
    const opened = await system.open(DEVICE);
    try {
      await opened.attach(prepare(opened));
      return opened;
    } catch (error) {
      await opened.close();
      throw error;
    }
  });
  try {
    await use(context);
  } finally {
    await context.close();
  }
}

export const JOBS = {
  /** All memory is the context's; it is freed after close(). */
  async allocated(job) {
    const { system, random } = job;
    let mine = [];
    await withContext(
      job,
      (context) => {
        for (const memory of mine) memory.free();
        const length = size(random);
        mine = [4096, length, length].map((each) => context.allocate(each, { endian: 'big' }));
        return { wed: wedOf(mine[0]) };
      },
      async () => {
        await copy(system, ...mine, random);
        refused(() => mine[random.integer(0, 2)].free(), 'EBUSY');
      },
    );
    for (const memory of mine) memory.free();
  },

  /** As a `using` block: some are disposed of before the context is closed, and go with it. */
  async disposed(job) {
    const { system, random } = job;
    const length = size(random);
    const mine = [4096, length, length].map((each) => system.allocate(each, { endian: 'big' }));
    await withContext(
      job,
      () => ({ wed: wedOf(mine[0]), holds: mine }),
      async () => {
        await copy(system, ...mine, random);
        for (const memory of mine) if (random.chance(0.5)) memory[Symbol.dispose]();
        check(
          mine.every((memory) => !memory.freed),
          'freed while it is held',
        );
      },
    );
    for (const memory of mine) memory[Symbol.dispose]();
    check(
      mine.every((memory) => memory.freed),
      'not freed with the context',
    );
  },

  /** A server's: memory for each of several requests on one context, held and let go. */
  async released(job) {
    const { system, random } = job;
    const queue = system.allocate(4096, { endian: 'big' });
    await withContext(
      job,
      () => ({ wed: wedOf(queue), holds: [queue] }),
      async (context) => {
        const length = size(random);
        const [source, destination] = [context.allocate(length), context.allocate(length)];
        await copy(system, queue, source, destination, random);
        for (const memory of [source, destination]) {
          if (random.chance(0.5)) memory[Symbol.dispose]();
          context.release(memory);
          if (!memory.disposed) memory.free();
          check(memory.freed, 'not freed once it was released');
        }
      },
    );
    queue.free();
  },

  /** Pieces of a pool. */
  async pooled(job) {
    const { system, random } = job;
    let pool;
    let queue;
    await withContext(
      job,
      (context) => {
        pool?.free();
        pool = context.allocatePool(2 ** 18);
        queue = pool.allocate(128, { alignment: 4096, endian: 'big' });
        return { wed: wedOf(queue) };
      },
      async () => {
        const pieces = Array.from({ length: 50 }, () => pool.allocate(random.integer(1, 1000)));
        for (const piece of pieces) if (random.chance(0.5)) piece.free();
        const length = size(random);
        await copy(system, queue, pool.allocate(length), pool.allocate(length), random);
        refused(() => pool.free(), 'EBUSY');
      },
    );
    pool.free();
    check(queue.freed, 'a piece outlives its pool');
  },

  /** Nothing is freed: the collector does. */
  async dropped(job) {
    const { system, random } = job;
    let queue;
    await withContext(
      job,
      (context) => {
        queue = context.allocate(4096, { endian: 'big' });
        return { wed: wedOf(queue) };
      },
      async (context) => {
        const length = size(random);
        const source = context.allocate(length);
        await copy(system, queue, source, context.allocate(length), random);
      },
    );
  },
};
