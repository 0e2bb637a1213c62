/** One DOE mailbox: a DOE capability of a PCI function, as a program uses it. */
import { type InspectOptions, inspect } from 'node:util';
import type { ConfigSpace, Owner, PciBus } from '../binding/configuration-space';
import { checkSignal, sleep, throwIfAborted } from '../shared/abort';
import { DOE_EXCHANGE } from '../shared/channels';
import { checkBoolean, checkBytes, checkOptions } from '../shared/checks';
import { debug } from '../shared/debug';
import { ERRNOS } from '../shared/errno';
import { type CxlError, rangeError, systemError } from '../shared/errors';
import { shown } from '../shared/inspection';
import { Mutex } from '../shared/mutex';
import { Uncloneable } from '../shared/uncloneable';
import type { DoeCapability } from './capability';
import { type DiscoveredProtocol, discover } from './discovery';
import {
  abort,
  checkProtocol,
  MAX_PAYLOAD_BYTES,
  type Phase,
  type Protocol,
  protocolName,
  transact,
} from './exchange';
import {
  checkExchange,
  type ExchangeOptions,
  RESET_OPTIONS,
  type ResetMailboxOptions,
} from './options';
import { kernelUser } from './owner';
import { MailboxRegisters, REGISTERS_LENGTH, type Status } from './registers';

/**
 * Milliseconds to wait for the lock. Another process holds it for one exchange: about a second,
 * longer for a payload of a megabyte.
 */
const LOCK_TIMEOUT = 10_000;
/** Longest pause between two attempts to take the lock, in milliseconds. */
const MAX_LOCK_INTERVAL = 8;

/** State of one DOE capability, shared by all DoeMailbox objects for it. */
export class MailboxState {
  readonly mutex = new Mutex();
  phase: Phase = 'idle';
  /** Why the mailbox was declared dead. */
  dead: CxlError | undefined;
}

/**
 * A DOE mailbox of a PCI function, found by Doe.
 *
 * @example
 * import { doe, tableAccessProtocol } from 'node-cxl/doe';
 *
 * const mailbox = await doe.find('0000:0d:00.0', tableAccessProtocol);
 * const request = Buffer.alloc(4); // entry 0 of the table; whole dwords, little-endian
 * const answer = await mailbox.exchange(tableAccessProtocol, request, { timeout: 1000 });
 * console.log('a table of', answer.readUInt32LE(4), 'bytes'); // a table of 160 bytes
 */
export class DoeMailbox extends Uncloneable {
  /** PCI address of the function, in full: `0000:0d:00.0`. */
  readonly address: string;
  /** Offset of the capability in configuration space, in bytes. */
  readonly offset: number;
  /** Capability version. From 2 on, a device knows version 2 of discovery. */
  readonly version: number;
  /** Whether the device can interrupt, and by which message. This library polls anyway. */
  readonly interrupt: DoeCapability['interrupt'];
  /** Whether the device has the attention mechanism (after PCIe 6.0). This library does not use it. */
  readonly attention: boolean;
  /** Whether the device can send asynchronous messages (after PCIe 6.0). */
  readonly asyncMessages: boolean;
  /** Who else may be using the mailbox, as it was when the mailbox was found. */
  readonly owner: Owner;
  readonly #bus: PciBus;
  readonly #state: MailboxState;
  readonly #path: string;

  /** @internal Use Doe.mailboxes() or Doe.find(). */
  constructor(
    bus: PciBus,
    address: string,
    capability: DoeCapability,
    owner: Owner,
    state: MailboxState,
  ) {
    super();
    this.#bus = bus;
    this.#state = state;
    this.#path = bus.path(address);
    this.address = address;
    this.offset = capability.offset;
    this.version = capability.version;
    this.interrupt = capability.interrupt;
    this.attention = capability.attention;
    this.asyncMessages = capability.asyncMessages;
    this.owner = owner;
  }

  /** Address of the function and offset of the capability, such as `0000:0d:00.0+190`. */
  get name(): string {
    return `${this.address}+${this.offset.toString(16)}`;
  }

  /** What an exchange of this process is doing; `dead` after an abort that had no effect. */
  get phase(): Phase {
    return this.#state.phase;
  }

