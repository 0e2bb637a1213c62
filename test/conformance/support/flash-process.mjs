// What a process other than the test's own does on a flash adapter when it is asked to. On the
// mock it runs where the test does, with another process' view of the machine; over the addon
// it is the program of a child, asked by IPC. Answers are plain data.
import path from 'node:path';
import { openLun } from 'node-cxl/flash';

const size = 4096;

export class FlashUser {
  #system;
  #lun;
  #context;
  #resources = new Map();

  constructor(system) {
    this.#system = system;
  }

  async open(node) {
    this.#lun = await openLun(node, this.#system === undefined ? {} : { system: this.#system });
  }

  async attach(options) {
    this.#context = await this.#lun.attach(options);
    return this.#context.id;
  }

  token() {
    return this.#context.cloneToken();
  }

  async openVirtual(options) {
    return this.#keep(await this.#context.openVirtual(options));
  }

  async openDirect() {
    return this.#keep(await this.#context.openDirect());
  }

  async cloneFrom(token) {
    return (await this.#context.cloneFrom(token)).map((clone) => this.#keep(clone));
  }

  #keep(resource) {
    this.#resources.set(resource.handle, resource);
    return { handle: resource.handle, blocks: resource.blocks };
  }

  async release(handle) {
    await this.#resources.get(handle).release();
  }

  async resize(handle, blocks) {
    return (await this.#resources.get(handle).resize(blocks)).blocks;
  }

  async write(handle, lba, value) {
    const device = this.#resources.get(handle).blockDevice();
    await device.write(lba, new Uint8Array(size).fill(value));
  }

  /** The first byte of each block. */
  async read(handle, lba, count = 1) {
    const bytes = await this.#resources.get(handle).blockDevice().read(lba, count);
    return Array.from({ length: count }, (_, index) => bytes[index * size]);
  }

  isHealthy() {
    return this.#context.isHealthy();
  }

  async recover() {
    return (await this.#context.recover()).reset;
  }

  call(name, input) {
    return this.#lun.call(name, input);
  }

  async close() {
    await this.#context?.close();
    this.#context = undefined;
  }
}

function serve() {
  const user = new FlashUser();
  process.on('message', async ({ number, name, values }) => {
    try {
      process.send({ number, answer: await user[name](...values) });
    } catch (error) {
      const { code, message } = error;
      process.send({ number, error: { code, message } });
    }
  });
  // Its parent may have been killed.
  process.on('disconnect', () => process.exit());
  process.send('ready');
}

// By name: bundled with a test this is part of another program.
if (path.basename(process.argv[1] ?? '') === 'flash-process.mjs') serve();
