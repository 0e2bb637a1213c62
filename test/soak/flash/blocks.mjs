// What each block may contain. Every write of a block has a generation of its own; the block says
// where it belongs, which generation it is, and is filled with numbers that depend on both.
import { Violation } from '../counts.mjs';

const MAGIC = 0x5eed_b10c;
const HEADER = 4;
/** Unmaps of a block to which a read that is in flight can still go back. */
const RECENT = 32;

/** One block of an area. */
class Entry {
  constructor(known) {
    /** The last generation that was issued. */
    this.issued = 0;
    /** No earlier generation may be read any more: it was acknowledged, or has been read. */
    this.floor = 0;
    /** A write is in flight, or may be. Others keep off: what is in flight together has no order. */
    this.locked = false;
    /** Before the first acknowledged write anything may be read. */
    this.known = known;
    /** Generations that are unmaps: the block reads as zeros. */
    this.zeros = [];
  }
}

/** The blocks of one LUN, or of one virtual LUN: its own `number` is in each of them. */
export class Area {
  #entries = new Map();

  constructor(number, blockSize) {
    this.number = number;
    this.blockSize = blockSize;
  }

  entry(lba) {
    let entry = this.#entries.get(lba);
    if (entry === undefined) {
      entry = new Entry(false);
      this.#entries.set(lba, entry);
    }
    return entry;
  }

  /** The blocks that were written, with their numbers. */
  get entries() {
    return this.#entries.entries();
  }

  /** Blocks from `lba` on were freed: what they contain later is not known. */
  forget(lba) {
    for (const at of [...this.#entries.keys()]) {
      if (at >= lba) this.#entries.delete(at);
    }
  }

  /** Locks a range for a write, or with `zeros` for an unmap. Undefined when a part of it is locked. */
  lock(lba, count, zeros = false) {
    const entries = Array.from({ length: count }, (_, i) => this.entry(lba + i));
    if (entries.some(({ locked }) => locked)) return undefined;
    return entries.map((entry) => {
      entry.locked = true;
      entry.issued += 1;
      if (zeros) entry.zeros.push(entry.issued);
      return { entry, generation: entry.issued };
    });
  }

  fill(bytes, lba, generation) {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, this.blockSize / 4);
    words[0] = MAGIC;
    words[1] = this.number;
    words[2] = lba;
    words[3] = generation;
    let value = this.#first(lba, generation);
    for (let i = HEADER; i < words.length; i += 1) {
      words[i] = value;
      value = (value + 0x9e3779b1) >>> 0;
    }
  }

  #first(lba, generation) {
    const mixed = Math.imul(this.number, 0x85ebca6b) ^ Math.imul(lba, 0xc2b2ae35);
    return (mixed ^ Math.imul(generation, 0x27d4eb2f)) >>> 0;
  }

  /** Checks a block that was read. `since`: the floor when the read began. */
  check(bytes, lba, entry, since, where) {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, this.blockSize / 4);
    if (words[0] === 0) {
      const generation = entry.zeros.find((each) => each >= since);
      if (generation === undefined || words.some((word) => word !== 0)) {
        throw new Violation(`${where}: zeros, generation ${since} to ${entry.issued} expected`);
      }
      entry.floor = Math.max(entry.floor, generation);
      return;
    }
    if (words[0] !== MAGIC || words[1] !== this.number || words[2] !== lba) {
      const found = [...words.subarray(0, HEADER)].map((word) => word.toString(16)).join(' ');
      throw new Violation(`${where}: a block that was never written there: ${found}`);
    }
    const generation = words[3];
    if (generation < since) {
      throw new Violation(`${where}: generation ${generation}, though ${since} was acknowledged`);
    }
    if (generation > entry.issued) {
      throw new Violation(`${where}: generation ${generation} of ${entry.issued} that were issued`);
    }
    let value = this.#first(lba, generation);
    for (let i = HEADER; i < words.length; i += 1) {
      if (words[i] !== value) {
        throw new Violation(`${where}: generation ${generation} is torn at byte ${i * 4}`);
      }
      value = (value + 0x9e3779b1) >>> 0;
    }
    entry.floor = Math.max(entry.floor, generation);
  }
}

/** Ends the locks of a write. */
export function acknowledge(locks) {
  for (const { entry, generation } of locks) {
    entry.floor = Math.max(entry.floor, generation);
    // Reads that began before still need the earlier ones.
    if (entry.zeros.length > 2 * RECENT) entry.zeros.splice(0, RECENT);
    entry.known = true;
    entry.locked = false;
  }
}

/** The write failed: it may have happened or not, but nothing of it runs any more. */
export function giveUp(locks) {
  for (const { entry } of locks) entry.locked = false;
}
