import type { CxlError } from '../shared/errors';
import type { Command } from './command';
import type { CommandTable } from './command-table';

interface DrainWait {
  readonly matches: (command: Command) => boolean;
  /** Commands that match are not issued again: they fail with this. */
  readonly refusal: CxlError | undefined;
  readonly resolve: () => void;
  readonly reject: (error: CxlError) => void;
}

/** Waits until commands have left the AFU: of a whole queue, of a resource, or of a part of one. */
export class DrainWaits {
  readonly #table: CommandTable;
  #waits: DrainWait[] = [];

  constructor(table: CommandTable) {
    this.#table = table;
  }

  /** Resolves when the queue has no command that matches. */
  wait(matches: (command: Command) => boolean, refusal?: CxlError): Promise<void> {
    if (!this.#any(matches)) return Promise.resolve();
    return new Promise<void>((resolve, reject) => {
      this.#waits.push({ matches, refusal, resolve, reject });
    });
  }

  /** Why a command must not be issued again. */
  refusal(command: Command): CxlError | undefined {
    return this.#waits.find((wait) => wait.refusal !== undefined && wait.matches(command))?.refusal;
  }

  /** To be called when commands have left. */
  check(): void {
    if (this.#waits.length === 0) return;
    const over = this.#waits.filter((wait) => !this.#any(wait.matches));
    if (over.length === 0) return;
    this.#waits = this.#waits.filter((wait) => !over.includes(wait));
    for (const wait of over) wait.resolve();
  }

  /** Ends all waits: no command will leave the AFU any more, or it has failed. */
  end(error?: CxlError): void {
    const waits = this.#waits;
    this.#waits = [];
    for (const wait of waits) {
      if (error === undefined) wait.resolve();
      else wait.reject(error);
    }
  }

  #any(matches: (command: Command) => boolean): boolean {
    if (this.#table.empty) return false;
    return (
      this.#table.commandsInFlight().some(matches) || this.#table.commandsNotIssued().some(matches)
    );
  }
}
