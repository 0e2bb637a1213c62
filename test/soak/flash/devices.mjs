// The block devices of a storm: contexts, a device over all paths, virtual LUNs. Each can be closed
// and opened again while transfers are in flight.
import { setTimeout as sleep } from 'node:timers/promises';
import { listLuns, openBlockDevice, openLun } from 'node-cxl/flash';
import { Violation } from '../counts.mjs';
import { Area } from './blocks.mjs';

/** Blocks of the whole LUN that the storm uses: few, so that each is used often. */
export const SPAN = 4096;
const CHUNK = 65536;
/** Attempts to open something, with pauses, before it counts as lost. */
const ATTEMPTS = 400;

const ATTACH = { retries: 8, watchInterval: 20, responseTimeout: 250 };

/** One device that lanes use, until it is replaced. */
export class Target {
  /** Set when it is being closed: what is in flight fails, and is over when this settles. */
  closed;
  users = 0;
  tainted = [];

  constructor(kind, area, device, blocks, close) {
    this.kind = kind;
    this.area = area;
    this.device = device;
    /** Of the area, those that transfers use: the first of them, and so many. */
    this.blocks = blocks;
    this.close = close;
  }
}

export class Devices {
  targets = [];
  #system;
  #random;
  #counts;
  #areas = 1;
  #luns = [];
  #replacing = new Set();
  stopped = false;

  constructor(system, random, counts) {
    this.#system = system;
    this.#random = random;
    this.#counts = counts;
  }

