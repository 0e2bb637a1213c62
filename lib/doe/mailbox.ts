/** One DOE mailbox: a DOE capability of a PCI function, as a program uses it. */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkInteger } from '../shared/checks';
import { type CxlError, rangeError, systemError, typeError, valueError } from '../shared/errors';
import type { DoeCapability } from './capability';
import { type DiscoveredProtocol, discover } from './discovery';
import {
  abort,
  maxPayloadBytes,
  type Phase,
  type Protocol,
  protocolName,
  responseTimeoutMs,
  transact,
} from './exchange';
import type { ConfigSpace, Owner, PciBus } from './pci';
import { MailboxRegisters, registersLength } from './registers';
import { Turns } from './turns';

/** A process holds the lock for one exchange: a second at most, unless it moves a megabyte. */
const lockTimeoutMs = 10_000;

export interface ExchangeOptions {
  /** Gives up: the exchange is aborted, the mailbox left idle, and the call rejects (AbortError). */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds the device may take to answer, 1 to 2^31 - 1. Default 1000 (PCIe 6.0 §6.30.2). */
  readonly timeoutMs?: number | undefined;
  /** Use the mailbox although a driver is bound to the device. Default false. */
  readonly force?: boolean | undefined;
  /**
   * Bytes of payload an answer may have, 0 to 2^20 - 8; a longer one is drained and refused.
   * Default: all that a data object can have.
   */
  readonly maxLength?: number | undefined;
}

/** What every object for one capability shares, however often it was found. */
export class MailboxState {
  readonly turns = new Turns();
  phase: Phase = 'idle';
  /** Why it is dead. */
  dead: CxlError | undefined;
}

/** A DOE mailbox of a PCI function, found by Doe: data objects in, data objects out. */
export class DoeMailbox {
  /** PCI address of the function, in full: `0000:0d:00.0`. */
  readonly address: string;
  /** Of the capability in configuration space, in bytes. */
  readonly offset: number;
  /** Capability version: 2 and later speak discovery version 2. */
  readonly version: number;
  /** Whether the device could interrupt, and by which message; user space polls all the same. */
  readonly interrupt: DoeCapability['interrupt'];
  /** Who else may be using the mailbox, as of when it was found. */
  readonly owner: Owner;
  readonly #bus: PciBus;
  readonly #state: MailboxState;
  readonly #path: string;

  /** @internal Found by Doe; not made by programs. */
  constructor(
    bus: PciBus,
    address: string,
    capability: DoeCapability,
    owner: Owner,
    state: MailboxState,
  ) {
    this.#bus = bus;
    this.#state = state;
    this.#path = bus.path(address);
    this.address = address;
    this.offset = capability.offset;
    this.version = capability.version;
    this.interrupt = capability.interrupt;
    this.owner = owner;
  }

  /** `0000:0d:00.0+190`: the function and the capability. */
  get name(): string {
    return `${this.address}+${this.offset.toString(16)}`;
  }

  /** Where an exchange of this process stands; `dead` after an abort had no effect. */
  get phase(): Phase {
    return this.#state.phase;
  }

  /**
   * Sends a data object and gives the payload of the answer. Calls queue per mailbox; other
   * processes are kept out by a lock on the capability's registers.
   * @param payload whole little-endian dwords, up to 2^20 - 8 bytes
   * @throws CxlError EBUSY (a driver is bound and `force` is not set, or somebody else is using
   *   the mailbox), EIO (the device reported an error, or the mailbox is dead), ETIMEDOUT,
   *   EPROTO (an answer of another protocol), EBADMSG (shorter or longer than it says),
   *   EOVERFLOW (longer than maxLength), ENODEV (the device is gone), EACCES, EPERM
   */
  async exchange(
    protocol: Protocol,
    payload: Uint8Array = new Uint8Array(),
    options: ExchangeOptions = {},
  ): Promise<Buffer> {
    const wanted = checkProtocol(protocol);
    const request = checkPayload(payload);
    const { signal, timeoutMs, maxLength } = checkOptions(options);
    const end = await this.#state.turns.take(signal);
    try {
      const answer = await this.#locked(options, (registers) =>
        transact({
          registers,
          protocol: wanted,
          payload: request,
          limit: maxLength,
          timeoutMs,
          signal,
          path: this.#path,
          enter: this.#enter,
        }),
      );
      if (answer.length > answer.payload.length) {
        const hint = `the answer has ${answer.length} bytes, more than the ${maxLength} allowed`;
        throw systemError('EOVERFLOW', 'doe(receive)', this.#path, hint);
      }
      return answer.payload;
    } finally {
      end();
    }
  }

  /**
   * The protocols the mailbox speaks, in the device's order: an exchange each.
   * @throws what exchange() throws; EBADMSG when the device's list makes no sense
   */
  discover(options: ExchangeOptions = {}): Promise<DiscoveredProtocol[]> {
    return discover(this, options);
  }

