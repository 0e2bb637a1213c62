// The storm: many transfers under way, and everything that can go wrong at random.
import { setTimeout as sleep } from 'node:timers/promises';
import { Violation } from '../counts.mjs';
import { checkLeaks, settled, summary } from '../leaks.mjs';
import { acknowledge, giveUp } from './blocks.mjs';
import { Devices, SPAN } from './devices.mjs';
import { Faults } from './faults.mjs';

/** Transfers under way. */
const LANES = 128;
const MAX_BLOCKS = 8;
/** Milliseconds. */
const ROUND = 4000;
const HUNG = process.env.SOAK_UNDER === undefined ? 30_000 : 300_000;
/** A buffer is filled with this when its promise has settled, and may not change any more. */
const SETTLED = 0xc3;
/** Milliseconds for which it is looked at. */
const WATCHED = 300;

/** Codes with which a transfer may fail in a storm. */
const EXPECTED = new Set([
  ...[
    'ABORT_ERR',
    'ECANCELED',
    'ETIMEDOUT',
    'EIO',
    'ENETDOWN',
    'EBUSY',
    'EPERM',
    'EFAULT',
    'EACCES',
  ],
  ...['EAGAIN', 'ERR_INVALID_STATE', 'ERR_OUT_OF_RANGE', 'EINVAL'],
]);

/** Of these, the messages are counted too. */
const UNUSUAL = new Set(['EINVAL', 'EFAULT', 'EPERM', 'EACCES', 'EAGAIN']);

export class Storm {
  #system;
  #random;
  #counts;
  #devices;
  #faults;
  #end;
  #running = false;
  #underWay = new Map();
  #watched = [];
  #memories = [];
  #failure;
  #baseline;
  #last;
  #roundsBeforeBaseline = 2;

  constructor(system, random, counts) {
    this.#system = system;
    this.#random = random;
    this.#counts = counts;
  }

  /** What the process held before, and at the end of the last epoch. */
  get resources() {
    return {
      before: this.#baseline && summary(this.#baseline),
      after: this.#last && summary(this.#last),
    };
  }

