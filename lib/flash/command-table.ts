/**
 * Where each unsettled command of a queue is: in one place at any instant. Every change of place is
 * a method of this class, and none of them can fail halfway.
 *
 * ```
 *            wait()             issue()
 *   (none) ─────────> waiting ──────────> in-flight
 *     │ ^                │                    │
 *     │ └────────────────┴─────── take() ─────┤
 *     └──────────────> delayed ───────────────┘
 *            delay()
 * ```
 */
import type { Command, Priority } from './command';

/** Commands in order, linked through themselves: any of them is removed without a search. */
class CommandList {
  first: Command | undefined;
  #last: Command | undefined;

  append(command: Command): void {
    command.previous = this.#last;
    if (this.#last === undefined) this.first = command;
    else this.#last.next = command;
    this.#last = command;
  }

  prepend(command: Command): void {
    command.next = this.first;
    if (this.first === undefined) this.#last = command;
    else this.first.previous = command;
    this.first = command;
  }

  remove(command: Command): void {
    const { next, previous } = command;
    if (previous === undefined) this.first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    command.next = undefined;
    command.previous = undefined;
  }
}

export class CommandTable {
  readonly #lists: Readonly<Record<Priority, CommandList>> = {
    high: new CommandList(),
    normal: new CommandList(),
    low: new CommandList(),
  };
  readonly #slots: (Command | undefined)[];
  readonly #freeSlots: number[] = [];
  readonly #delayed = new Set<Command>();
  #waiting = 0;
  #inFlight = 0;

  constructor(depth: number) {
    this.#slots = new Array(depth).fill(undefined);
    for (let slot = depth - 1; slot >= 0; slot -= 1) this.#freeSlots.push(slot);
  }

  get waiting(): number {
    return this.#waiting;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get delayed(): number {
    return this.#delayed.size;
  }

  get empty(): boolean {
    return this.#inFlight === 0 && this.#waiting === 0 && this.#delayed.size === 0;
  }

  get hasFreeSlot(): boolean {
    return this.#freeSlots.length > 0;
  }

  /** The command in flight in a slot. */
  at(slot: number): Command | undefined {
    return this.#slots[slot];
  }

  /** Appends a command that has no place to the waiting ones of its priority. */
  wait(command: Command): void {
    command.place = 'waiting';
    this.#lists[command.priority].append(command);
    this.#waiting += 1;
  }

  /** As wait(), before those that wait. */
  waitFirst(command: Command): void {
    command.place = 'waiting';
    this.#lists[command.priority].prepend(command);
    this.#waiting += 1;
  }

  /** Moves the first waiting command to a free slot: there must be one of each. */
  issue(): Command {
    const { high, normal, low } = this.#lists;
    const command = (high.first ?? normal.first ?? low.first) as Command;
    this.take(command);
    command.place = 'in-flight';
    command.slot = this.#freeSlots.pop() as number;
    this.#slots[command.slot] = command;
    this.#inFlight += 1;
    return command;
  }

  /** Delays a command that has no place, until `timer` or something else takes it. */
  delay(command: Command, timer: NodeJS.Timeout | undefined): void {
    command.place = 'delayed';
    command.timer = timer;
    this.#delayed.add(command);
  }

  /** Removes a command from its place: the caller moves or settles it. */
  take(command: Command): void {
    switch (command.place) {
      case 'waiting':
        this.#lists[command.priority].remove(command);
        this.#waiting -= 1;
        break;
      case 'in-flight':
        this.#slots[command.slot] = undefined;
        this.#freeSlots.push(command.slot);
        command.slot = -1;
        this.#inFlight -= 1;
        break;
      case 'delayed':
        clearTimeout(command.timer);
        command.timer = undefined;
        this.#delayed.delete(command);
        break;
      case 'none':
        break;
    }
    command.place = 'none';
  }

  commandsInFlight(): Command[] {
    return this.#slots.filter((command) => command !== undefined);
  }

  /** The commands that the AFU does not have, in the order in which they would be issued. */
  commandsNotIssued(): Command[] {
    const found: Command[] = [];
    const { high, normal, low } = this.#lists;
    for (const list of [high, normal, low]) {
      for (let command = list.first; command !== undefined; command = command.next) {
        found.push(command);
      }
    }
    found.push(...this.#delayed);
    return found;
  }
}