  /**
   * Aborts and takes the mailbox back into use, also one declared dead (after a reset of the
   * function, say). Refused while busy with somebody else's exchange.
   * @throws CxlError EBUSY, EIO
   */
  async reset(options: Pick<ExchangeOptions, 'signal' | 'force'> = {}): Promise<void> {
    const end = await this.#state.turns.take(options.signal);
    const { dead } = this.#state;
    this.#state.dead = undefined;
    try {
      await this.#locked(options, async (registers) => {
        // A dead mailbox stays busy with what was ours.
        if (dead === undefined && registers.status().busy) throw this.#busy();
        await abort({ registers, path: this.#path, enter: this.#enter });
      });
    } catch (error) {
      this.#state.dead ??= dead;
      if (this.#state.dead !== undefined) this.#state.phase = 'dead';
      throw error;
    } finally {
      end();
    }
  }

  readonly #enter = (phase: Phase, why?: CxlError): void => {
    this.#state.phase = phase;
    if (phase === 'dead') this.#state.dead = why;
  };

  #busy(): CxlError {
    return systemError('EBUSY', 'doe(reset)', this.#path, 'somebody else is using the mailbox');
  }

  async #locked<T>(
    options: ExchangeOptions,
    use: (registers: MailboxRegisters) => Promise<T>,
  ): Promise<T> {
    const { dead } = this.#state;
    if (dead !== undefined) {
      const hint = `the mailbox is dead since: ${dead.message}`;
      throw systemError(dead.errno, 'doe(dead)', this.#path, hint);
    }
    await this.#claim(options);
    const space = this.#bus.open(this.address, 'write');
    if (typeof space === 'number') {
      const hint = space === -2 ? 'no such PCI function; is the device gone?' : undefined;
      const advice = hint ?? 'configuration space is writable by root alone';
      throw systemError(space, 'open', this.#path, advice);
    }
    try {
      await this.#lock(space, options.signal);
      return await use(new MailboxRegisters(space, this.offset, this.#path));
    } finally {
      space.unlock(this.offset, registersLength);
      space.close();
    }
  }

  /** The unit of sharing is the protocol, the mailbox is shared: a driver may be at work on it. */
  async #claim({ force }: ExchangeOptions): Promise<void> {
    if (force === true) return;
    const driver = await this.#bus.driver(this.address);
    if (driver === undefined) return;
    const hint = `the driver ${driver} is bound to the device and may be using its mailboxes: unbind it, or pass force`;
    throw systemError('EBUSY', 'doe(claim)', this.#path, hint);
  }

  async #lock(space: ConfigSpace, signal: AbortSignal | undefined): Promise<void> {
    const deadline = performance.now() + lockTimeoutMs;
    for (;;) {
      const answer = space.lock(this.offset, registersLength);
      if (answer >= 0) return;
      if (answer !== -11 && answer !== -13) {
        throw systemError(answer, 'fcntl(F_OFD_SETLK)', this.#path, lockHint(answer));
      }
      if (performance.now() >= deadline) {
        const hint = `another process has held the mailbox for ${lockTimeoutMs / 1000} s`;
        throw systemError('ETIMEDOUT', 'fcntl(F_OFD_SETLK)', this.#path, hint);
      }
      // Unevenly, so that two who wait do not keep meeting.
      await sleep(1 + Math.random() * 7, undefined, signal === undefined ? {} : { signal });
    }
  }
}

function lockHint(errno: number): string | undefined {
  return errno === -38 ? 'without the addon no lock can be had, and no mailbox used' : undefined;
}

function checkProtocol(protocol: Protocol): Protocol {
  if (typeof protocol !== 'object' || protocol === null) {
    throw typeError('protocol', 'an object { vendorId, type }', protocol);
  }
  return {
    vendorId: checkInteger('protocol.vendorId', protocol.vendorId, 0, 0xffff),
    type: checkInteger('protocol.type', protocol.type, 0, 0xff),
  };
}

/** A copy: the caller may go on with its buffer while the call waits for its turn. */
function checkPayload(payload: Uint8Array): Buffer {
  if (!(payload instanceof Uint8Array)) throw typeError('payload', 'a Uint8Array', payload);
  if (payload.length > maxPayloadBytes) {
    throw rangeError('payload', `at most ${maxPayloadBytes} bytes`, `${payload.length} bytes`);
  }
  if (payload.length % 4 !== 0) {
    throw rangeError('payload', 'a whole number of dwords', `${payload.length} bytes`);
  }
  return Buffer.from(payload);
}

function checkOptions({ signal, timeoutMs, maxLength }: ExchangeOptions) {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw valueError('options.signal', 'an AbortSignal', signal);
  }
  return {
    signal,
    timeoutMs: checkInteger('options.timeoutMs', timeoutMs ?? responseTimeoutMs, 1, 2 ** 31 - 1),
    maxLength: checkInteger('options.maxLength', maxLength ?? maxPayloadBytes, 0, maxPayloadBytes),
  };
}

/** @throws CxlError EOPNOTSUPP when discovery does not list the protocol */
export async function requireProtocol(
  mailbox: DoeMailbox,
  protocol: Protocol,
  options: ExchangeOptions,
): Promise<void> {
  const offered = await mailbox.discover(options);
  if (offered.some((p) => p.vendorId === protocol.vendorId && p.type === protocol.type)) return;
  const list = offered.map(protocolName).join(', ');
  const hint = `${mailbox.name} does not speak ${protocolName(protocol)}; it offers ${list || 'nothing'}`;
  throw systemError('EOPNOTSUPP', 'doe(discover)', mailbox.name, hint);
}