  async open() {
    const found = await listLuns({ system: this.#system });
    const wwids = [...new Set(found.map(({ wwid }) => wwid))];
    const paths = wwids.map((wwid) => found.filter((lun) => lun.wwid === wwid));
    this.paths = paths;
    const whole = paths[0];
    this.wwid = whole[0].wwid;
    // One area: all of these reach the same LUN.
    this.wholeArea ??= new Area(this.#areas++, 4096);
    this.control = await this.#lun(paths[2][0].generic);
    this.direct = await this.#lun(whole[0].generic);
    this.chunked = await this.#lun(paths[1][0].generic);
    this.targets = [];
    for (const options of [
      { completion: 'interrupt', onReset: 'retry' },
      { completion: 'poll', onReset: 'fail', queueDepth: 32 },
      { completion: 'interrupt', onReset: 'fail', bounceBytes: 8192 },
    ]) {
      this.targets.push(await this.#openDirect(options));
    }
    this.targets.push(await this.#openPaths());
    await this.#openVirtuals();
  }

  async #lun(node) {
    const lun = await openLun(node, { system: this.#system });
    this.#luns.push(lun);
    await lun.enableSuperpipe();
    return lun;
  }

  async #openDirect(options) {
    const context = await this.direct.attach({ ...ATTACH, ...options });
    const resource = await context.openDirect().catch(async (error) => {
      await context.close().catch(() => undefined);
      throw error;
    });
    const target = new Target('direct', this.wholeArea, resource.blockDevice(), SPAN, () =>
      context.close(),
    );
    target.context = context;
    target.reopen = () => this.#openDirect(options);
    return target;
  }

  async #openPaths() {
    const device = await openBlockDevice({
      ...ATTACH,
      retries: 2,
      system: this.#system,
      wwid: this.wwid,
      onPathChange: () => this.#counts.add('event path change'),
    });
    const target = new Target('paths', this.wholeArea, device, SPAN, () => device.close());
    target.reopen = () => this.#openPaths();
    return target;
  }

  /** Several virtual LUNs in one context, which come and go. */
  async #openVirtuals() {
    const context = await this.chunked.attach(ATTACH);
    this.virtualContext = context;
    try {
      this.targets.push(await this.#openVirtual(context));
    } catch (error) {
      await context.close().catch(() => undefined);
      throw error;
    }
  }

  async #openVirtual(context) {
    const resource = await context.openVirtual({ blocks: CHUNK });
    const target = new Target(
      'virtual',
      new Area(this.#areas++, resource.blockSize),
      resource.blockDevice(),
      Number(resource.blocks),
      () => (target.closeContext ? context.close() : resource.release()),
    );
    this.#counts.note(`opened area ${target.area.number}, ${resource.blocks} blocks`);
    target.resource = resource;
    target.context = context;
    target.reopen = async () => {
      if (!target.closeContext) return this.#openVirtual(context);
      const fresh = await this.chunked.attach(ATTACH);
      try {
        return await this.#openVirtual(fresh);
      } catch (error) {
        await fresh.close().catch(() => undefined);
        throw error;
      }
    };
    return target;
  }

  /** Closes a device with what is in flight, and opens another in its place. */
  async replace(target) {
    if (target.closed !== undefined || this.stopped) return;
    target.closeContext = target.kind === 'virtual' && this.#random.chance(0.4);
    target.closed = this.#close(target);
    const replacement = target.closed.then(() => this.#reopen(target));
    this.#replacing.add(replacement);
    try {
      await replacement;
    } finally {
      this.#replacing.delete(replacement);
    }
  }

  async #close(target) {
    for (let attempt = 0; ; attempt += 1) {
      try {
        this.#counts.note(`close ${target.kind}${target.closeContext ? ' with its context' : ''}`);
        await target.close();
        this.#counts.note(`closed ${target.kind}`);
        return;
      } catch (error) {
        this.#counts.add(`close failed ${error.code ?? error.name}`);
        // A release that failed can be repeated; a context is closed in any case.
        if (target.kind !== 'virtual' || target.closeContext) return;
        if (attempt > ATTEMPTS) throw error;
        await sleep(10);
      }
    }
  }

  async #reopen(target) {
    const at = this.targets.indexOf(target);
    for (let attempt = 0; ; attempt += 1) {
      if (this.stopped) return;
      try {
        const fresh = await target.reopen();
        this.targets[at] = fresh;
        return;
      } catch (error) {
        this.#counts.add(`open failed ${error.code ?? error.name}`);
        if (error.code === undefined) throw error;
        if (attempt > ATTEMPTS) {
          throw new Violation(`a ${target.kind} device cannot be opened again: ${error.message}`);
        }
        // A context that could not be recovered ends its resources.
        if (target.kind === 'virtual') await this.#recover(target);
        await sleep(5);
      }
    }
  }

  /** The adapter was reset while its context had nothing in flight by which it would notice. */
  async #recover(target) {
    if (target.closeContext) return;
    try {
      await target.context.recover();
    } catch (error) {
      this.#counts.add(`recover failed ${error.code ?? error.name}`);
      // A context that is gone ends its resources.
      await target.context.close().catch(() => undefined);
      target.closeContext = true;
    }
  }

  /** Changes the size of a virtual LUN with what is in flight. */
  async resize(target, chunks) {
    const { resource, area } = target;
    const blocks = chunks * CHUNK;
    this.#counts.note(`resize area ${area.number} to ${chunks} chunks`);
    const before = Number(resource.blocks);
    // The lanes keep to the smaller part until it is known what there is.
    target.blocks = Math.min(target.blocks, Math.max(blocks, CHUNK / 64));
    try {
      await resource.resize(Math.max(blocks, CHUNK));
      this.#counts.add('resize ok');
    } catch (error) {
      this.#counts.add(`resize failed ${error.code ?? error.name}`);
      if (error.code === undefined) throw error;
    }
    const now = Number(resource.blocks);
    this.#counts.note(`resized area ${area.number} to ${now} blocks`);
    // A shrink that failed may have freed blocks all the same.
    area.forget(Math.min(before, now, Math.max(blocks, CHUNK)));
    if (target.closed === undefined) target.blocks = now;
  }

  /** Resolves when nothing is being replaced. */
  async steady() {
    await Promise.all(this.#replacing);
  }

  async close() {
    this.stopped = true;
    await Promise.allSettled(this.#replacing);
    for (const target of this.targets) {
      if (target.closed !== undefined) await target.closed;
      else await target.close();
      if (target.kind === 'virtual') await target.context.close();
    }
    this.targets = [];
    for (const lun of this.#luns.splice(0)) {
      if (lun !== undefined) {
        await lun.disableSuperpipe();
        await lun.close();
      }
    }
    this.stopped = false;
  }
}
