import type { Command } from './command';

/** Faults kept for commands that have not completed yet. */
const MAX_FAULTS = 64;
/** A fault's address may be that of the page; the largest base page has 64 KiB. */
const PAGE_MASK = 0xffffn;

/**
 * Brings data storage events and commands together. When the AFU cannot translate the address of a
 * command's data, the command fails, and the kernel reports the address by an event, which comes
 * before the command's completion or after it.
 */
export class DataFaults {
  #addresses: bigint[] = [];
  readonly #waiting = new Map<Command, (address: bigint) => void>();

  /** A data storage event at `address`. */
  report(address: bigint): void {
    for (const [command, settle] of this.#waiting) {
      if (!concerns(address, command)) continue;
      settle(address);
      return;
    }
    this.#addresses.push(address);
    if (this.#addresses.length > MAX_FAULTS) this.#addresses.shift();
  }

  /** The address of an earlier event that concerns the command. Each event is for one command. */
  take(command: Command): bigint | undefined {
    const index = this.#addresses.findIndex((address) => concerns(address, command));
    return index < 0 ? undefined : this.#addresses.splice(index, 1)[0];
  }

  /** Calls `settle` at the next event that concerns the command, unless stop() is called before. */
  wait(command: Command, settle: (address: bigint) => void): void {
    this.#waiting.set(command, settle);
  }

  stop(command: Command): void {
    this.#waiting.delete(command);
  }
}

function concerns(address: bigint, { data }: Command): boolean {
  return (
    data.memory !== undefined &&
    address >= (data.address & ~PAGE_MASK) &&
    address < data.address + BigInt(data.length)
  );
}
