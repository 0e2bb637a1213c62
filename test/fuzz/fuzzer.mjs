// The loop: inputs that reach new code, or a new outcome, are kept and changed again.
import { createHash } from 'node:crypto';
import { mutate } from './mutate.mjs';

const LARGEST_BATCH = 256;

/** A name for an input in the corpus. */
export function nameOf(bytes) {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 12);
}

export class Fuzzer {
  executions = 0;
  /** Inputs, each of which reached something that none before it had. */
  corpus = [];
  /** Those of them that ran code which none before had run. */
  reaching = new Set();
  /** What the target answered: the kinds of outcomes that there were. */
  outcomes = new Set();
  #target;
  #coverage;
  #random;
  #dictionary;
  #watch;
  #batch = 8;

  /** @param watch is told each input before it is run, and undefined when nothing runs */
  constructor({ target, coverage, random, dictionary, watch }) {
    this.#target = target;
    this.#coverage = coverage;
    this.#random = random;
    this.#dictionary = dictionary;
    this.#watch = watch;
  }

  /** Runs an input once. What it throws is a finding. */
  async run(bytes) {
    this.#watch(bytes);
    this.executions += 1;
    try {
      // A copy: what the target keeps or changes must not be the corpus.
      let outcome = this.#target.run(Buffer.from(bytes));
      if (outcome instanceof Promise) outcome = await outcome;
      return String(outcome);
    } catch (error) {
      throw Object.assign(new Error(`finding: ${error.stack}`), { input: bytes, cause: error });
    } finally {
      this.#watch(undefined);
    }
  }

  /** Runs inputs that are known, and keeps those that add something. The smallest come first. */
  async seed(inputs) {
    const sorted = [...inputs].sort((a, b) => a.length - b.length);
    for (const bytes of sorted) await this.#try(bytes);
    if (this.corpus.length === 0) await this.#try(Buffer.alloc(16));
    if (this.corpus.length === 0) this.corpus.push(Buffer.alloc(16));
  }

  async #try(bytes) {
    const isNew = this.#isNewOutcome(await this.run(bytes));
    const reaches = this.#coverage.take().length > 0;
    if (reaches) this.reaching.add(bytes);
    if (reaches || isNew) this.corpus.push(bytes);
  }

  #isNewOutcome(outcome) {
    const isNew = !this.outcomes.has(outcome);
    this.outcomes.add(outcome);
    return isNew;
  }

  /**
   * Runs a batch of new inputs. Taking the coverage costs as much as many executions: it is taken
   * after the batch, and only when something is new the batch is run again, one by one.
   */
  async step() {
    const batch = Array.from({ length: this.#batch }, () => this.#next());
    const interesting = new Set();
    for (const bytes of batch) {
      if (this.#isNewOutcome(await this.run(bytes))) interesting.add(bytes);
    }
    let fresh = this.#coverage.take();
    this.#batch = Math.min(LARGEST_BATCH, fresh.length > 0 ? 8 : this.#batch * 2);
    for (const bytes of batch) {
      if (fresh.length === 0) break;
      await this.run(bytes);
      const reached = new Set(this.#coverage.among(fresh));
      if (reached.size === 0) continue;
      interesting.add(bytes);
      this.reaching.add(bytes);
      fresh = fresh.filter((position) => !reached.has(position));
    }
    this.corpus.push(...interesting);
  }

  #next() {
    const random = this.#random;
    // What was found last leads on.
    const recent = this.corpus.slice(-8);
    const known = random.pick(random.chance(0.3) ? recent : this.corpus);
    return mutate(known, {
      random,
      dictionary: this.#dictionary,
      other: random.pick(this.corpus),
      maxLength: this.#target.maxLength,
    });
  }

  /** The smallest input that still has the same finding, by leaving out and zeroing parts. */
  async shrink(bytes, isSame) {
    let smallest = bytes;
    for (let size = Math.max(1, bytes.length >> 1); size >= 1; size >>= 1) {
      for (let at = 0; at < smallest.length; ) {
        const without = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + size)]);
        if (await this.#fails(without, isSame)) smallest = without;
        else at += size;
      }
    }
    return smallest;
  }

  async #fails(bytes, isSame) {
    try {
      await this.run(bytes);
      return false;
    } catch (error) {
      return isSame(error.cause);
    }
  }
}
