// Counters by name, the last events, and the first thing that went wrong.

const EVENTS = 40;

export class Counts {
  #counts = new Map();
  #events = [];

  /** Keeps what happened when, to be shown when something goes wrong. */
  note(text) {
    this.#events.push(`${Math.round(performance.now())} ms: ${text}`);
    if (this.#events.length > EVENTS) this.#events.shift();
  }

  get events() {
    return this.#events;
  }

  add(name, number = 1) {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + number);
  }

  /** Those that another thread or process has counted, by name. */
  addAll(counts) {
    for (const [name, number] of Object.entries(counts)) this.add(name, number);
  }

  get(name) {
    return this.#counts.get(name) ?? 0;
  }

  /** All of them, by name. */
  all() {
    return Object.fromEntries([...this.#counts].sort(([one], [other]) => (one < other ? -1 : 1)));
  }

  /** Those that begin with `prefix`, without it, the most frequent first, and so many at most. */
  text(prefix, most = Number.POSITIVE_INFINITY) {
    return [...this.#counts]
      .filter(([name]) => name.startsWith(prefix))
      .sort((one, other) => other[1] - one[1])
      .slice(0, most)
      .map(([name, count]) => `${name.slice(prefix.length)} ${count}`)
      .join(', ');
  }
}

/** What must never happen. */
export class Violation extends Error {
  name = 'Violation';
}
