// What goes wrong in a storm, through the injection registers of a context of its own.
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { INJECTION_COMMANDS, INJECTION_REGISTERS } from 'node-cxl/mock';

const ALL_ONES = 2n ** 64n - 1n;

/** Statuses with which a command ends without having been carried out: flags, AFU, SCSI, FC codes. */
const AFU_CODES = [0x04, 0x14, 0x1a, 0x20, 0x21, 0x30, 0x31, 0x50, 0x51, 0x52];
const SCSI_CODES = [0x02, 0x08, 0x18, 0x28];
const FC_CODES = [0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x5b, 0x5c];
/** Key, code and qualifier: not ready, medium and hardware error, illegal request, unit attentions. */
const SENSES = [
  [2, 0x04, 0x01],
  [3, 0x11, 0x00],
  [4, 0x44, 0x00],
  [5, 0x24, 0x00],
  [6, 0x29, 0x00],
  [6, 0x2a, 0x01],
  [6, 0x3f, 0x0e],
  [11, 0x00, 0x00],
];

/** Milliseconds within which the adapter reads an injection. */
const TAKEN = 500;

/** 1200 of the 2037 interrupts of the card. */
const MAX_CLOSED_CONTEXTS = 300;

export class Faults {
  #lun;
  #context;
  #random;
  #counts;
  #last = Promise.resolve();

  constructor(lun, random, counts) {
    this.#lun = lun;
    this.#random = random;
    this.#counts = counts;
  }

  async open() {
    this.#context = await this.#lun.attach({ queueDepth: 1 });
  }

  async close() {
    await this.#context?.close();
    this.#context = undefined;
  }

  /** False when the adapter was in error, so that nothing was injected. One after the other. */
  inject(name, argument = 0, value = 0n, count = 1) {
    const injected = this.#last.then(() => this.#inject(name, argument, value, count));
    this.#last = injected.catch(() => undefined);
    return injected;
  }

  async #inject(name, argument, value, count) {
    const page = this.#context.registers;
    if (name !== 'status') this.#counts.note(`inject ${name} ${argument} ${count}`);
    try {
      page.write64(INJECTION_REGISTERS.value, value);
      page.write64(INJECTION_REGISTERS.count, BigInt(count));
      const command = (BigInt(INJECTION_COMMANDS[name]) << 56n) | BigInt(argument >>> 0);
      page.write64(INJECTION_REGISTERS.command, command);
      const end = performance.now() + TAKEN;
      for (;;) {
        const left = page.read64(INJECTION_REGISTERS.command);
        if (left === 0n) break;
        if (left === ALL_ONES) {
          if (name === 'errorState') this.#counts.add('fault errorState');
          await this.#recover();
          return false;
        }
        if (performance.now() > end) {
          // A reset came in between.
          await this.#recover();
          return false;
        }
        await turn();
      }
    } catch (error) {
      if (error.code === undefined) throw error;
      await this.#recover();
      return false;
    }
    this.#counts.add(`fault ${name}`);
    return true;
  }

  async #recover() {
    await this.#context.recover().catch(async (error) => {
      this.#counts.add(`control ${error.code ?? error.name}`);
      await sleep(5);
    });
  }

  /** The adapter works again as it should. */
  async clear() {
    for (const [name, argument] of [
      ['hold', 0],
      ['ports', 3],
      ['slowSync', 0],
    ]) {
      while (!(await this.inject(name, argument, 0n, 0))) await sleep(5);
    }
  }

  async status() {
    const random = this.#random;
    const count = random.integer(1, 4);
    const kind = random.weighted([
      [4, 'afu'],
      [3, 'scsi'],
      [4, 'fc'],
      [4, 'sense'],
      [1, 'length'],
    ]);
    let flags = 0;
    let codes = 0;
    let argument = 0;
    if (kind === 'afu') {
      codes = random.pick(AFU_CODES) << 16;
      // afu_extra: a page that can be read in, an invalid address, ports.
      argument = random.pick([0, 0x0a, 0x0b, 0x05, 0x0f]) << 24;
    } else if (kind === 'scsi') {
      codes = random.pick(SCSI_CODES) << 8;
    } else if (kind === 'fc') {
      codes = random.pick(FC_CODES);
    } else if (kind === 'sense') {
      const [key, code, qualifier] = random.pick(SENSES);
      flags = 0x80;
      codes = 0x02 << 8;
      argument = (key << 16) | (code << 8) | qualifier;
    } else {
      flags = random.pick([0x10, 0x20]);
    }
    const word = BigInt(((flags << 24) | codes) >>> 0) << 32n;
    if (await this.inject('status', argument, word, count)) {
      this.#counts.add(`status ${kind}`, count);
    }
  }

  async reset() {
    const milliseconds = this.#random.integer(1, 30);
    if (await this.inject('errorState', milliseconds)) await this.#recover();
  }

  /** Commands are not carried out for a while: some for so long that they count as hung. */
  async hold() {
    const milliseconds = this.#random.chance(0.25)
      ? this.#random.integer(200, 500)
      : this.#random.integer(1, 40);
    if (!(await this.inject('hold', 1))) return;
    await sleep(milliseconds);
    while (!(await this.inject('hold', 0))) await sleep(2);
  }

  async ports() {
    const up = this.#random.weighted([
      [3, 1],
      [3, 2],
      [1, 0],
    ]);
    if (!(await this.inject('ports', up))) return;
    await sleep(this.#random.integer(1, 60));
    while (!(await this.inject('ports', 3))) await sleep(2);
  }

  async slowSync() {
    await this.inject('slowSync', 0, 0n, this.#random.integer(1, 30));
  }

  /** Each costs the card four interrupts for good, as in the driver: a part of them at most. */
  async closedContext() {
    if (this.#counts.get('fault closedContext') >= MAX_CLOSED_CONTEXTS) return;
    await this.inject('closedContext');
  }
}