  /** @throws Violation */
  async run(milliseconds) {
    this.#end = performance.now() + milliseconds;
    const watchdog = setInterval(() => this.#guard(() => this.#checkHung()), 500);
    const buffers = setInterval(() => this.#guard(() => this.#checkWatched()), 50);
    try {
      for (let epoch = 1; performance.now() < this.#end; epoch += 1) {
        await this.#epoch(Math.min(5 * ROUND, milliseconds / 4));
        this.#counts.add('epochs');
        if (epoch < this.#roundsBeforeBaseline) continue;
        if (this.#baseline === undefined) this.#baseline = await settled();
        else this.#last = await checkLeaks(this.#baseline);
      }
    } finally {
      clearInterval(watchdog);
      clearInterval(buffers);
    }
    this.#rethrow();
  }

  /** Runs `check`, and keeps what it throws for whoever looks next. */
  #guard(check) {
    try {
      check();
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error) {
    this.#failure ??= error;
    this.#running = false;
  }

  #rethrow() {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Opens everything, storms in rounds, checks everything, closes everything. */
  async #epoch(milliseconds) {
    this.#devices ??= new Devices(this.#system, this.#random, this.#counts);
    await this.#devices.open();
    this.#faults = new Faults(this.#devices.control, this.#random, this.#counts);
    await this.#faults.open();
    const area = this.#devices.wholeArea;
    if (!area.entry(0).known) await this.#fillAll();
    for (let i = 0; i < LANES / 4; i += 1) {
      this.#memories.push(this.#system.allocate(MAX_BLOCKS * area.blockSize));
    }
    const end = performance.now() + milliseconds;
    while (performance.now() < end && this.#failure === undefined) {
      await this.#round(Math.min(ROUND, end - performance.now() + 100));
    }
    this.#rethrow();
    await this.#verifyAll();
    await this.#faults.close();
    await this.#devices.close();
    for (const memory of this.#memories.splice(0)) memory.free();
  }

  async #fillAll() {
    const { device, area } = this.#devices.targets[0];
    for (let lba = 0; lba < SPAN; lba += 64) {
      const bytes = new Uint8Array(64 * area.blockSize);
      const locks = area.lock(lba, 64);
      this.#fill(area, bytes, lba, locks);
      await device.write(lba, bytes);
      acknowledge(locks);
    }
  }

  #fill(area, bytes, lba, locks) {
    const size = area.blockSize;
    for (const [i, { generation }] of locks.entries()) {
      area.fill(bytes.subarray(i * size, (i + 1) * size), lba + i, generation);
    }
  }

  /** Transfers and faults for a while; then quiet, and what was unclear is clear again. */
  async #round(milliseconds) {
    this.#running = true;
    const troubles = [
      this.#trouble(15, () => this.#faults.status()),
      this.#trouble(400, () => this.#faults.reset()),
      this.#trouble(500, () => this.#faults.hold()),
      this.#trouble(500, () => this.#faults.ports()),
      this.#trouble(300, () => this.#faults.slowSync()),
      this.#trouble(500, () => this.#faults.closedContext()),
      this.#trouble(400, () => this.#replaceOne()),
      this.#trouble(150, () => this.#resizeOne()),
      this.#trouble(300, () => this.#recoverOne()),
    ];
    const lanes = Array.from({ length: LANES }, (_, lane) => this.#lane(lane));
    const all = Promise.all([...troubles, ...lanes]).catch((error) => this.fail(error));
    await sleep(milliseconds);
    this.#running = false;
    await this.#within('the end of a round', all);
    this.#rethrow();
    await this.#within('clearing faults', this.#faults.clear());
    await this.#within('devices being opened', this.#devices.steady());
    for (const target of this.#devices.targets) {
      if (target.closed !== undefined) continue;
      await this.#within(`drained() of ${target.kind}`, target.device.drained());
      for (const locks of target.tainted.splice(0)) giveUp(locks);
    }
    this.#checkWatched();
    this.#rethrow();
    this.#counts.add('rounds');
  }

  async #within(what, promise) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => {
        const left = [...this.#underWay.values()].map((each) => each.what).slice(0, 10);
        reject(new Violation(`hangs: ${what}; under way: ${left.join(', ') || 'nothing'}`));
      }, HUNG);
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Does something at random times, `interval` milliseconds apart in the mean. */
  async #trouble(interval, make) {
    for (;;) {
      const end = performance.now() + this.#random.next() * interval * 2;
      while (this.#running && performance.now() < end) await sleep(Math.min(interval, 20));
      if (!this.#running) return;
      const key = Symbol(String(make));
      this.#underWay.set(key, { begin: performance.now(), what: String(make) });
      try {
        await make();
      } finally {
        this.#underWay.delete(key);
      }
    }
  }

  async #replaceOne() {
    const target = this.#random.pick(this.#devices.targets);
    if (target.closed !== undefined) return;
    this.#counts.add(`close ${target.kind}`);
    await this.#devices.replace(target);
  }

  async #resizeOne() {
    const virtual = this.#devices.targets.filter(
      ({ kind, closed }) => kind === 'virtual' && closed === undefined,
    );
    if (virtual.length > 0)
      await this.#devices.resize(this.#random.pick(virtual), this.#random.integer(1, 2));
  }

  async #recoverOne() {
    const target = this.#random.pick(this.#devices.targets);
    if (target.context === undefined || target.closed !== undefined) return;
    this.#counts.add('event recover()');
    await target.context.recover().catch((error) => {
      this.#counts.add(`recover failed ${error.code ?? error.name}`);
    });
  }

  async #lane(lane) {
    const memory = lane < this.#memories.length ? this.#memories[lane] : undefined;
    const state = { memory, memoryBusy: false };
    while (this.#running) {
      const usable = this.#devices.targets.filter(({ closed }) => closed === undefined);
      if (usable.length === 0) {
        await sleep(2);
        continue;
      }
      const target = this.#random.pick(usable);
      const what = this.#random.weighted([
        [46, 'read'],
        [46, 'write'],
        [3, 'unmap'],
        [5, 'submit'],
      ]);
      const count = this.#random.integer(1, MAX_BLOCKS);
      const lba = this.#place(target, count);
      const key = Symbol(what);
      this.#underWay.set(key, {
        begin: performance.now(),
        what: `${what} of ${target.kind} at ${lba}`,
      });
      try {
        if (what === 'read') await this.#read(target, lba, count, state);
        else if (what === 'submit') await this.#submit(target);
        else await this.#write(target, lba, count, what, state);
      } finally {
        this.#underWay.delete(key);
      }
    }
  }

  /** Mostly the same few blocks, and those around the ends of chunks. */
  #place(target, count) {
    const last = target.blocks - count;
    if (target.kind !== 'virtual') return this.#random.integer(0, last);
    const near = this.#random.pick([0, 65536, target.blocks]) - this.#random.integer(0, 64);
    return Math.min(Math.max(near, 0), last);
  }

  /** Options of a transfer; `end()` is to be called when it has settled. */
  #options() {
    const options = {};
    let timer;
    if (this.#random.chance(0.04)) {
      const controller = new AbortController();
      options.signal = controller.signal;
      const wait = this.#random.next() * 10;
      if (wait < 0.5) controller.abort();
      else timer = setTimeout(() => controller.abort(), wait);
    }
    if (this.#random.chance(0.03)) options.timeout = this.#random.integer(0, 20);
    if (this.#random.chance(0.2)) options.priority = this.#random.pick(['high', 'normal', 'low']);
    return { options, end: () => clearTimeout(timer) };
  }

  async #read(target, lba, count, state) {
    const { area } = target;
    const entries = Array.from({ length: count }, (_, i) => area.entry(lba + i));
    // Before the first acknowledged write anything may be read.
    const since = entries.map(({ floor, known }) => (known ? floor : undefined));
    const length = count * area.blockSize;
    const inMemory = state.memory !== undefined && !state.memoryBusy;
    const bytes = inMemory
      ? new Uint8Array(state.memory.buffer, 0, length)
      : new Uint8Array(length);
    if (inMemory) this.#checkUnchanged(state);
    const { options, end } = this.#options();
    try {
      const into = inMemory ? { memory: state.memory, length } : bytes;
      await target.device.read(lba, into, options);
      this.#counts.add('read ok');
      for (const [i, entry] of entries.entries()) {
        if (since[i] === undefined) continue;
        const block = bytes.subarray(i * area.blockSize, (i + 1) * area.blockSize);
        area.check(
          block,
          lba + i,
          entry,
          since[i],
          `area ${area.number} (${target.kind}) block ${lba + i}`,
        );
      }
    } catch (error) {
      const unclear = this.#failed('read', error, options);
      if (inMemory && unclear) {
        // The AFU may use it until drained().
        state.memoryBusy = true;
        return;
      }
      if (target.closed !== undefined) await target.closed;
    } finally {
      end();
    }
    bytes.fill(SETTLED);
    if (inMemory) state.watched = bytes;
    else this.#watched.push({ bytes, until: performance.now() + WATCHED });
  }

  #checkUnchanged(state) {
    if (state.watched?.some((byte) => byte !== SETTLED)) {
      throw new Violation('memory changed after the promise of its transfer had settled');
    }
    state.watched = undefined;
  }

  async #write(target, lba, count, what, state) {
    const { area } = target;
    const zeros = what === 'unmap';
    const locks = area.lock(lba, count, zeros);
    if (locks === undefined) {
      this.#counts.add('locked');
      await sleep(0);
      return;
    }
    const inMemory = !zeros && state.memory !== undefined && !state.memoryBusy;
    const length = count * area.blockSize;
    const bytes = inMemory
      ? new Uint8Array(state.memory.buffer, 0, length)
      : new Uint8Array(length);
    if (inMemory) this.#checkUnchanged(state);
    if (!zeros) this.#fill(area, bytes, lba, locks);
    const { options, end } = this.#options();
    try {
      const from = inMemory ? { memory: state.memory, length } : bytes;
      await (zeros
        ? target.device.unmap(lba, count, options)
        : target.device.write(lba, from, options));
      this.#counts.add(`${what} ok`);
      acknowledge(locks);
    } catch (error) {
      if (this.#failed(what, error, options)) {
        target.tainted.push(locks);
        if (inMemory) state.memoryBusy = true;
        return;
      }
      if (target.closed !== undefined) await target.closed;
      giveUp(locks);
    } finally {
      end();
    }
    // What was sent is on the LUN, or never will be: the buffer is the program's again.
    if (!zeros) bytes.fill(0xee);
  }

  /** Several transfers in one call. */
  async #submit(target) {
    const { area } = target;
    const { options, end } = this.#options();
    const writes = [];
    const requests = [];
    for (let i = 0; i < 4; i += 1) {
      const lba = this.#place(target, 1);
      const locks = area.lock(lba, 1);
      if (locks === undefined) continue;
      const bytes = new Uint8Array(area.blockSize);
      this.#fill(area, bytes, lba, locks);
      writes.push(locks);
      requests.push({ operation: 'write', lba, from: bytes });
    }
    let promises;
    try {
      promises = target.device.submit(requests, options);
    } catch (error) {
      this.#failed('submit', error, {});
      promises = requests.map(() => Promise.reject(error));
    }
    const outcomes = await Promise.allSettled(promises);
    end();
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome.status === 'fulfilled') {
        this.#counts.add('submit ok');
        acknowledge(writes[i]);
        continue;
      }
      if (this.#failed('submit', outcome.reason, options)) {
        target.tainted.push(writes[i]);
        continue;
      }
      if (target.closed !== undefined) await target.closed;
      giveUp(writes[i]);
    }
  }

  /** Counts it. Whether the AFU may still carry the transfer out: it was aborted, or timed out. */
  #failed(what, error, options) {
    if (error instanceof Violation) throw error;
    const code = error?.code;
    if (!EXPECTED.has(code)) throw error;
    this.#counts.add(`${what} ${code}`);
    if (UNUSUAL.has(code)) this.#counts.add(`unusual ${error.message}`);
    return code === 'ABORT_ERR' || (code === 'ETIMEDOUT' && options.timeout !== undefined);
  }

  #checkHung() {
    const now = performance.now();
    for (const { begin, what } of this.#underWay.values()) {
      if (now - begin > HUNG)
        throw new Violation(`hangs for ${Math.round(now - begin)} ms: ${what}`);
    }
  }

  #checkWatched() {
    const now = performance.now();
    this.#watched = this.#watched.filter(({ bytes, until }) => {
      if (now < until) return true;
      for (let i = 0; i < bytes.length; i += 64) {
        if (bytes[i] !== SETTLED) {
          throw new Violation('a buffer changed after the promise of its transfer had settled');
        }
      }
      return false;
    });
  }

  /** Every block of the whole LUN, through a context that has seen no fault. */
  async #verifyAll() {
    await this.#faults.clear();
    const { direct, wholeArea: area } = this.#devices;
    const context = await direct.attach();
    try {
      const device = (await context.openDirect()).blockDevice();
      for (const [lba, entry] of area.entries) {
        let bytes;
        for (let attempt = 0; bytes === undefined; attempt += 1) {
          // Statuses that were injected and not used up.
          bytes = await device.read(lba, 1).catch((error) => {
            if (attempt > 100) throw error;
            return undefined;
          });
        }
        area.check(bytes, lba, entry, entry.floor, `at the end, block ${lba}`);
        this.#counts.add('verified');
      }
    } finally {
      await context.close();
    }
  }
}
