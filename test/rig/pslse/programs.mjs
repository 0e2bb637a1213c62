// What PSLSE's test programs test, by the public API, against PSLSE's test AFU. Each throws when
// something is not as it has to be.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { repository } from '../folders.mjs';

const LINE = 128;
const COMMANDS = {
  read: 0x0a00n,
  write: 0x0d00n,
  interrupt: 0x0000n,
  random: [
    0x0a00n,
    0x0a50n,
    0x0a60n,
    0x0e00n,
    0x0240n,
    0x0250n,
    0x0260n,
    0x0d60n,
    0x0d70n,
    0x0d00n,
    0x0d10n,
    0x0140n,
    0x0150n,
    0x1140n,
    0x0100n,
  ],
};
const RESPONSES = { done: 0n, addressError: 1n, open: 0xffn };
const ONCE = 1n << 62n;
const ALWAYS = 1n << 63n;
/** Where the machines of a dedicated AFU, a master or a slave begin. */
const MACHINES = { dedicated: 0x1000, master: 0x1000, slave: 0 };

const random64 = () => randomBytes(8).readBigUInt64BE();

/** One of the 64 machines of the test AFU. */
class Machine {
  #registers;
  #base;
  #context;

  constructor(registers, first, number, context = 0) {
    this.#registers = registers;
    this.#base = first + 32 * number;
    this.#context = BigInt(context);
  }

  begin(command, address, { size = LINE, length = size, when = ONCE } = {}) {
    this.#registers.write64(this.#base + 24, BigInt(length));
    this.#registers.write64(this.#base + 16, address);
    this.#registers.write64(this.#base + 8, BigInt(size) << 48n);
    this.#registers.write64(this.#base, when | (command << 48n) | (this.#context << 32n));
  }

  stop() {
    this.#registers.write64(this.#base, 0n);
  }