  /**
   * Sends a data object and returns the payload of the answer. Calls for one mailbox are served
   * one after the other, in their order; a lock on the capability's registers excludes other
   * processes that use this library.
   * @param payload whole 32-bit words, little-endian, up to 2^20 - 8 bytes
   * @throws CxlError EBUSY (the kernel uses the protocol and `force` is not set, or the mailbox is in use),
   *   EIO (the device reported an error, or the mailbox is dead), ETIMEDOUT (no answer, or the
   *   lock was not free within 10 s), EPROTO (an answer of another protocol), EBADMSG (an answer
   *   shorter or longer than its header says), EOVERFLOW (longer than maxLength), ENODEV (the
   *   device is gone), ENOSYS (no addon, so no lock), EACCES, EPERM; AbortError
   */
  async exchange(
    protocol: Protocol,
    payload: Uint8Array = new Uint8Array(),
    options: ExchangeOptions = {},
  ): Promise<Buffer> {
    const wanted = checkProtocol(protocol);
    const request = checkPayload(payload);
    const checked = checkExchange(options);
    const call = () => this.#exchange(wanted, request, checked);
    if (!DOE_EXCHANGE.active) return await call();
    const fields = { path: this.#path, ...wanted, length: request.length };
    return await DOE_EXCHANGE.promise(fields, call);
  }

  async #exchange(
    wanted: Protocol,
    request: Buffer,
    options: ReturnType<typeof checkExchange>,
  ): Promise<Buffer> {
    const { signal, timeout, maxLength } = options;
    const call = `doe(${protocolName(wanted)})`;
    debug('%s %s: %d bytes', call, this.#path, request.length);
    const release = await this.#state.mutex.lock(signal);
    try {
      const answer = await this.#locked(wanted, options, (registers) =>
        transact({
          registers,
          protocol: wanted,
          payload: request,
          limit: maxLength,
          timeout,
          signal,
          path: this.#path,
          setPhase: this.#setPhase,
        }),
      );
      if (answer.length > answer.payload.length) {
        const hint = `the answer has ${answer.length} bytes, more than the ${maxLength} allowed`;
        throw systemError('EOVERFLOW', 'doe(receive)', this.#path, hint);
      }
      debug('%s %s = %d bytes', call, this.#path, answer.payload.length);
      return answer.payload;
    } catch (error) {
      debug('%s %s = %s', call, this.#path, error instanceof Error ? error.message : error);
      throw error;
    } finally {
      release();
    }
  }

  /**
   * The protocols of the mailbox, in the device's order. Takes one exchange for each.
   * @throws what exchange() throws; EBADMSG when the device's list is malformed or has a loop
   */
  discover(options: ExchangeOptions = {}): Promise<DiscoveredProtocol[]> {
    return discover(this, options);
  }

  /**
   * The driver that may be using a protocol of this mailbox now, so that exchange() refuses it
   * without `force`; undefined: none. A driver such as cxl_pci uses table access alone; one that is
   * not known here may use what the kernel found (`owner.kernelFeatures`), or everything if the
   * kernel has no such list.
   */
  usedBy(protocol: Protocol): Promise<string | undefined> {
    return kernelUser(this.#bus, this.address, checkProtocol(protocol));
  }

  /**
   * What the status register says now. Neither waits for another exchange, nor disturbs one.
   * @throws CxlError EACCES, ENODEV (the device is gone)
   */
  async status(): Promise<Status> {
    const space = this.#open('read');
    try {
      return new MailboxRegisters(space, this.offset, this.#path).status();
    } finally {
      space.close();
    }
  }

  /**
   * Aborts, and makes the mailbox usable again even if it was declared dead (after a reset of the
   * function, for example).
   * @throws CxlError EBUSY (another process or a driver is using the mailbox, or a driver is bound
   *   and `force` is not set), EIO (it does not become idle); AbortError
   */
  async reset(options: ResetMailboxOptions = {}): Promise<void> {
    const { signal, force } = checkOptions(options, RESET_OPTIONS);
    checkSignal(signal);
    if (force !== undefined) checkBoolean('options.force', force);
    const release = await this.#state.mutex.lock(signal);
    const { dead } = this.#state;
    this.#state.dead = undefined;
    try {
      await this.#locked(undefined, { signal, force }, async (registers) => {
        throwIfAborted(signal);
        // A dead mailbox is busy with our own exchange.
        if (dead === undefined && registers.status().busy) throw this.#busy();
        await abort({ registers, path: this.#path, setPhase: this.#setPhase });
      });
    } catch (error) {
      this.#state.dead ??= dead;
      if (this.#state.dead !== undefined) this.#state.phase = 'dead';
      throw error;
    } finally {
      release();
    }
  }

  /** @internal The state, for util.inspect() and console.log(). */
  [inspect.custom](depth: number, options: InspectOptions): string {
    return shown(this, depth, options, {
      name: this.name,
      phase: this.phase,
      version: this.version,
      driver: this.owner.driver,
    });
  }

  readonly #setPhase = (phase: Phase, cause?: CxlError): void => {
    this.#state.phase = phase;
    if (phase === 'dead') this.#state.dead = cause;
  };

  #busy(): CxlError {
    return systemError(
      'EBUSY',
      'doe(reset)',
      this.#path,
      'another process or a driver is using the mailbox',
    );
  }

  /** `protocol`: what the registers are used for; undefined: anything. */
  async #locked<T>(
    protocol: Protocol | undefined,
    options: ResetMailboxOptions,
    use: (registers: MailboxRegisters) => Promise<T>,
  ): Promise<T> {
    const { dead } = this.#state;
    if (dead !== undefined) {
      const hint = `the mailbox is dead; what happened: ${dead.message}`;
      throw systemError(dead.errno, 'doe(dead)', this.#path, hint);
    }
    await this.#checkDriver(protocol, options);
    const space = this.#open('write');
    try {
      await this.#lock(space, options.signal);
      return await use(new MailboxRegisters(space, this.offset, this.#path));
    } finally {
      space.unlock(this.offset, REGISTERS_LENGTH);
      space.close();
    }
  }

  #open(access: 'read' | 'write'): ConfigSpace {
    const space = this.#bus.open(this.address, access);
    if (typeof space !== 'number') return space;
    const hint = space === -ERRNOS.ENOENT ? 'no such PCI function; is the device gone?' : undefined;
    const advice = hint ?? `only root can ${access} configuration space`;
    throw systemError(space, 'open', this.#path, advice);
  }

  /** The kernel may use a protocol of its own at any time, and does not take our lock. */
  async #checkDriver(
    protocol: Protocol | undefined,
    { force }: ResetMailboxOptions,
  ): Promise<void> {
    if (force === true) return;
    const driver =
      protocol === undefined ? await this.#bus.driver(this.address) : await this.usedBy(protocol);
    if (driver === undefined) return;
    const what = protocol === undefined ? 'mailboxes' : protocolName(protocol);
    const hint = `the driver ${driver} is bound to the device and may be using its ${what}: unbind it, or pass force`;
    throw systemError('EBUSY', 'doe(claim)', this.#path, hint);
  }

  async #lock(space: ConfigSpace, signal: AbortSignal | undefined): Promise<void> {
    const deadline = performance.now() + LOCK_TIMEOUT;
    for (;;) {
      const answer = space.lock(this.offset, REGISTERS_LENGTH);
      if (answer >= 0) return;
      if (answer !== -ERRNOS.EAGAIN && answer !== -ERRNOS.EACCES) {
        throw systemError(answer, 'fcntl(F_OFD_SETLK)', this.#path, lockHint(answer));
      }
      if (performance.now() >= deadline) {
        const hint = `another process has held the mailbox for ${LOCK_TIMEOUT / 1000} s`;
        throw systemError('ETIMEDOUT', 'fcntl(F_OFD_SETLK)', this.#path, hint);
      }
      // A random pause, so that two waiting processes do not stay in step.
      await sleep(1 + Math.random() * (MAX_LOCK_INTERVAL - 1), signal);
    }
  }
}

function lockHint(errno: number): string | undefined {
  return errno === -ERRNOS.ENOSYS ? 'the lock needs the addon, and a mailbox the lock' : undefined;
}

/** A copy: the caller may change its buffer while the call waits for the mutex. */
function checkPayload(payload: Uint8Array): Buffer {
  checkBytes('payload', payload);
  if (payload.length > MAX_PAYLOAD_BYTES) {
    throw rangeError('payload', `at most ${MAX_PAYLOAD_BYTES} bytes`, `${payload.length} bytes`);
  }
  if (payload.length % 4 !== 0) {
    throw rangeError('payload', 'a whole number of dwords', `${payload.length} bytes`);
  }
  return Buffer.from(payload);
}
