/** A command queue alone, whose AFU and recoveries do what a test says. */
import {
  Command,
  type CommandData,
  type CommandOwner,
  type Operation,
  type Priority,
  type QueueOptions,
} from '../../../lib/flash/command';
import { CommandQueue } from '../../../lib/flash/command-queue';
import type { Resource } from '../../../lib/flash/resource';
import type { Sense } from '../../../lib/flash/sense';
import { AfuScript, HeldMemory } from './afu-script';

const OPTIONS: QueueOptions = {
  completion: 'interrupt',
  depth: 4,
  bounceBytes: 4096,
  endian: 'big',
  squeue: false,
  retries: 0,
  onReset: 'retry',
  watchInterval: 1000,
  commandTimeout: 1000,
  responseTimeout: 10_000,
};

/** What became of a command: empty until it settles. */
export class Outcome implements CommandOwner {
  readonly errors: unknown[] = [];

  settled(error: unknown): void {
    this.errors.push(error);
  }

  /** The codes of the errors; `done` where there was none. */
  get codes(): string[] {
    return this.errors.map((error) => (error as { code: string } | undefined)?.code ?? 'done');
  }
}

interface CommandOptions {
  readonly name?: Operation;
  readonly priority?: Priority;
  /** Data that is copied; without it, in a Memory at `address`. */
  readonly bytes?: Uint8Array;
  readonly address?: bigint;
}

/** `room`: how many commands the AFU takes; as many as there are slots, unless a test says. */
export type ScriptOptions = Partial<QueueOptions> & { readonly room?: number };

export class QueueScript {
  readonly afu: AfuScript;
  readonly queue: CommandQueue;
  /** How often the queue has had its context recovered. */
  recoveries = 0;
  /** A recovery: without more it never ends. */
  onRecovery: () => Promise<unknown> = () => {
    this.queue.pause();
    return Promise.resolve();
  };
  /** What VERIFY was told of, and its answer. */
  readonly verified: (Sense | undefined)[] = [];
  verifies: Promise<boolean> = Promise.resolve(true);
  readonly resource = {
    handle: 1,
    lun: { path: '/dev/sg1' },
    memoryHolder: {},
    verifyUnitAttention: (sense: Sense | undefined) => {
      this.verified.push(sense);
      return this.verifies;
    },
  } as Resource;
  #lba = 0n;

  constructor(options: ScriptOptions = {}, prepare: (afu: AfuScript) => void = () => {}) {
    const all = { ...OPTIONS, ...options };
    this.afu = new AfuScript(options.room ?? all.depth, all.squeue);
    prepare(this.afu);
    const owner = this.afu.owner(() => {
      this.recoveries += 1;
      return this.onRecovery();
    });
    this.queue = new CommandQueue(this.afu.system as never, owner, all);
  }

  /** A recovery that succeeds: as FlashContext.recover(), without the driver. */
  async recover(reset: boolean): Promise<void> {
    this.queue.pause();
    if (reset) this.afu.lose();
    this.afu.recover();
    await this.queue.resume(reset);
    this.queue.proceed();
  }

  /** A command of one block, the next one of the resource. */
  command(owner: CommandOwner, options: CommandOptions = {}): Command {
    const { name = 'write', priority = 'normal', bytes, address = 0x1000n } = options;
    const data =
      bytes === undefined
        ? { bytes, memory: new HeldMemory(), address, length: 4096 }
        : { bytes, memory: undefined, address: 0n, length: bytes.length };
    const lba = this.#lba;
    this.#lba += 1n;
    return new Command(owner, this.resource, name, priority, lba, 1, data as CommandData);
  }

  submit(options: CommandOptions = {}): { readonly command: Command; readonly outcome: Outcome } {
    const outcome = new Outcome();
    const command = this.command(outcome, options);
    this.queue.submit([command]);
    return { command, outcome };
  }

  async close(): Promise<void> {
    await this.queue.close();
    this.queue.free();
  }
}