  response() {
    for (;;) {
      const response = (this.#registers.read64(this.#base + 8) >> 32n) & 0xffn;
      if (response !== RESPONSES.open) return response;
    }
  }

  run(command, address, options) {
    this.begin(command, address, options);
    return this.response();
  }
}

async function dedicated(system, options = {}) {
  const context = await system.open('/dev/cxl/afu0.0d');
  await context.attach({ wed: random64(), ...options });
  return { context, registers: context.mapProblemState({ endian: 'big' }) };
}

function copies(context, machine) {
  const source = context.allocate(LINE);
  const target = context.allocate(LINE);
  randomBytes(LINE).copy(Buffer.from(source.buffer));
  assert.equal(machine.run(COMMANDS.read, source.address), RESPONSES.done);
  assert.equal(machine.run(COMMANDS.write, target.address), RESPONSES.done);
  assert.deepEqual(Buffer.from(target.buffer), Buffer.from(source.buffer));
}

/** By PSLSE's names. `psl` is that of the daemon. */
export const programs = {
  async mmio(system, psl) {
    const context = await system.open('/dev/cxl/afu0.0d');
    assert.throws(() => context.mapProblemState(), { code: 'EIO' });
    const wed = random64();
    await context.attach({ wed });
    const registers = context.mapProblemState({ endian: 'big' });
    const found = registers.read64(8);
    const swapped = Buffer.alloc(8);
    swapped.writeBigUInt64LE(wed);
    assert.equal(found, psl === 9 ? swapped.readBigUInt64BE() : wed);
    const value = random64();
    registers.write64(0x17f0, value);
    assert.equal(registers.read32(0x17f0), Number(value >> 32n));
    assert.equal(registers.read32(0x17f4), Number(value & 0xffff_ffffn));
    const [high, low] = [randomBytes(4).readUInt32BE(), randomBytes(4).readUInt32BE()];
    registers.write32(0x17f8, high);
    registers.write32(0x17fc, low);
    assert.equal(registers.read64(0x17f8), (BigInt(high) << 32n) | BigInt(low));
    await context.close();
  },

  async memcopy(system) {
    const { context, registers } = await dedicated(system);
    copies(context, new Machine(registers, MACHINES.dedicated, 1));
    await context.close();
  },

  async mem_commands(system) {
    const { context, registers } = await dedicated(system);
    const memory = context.allocate(64 * LINE);
    randomBytes(64 * LINE).copy(Buffer.from(memory.buffer));
    const machines = Array.from(
      { length: 64 },
      (_, at) => new Machine(registers, MACHINES.dedicated, at),
    );
    const lineOf = (at) => memory.address + BigInt(at * LINE);
    for (const [at, machine] of machines.entries()) machine.begin(COMMANDS.read, lineOf(at));
    for (const machine of machines) assert.equal(machine.response(), RESPONSES.done);
    for (const [at, machine] of machines.entries()) {
      const command = COMMANDS.random[Math.floor(Math.random() * COMMANDS.random.length)];
      const size = 1 << Math.floor(Math.random() * 8);
      machine.begin(command, lineOf(at), { size, length: LINE, when: ALWAYS });
    }
    for (const machine of machines) machine.stop();
    for (const machine of machines) assert.equal(machine.response(), RESPONSES.done);
    await context.close();
  },

  async interrupt1(system) {
    const [afu] = await system.afus();
    const most = await afu.irqsMax();
    const irq = 1 + Math.floor(Math.random() * (most - 1));
    const { context, registers } = await dedicated(system, { interrupts: most });
    const machine = new Machine(registers, MACHINES.dedicated, 1);
    const response = machine.run(COMMANDS.interrupt, BigInt(irq), { size: 0, length: 1 });
    assert.equal(response, RESPONSES.done);
    const event = await context.waitForEvent({ timeout: 5000 });
    assert.deepEqual([event.type, event.irq], ['afu-interrupt', irq]);
    assert.equal(context.takeEvent(), undefined);
    await context.close();
  },

  async bad_addr(system) {
    const { context, registers } = await dedicated(system);
    const machine = new Machine(registers, MACHINES.dedicated, 1);
    const source = context.allocate(LINE);
    assert.equal(machine.run(COMMANDS.read, source.address), RESPONSES.done);
    const bad = random64() & ~0xffff_ffffn;
    assert.equal(machine.run(COMMANDS.write, bad), RESPONSES.addressError);
    const event = await context.waitForEvent({ timeout: 5000 });
    assert.deepEqual([event.type, event.address], ['data-storage', bad]);
    assert.equal(context.takeEvent(), undefined);
    await context.close();
  },

  async directed_mmio(system) {
    const wed = random64();
    const master = await system.open('/dev/cxl/afu0.0m');
    await master.attach({ wed });
    const whole = master.mapProblemState({ endian: 'big' });
    assert.notEqual(whole.read64(8), wed);
    const slave = await system.open('/dev/cxl/afu0.0s');
    await slave.attach({ wed });
    slave.mapProblemState({ endian: 'big' }).write64(0x7f8, wed);
    const [afu] = await system.afus();
    const part = (await afu.perProcessMmioOffset()) + slave.processElement * (await afu.mmioSize());
    assert.equal(whole.read64(part + 0x7f8), wed);
    await slave.close();
    await master.close();
  },

  async directed_memcopy(system) {
    const contexts = [];
    for (const [letter, kind, number] of [
      ['m', 'master', 0],
      ['s', 'slave', 20],
    ]) {
      const context = await system.open(`/dev/cxl/afu0.0${letter}`);
      contexts.push(context);
      await context.attach({ wed: random64() });
      const registers = context.mapProblemState({ endian: 'big' });
      copies(context, new Machine(registers, MACHINES[kind], number, context.processElement));
    }
    for (const context of contexts.reverse()) await context.close();
  },
};

/** Another process: attaches while the daemon is busy, and ends at once. */
function exitDuringAttach(port, letter) {
  const program = `
    const system = require('node-cxl/pslse').createPslseCxl({ port: ${port} });
    system.open('afu0.0${letter}').then((context) => {
      context.attach({ wed: 0n });
      setImmediate(() => process.exit());
    });`;
  const { status, stderr } = spawnSync(process.execPath, ['-e', program], {
    cwd: repository,
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.deepEqual([status, stderr], [0, '']);
}

/** What PSLSE has no program for. As `programs`, with the port of the daemon. */
export const checks = {
  async description(system, psl) {
    const [adapter] = await system.adapters();
    assert.equal(await adapter.caiaVersion(), psl === 9 ? '2.0' : '1.0');
    const { context } = await dedicated(system);
    const afu = await context.afu();
    const [record] = await afu.configurationRecords();
    assert.deepEqual([await record.vendor(), await record.device()], [0x1014, 0xca61]);
    assert.deepEqual([...(await afu.errorBuffer(5, 6))], [5, 6, 7, 8, 9, 10]);
    await context.close();
  },

  async fault_of_a_touch(system, psl) {
    const { context, registers } = await dedicated(system);
    const machine = new Machine(registers, MACHINES.dedicated, 1);
    const source = context.allocate(LINE);
    assert.equal(machine.run(COMMANDS.read, source.address), RESPONSES.done);
    machine.begin(COMMANDS.write, 0x1_0000_0000n);
    const event = await context.waitForEvent({ timeout: 10_000 });
    const load = psl === 9 ? 0x1000_0000_0000_0000n : 0x4000_0000_4000_0000n;
    assert.deepEqual([event.type, event.dsisr], ['data-storage', load]);
    await context.close();
  },

  async wait_that_blocks(system) {
    const { context, registers } = await dedicated(system, { interrupts: 1 });
    const machine = new Machine(registers, MACHINES.dedicated, 1);
    machine.begin(COMMANDS.interrupt, 1n, { size: 0, length: 1 });
    context.waitForInterruptSync(1, { timeout: 10_000 });
    await context.close();
  },

  async exit_during_attach(system, psl, port) {
    for (let round = 0; round < 3; round += 1) {
      exitDuringAttach(port, 'd');
      // The daemon resets the AFU.
      await sleep(1000);
      await programs.memcopy(system, psl);
      await sleep(1000);
    }
  },

  async directed_exit_during_attach(system, psl, port) {
    await programs.directed_memcopy(system, psl);
    for (let round = 0; round < 5; round += 1) exitDuringAttach(port, 's');
    // As many contexts as the AFU has: none is left taken.
    const contexts = [];
    for (let number = 0; number < 4; number += 1) {
      const context = await system.open('/dev/cxl/afu0.0s');
      contexts.push(context);
      await context.attach({ wed: 0n });
    }
    for (const context of contexts) await context.close();
  },
};

/** Milliseconds that one read64 of the test AFU takes: the median. */
export async function costOfAnAccess(system) {
  const { context, registers } = await dedicated(system);
  const times = Array.from({ length: 101 }, () => {
    const start = performance.now();
    registers.read64(8);
    return performance.now() - start;
  });
  await context.close();
  return times.sort((a, b) => a - b)[50];
}
