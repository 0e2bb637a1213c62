/** What ends a command before it is done: a signal, or standard output that takes no more. */
import { constants } from 'node:os';
import { EXIT_CODES } from './failure';

const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;
type Received = (typeof SIGNALS)[number];

/**
 * Milliseconds within which a signal that comes again is the same request: at Ctrl-C under npx the
 * terminal sends SIGINT, and npm sends it once more.
 */
const SAME_REQUEST = 1000;

/**
 * Aborts `signal` at the first SIGHUP, SIGINT or SIGTERM, so that the command can undo what it has
 * begun. A second SIGINT or SIGTERM ends the process at once, for a command that hangs while it
 * undoes something.
 */
export class Interruption {
  readonly #controller = new AbortController();
  #received: { readonly name: Received; readonly at: number } | undefined;
  #outputError: NodeJS.ErrnoException | undefined;

  constructor() {
    for (const name of SIGNALS) process.on(name, () => this.#receive(name));
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      this.#outputError ??= error;
      this.#controller.abort(error);
    });
    // A message that cannot be printed changes nothing.
    process.stderr.on('error', () => {});
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Why standard output takes no more. */
  get outputError(): NodeJS.ErrnoException | undefined {
    return this.#outputError;
  }

  /** The reader of a pipe (`| head`) has ended, which is no failure. */
  get readerEnded(): boolean {
    return this.#outputError?.code === 'EPIPE';
  }

  /** The exit code of a command that was aborted: as in a shell, 128 and the signal's number. */
  get exitCode(): number {
    if (this.#received !== undefined) return 128 + constants.signals[this.#received.name];
    return this.readerEnded ? EXIT_CODES.ok : EXIT_CODES.failure;
  }

  /** Resolves when everything printed so far has been written, or could not be. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      process.stdout.write('', () => setImmediate(resolve));
    });
  }

  #receive(name: Received): void {
    const first = this.#received;
    this.#received ??= { name, at: performance.now() };
    if (first === undefined) {
      this.#controller.abort();
    } else if (name !== 'SIGHUP' && performance.now() - first.at > SAME_REQUEST) {
      process.removeAllListeners(name);
      process.kill(process.pid, name);
    }
  }
}
