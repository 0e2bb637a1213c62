/** What the files of one backend share: the worker, what the daemon told, memory, and the contexts. */
import { OPERANDS_SIZE } from '../binding/operands';
import { AddressSpace } from '../emulation/address-space';
import { AllocatedMemory } from '../emulation/memory';
import type { Connection } from './connection';
import type { PslseContext } from './context';
import { Daemon } from './daemon';
import type { PslseSetup } from './options';
import { Pump } from './pump';

/** Bytes: what the daemon counts problem state areas in. */
const PAGE_SIZE = 4096;

/** The longest detach at the exit of the process, in milliseconds. */
const EXIT_TIMEOUT = 2000;

export class Shared {
  readonly setup: PslseSetup;
  readonly pump: Pump;
  readonly daemon: Daemon;
  readonly pageSize = PAGE_SIZE;
  readonly operands = new SharedArrayBuffer(OPERANDS_SIZE);
  readonly memory: { readonly addressSpace: AddressSpace; readonly allocated: AllocatedMemory };
  readonly contexts = new Set<PslseContext>();
  readonly #connections = new Set<Connection>();

  constructor(setup: PslseSetup) {
    this.setup = setup;
    this.pump = new Pump({ host: setup.host, port: setup.port }, setup.connectTimeout);
    this.daemon = new Daemon(this.pump, setup);
    const addressSpace = new AddressSpace(PAGE_SIZE);
    const host = { addressSpace, operands: this.operands, poke: () => this.pump.poll() };
    this.memory = { addressSpace, allocated: new AllocatedMemory(host) };
  }

  connectionBegan(connection: Connection): void {
    if (this.#connections.size === 0) process.on('exit', this.#onExit);
    this.#connections.add(connection);
  }

  connectionEnded(connection: Connection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) process.off('exit', this.#onExit);
  }

  /** A context of a directed AFU that is not detached stays taken until the daemon is restarted. */
  readonly #onExit = (): void => {
    for (const connection of this.#connections) {
      this.pump.callSync(connection.detach(Math.min(EXIT_TIMEOUT, this.setup.detachTimeout)));
    }
  };
}
