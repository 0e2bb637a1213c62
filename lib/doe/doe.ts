/** The DOE mailboxes of a machine. */
import { type InspectOptions, inspect } from 'node:util';
import type { Owner, PciBus } from '../binding/configuration-space';
import { throwIfAborted } from '../shared/abort';
import { checkString } from '../shared/checks';
import { ERRNOS } from '../shared/errno';
import { CxlError, systemError, typeError, unwrap, valueError } from '../shared/errors';
import { shown } from '../shared/inspection';
import { Uncloneable } from '../shared/uncloneable';
import { parseAddress } from './address';
import { walkCapabilities } from './capability';
import { sameProtocol } from './discovery';
import { checkProtocol, type Protocol } from './exchange';
import { DoeMailbox, MailboxState } from './mailbox';
import { checkExchange, checkScan, type ExchangeOptions, type ScanOptions } from './options';

/** What a scan found out about one PCI function. */
export interface FunctionScan {
  /** `0000:0d:00.0`. */
  readonly address: string;
  /** PCI ids, 16 bits each; absent where they could not be read. */
  readonly vendorId?: number;
  /** 16 bits. Absent where configuration space could not be read. */
  readonly deviceId?: number;
  /** Who else may be using its mailboxes. */
  readonly owner: Owner;
  /** In the order of its capabilities. */
  readonly mailboxes: readonly DoeMailbox[];
  /** Why the scan of this function ended early. */
  readonly problem?: CxlError;
}

/**
 * The DOE mailboxes of the PCI functions of a machine, a mock or a dump.
 *
 * @example
 * import { doe } from 'node-cxl/doe';
 *
 * for (const { address, mailboxes, problem } of await doe.scan()) {
 *   console.log(address, mailboxes.length, problem); // 0000:0d:00.0 3 undefined
 * }
 */
export class Doe extends Uncloneable {
  readonly #makeBus: () => PciBus;
  #bus: PciBus | undefined;
  readonly #states = new Map<string, MailboxState>();

  /** @param bus the bus, or a function that makes it at the first use */
  constructor(bus: PciBus | (() => PciBus)) {
    super();
    if (typeof bus !== 'function' && typeof (bus as PciBus | null)?.functions !== 'function') {
      throw typeError('bus', 'a PciBus, or a function that makes one', bus);
    }
    this.#makeBus = typeof bus === 'function' ? bus : () => bus;
  }

  /** The bus that the functions are on. */
  get bus(): PciBus {
    this.#bus ??= this.#makeBus();
    return this.#bus;
  }

  /** Full addresses of all PCI functions, ascending. @throws CxlError ENOENT without a PCI bus */
  async functions(): Promise<string[]> {
    return unwrap(await this.bus.functions(), 'readdir', this.bus.path(''));
  }

  /**
   * Every PCI function with its mailboxes. What cannot be read is in each `problem`, not thrown.
   * @throws AbortError; and what functions() throws
   */
  async scan(options: ScanOptions = {}): Promise<FunctionScan[]> {
    throwIfAborted(checkScan(options));
    const scans: FunctionScan[] = [];
    for (const address of await this.functions()) {
      scans.push(await this.scanFunction(address, options));
    }
    return scans;
  }

  /**
   * One PCI function with its mailboxes. What cannot be read is in `problem`, not thrown.
   * @param address such as `0000:0d:00.0`, or `0d:00.0` in domain 0
   * @throws AbortError; ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE
   */
  async scanFunction(address: string, options: ScanOptions = {}): Promise<FunctionScan> {
    const full = parseAddress(address);
    const signal = checkScan(options);
    throwIfAborted(signal);
    const path = this.bus.path(full);
    const owner = await this.bus.owner(full);
    throwIfAborted(signal);
    const nothing = { address: full, owner, mailboxes: [] };
    const space = this.bus.open(full, 'read');
    if (typeof space === 'number') {
      const hint = space === -ERRNOS.ENOENT ? 'no such PCI function' : undefined;
      return { ...nothing, problem: systemError(space, 'open', path, hint) };
    }
    try {
      const { capabilities, ...rest } = walkCapabilities(space, path);
      const mailboxes = capabilities.map(
        (found) => new DoeMailbox(this.bus, full, found, owner, this.#state(full, found.offset)),
      );
      return { ...nothing, ...rest, mailboxes };
    } catch (error) {
      if (!(error instanceof CxlError)) throw error;
      return { ...nothing, problem: error };
    } finally {
      space.close();
    }
  }

  /**
   * Every mailbox of the function at `address`, or of all functions.
   * @throws CxlError ENOENT, EACCES, ENODATA (no extended configuration space), EBADMSG (a corrupt
   *   capability list), ENODEV. Without an address it throws only when no mailbox was found;
   *   scan() reports every function. AbortError
   */
  async mailboxes(address?: string, options: ScanOptions = {}): Promise<DoeMailbox[]> {
    if (address !== undefined) {
      const { mailboxes, problem } = await this.scanFunction(address, options);
      if (problem !== undefined) throw problem;
      return [...mailboxes];
    }
    const scans = await this.scan(options);
    const found = scans.flatMap(({ mailboxes }) => mailboxes);
    const problem = scans.find((scan) => scan.problem !== undefined)?.problem;
    if (found.length === 0 && problem !== undefined) throw problem;
    return found;
  }

  /**
   * The first mailbox of a function whose discovery lists a protocol.
   * @throws CxlError EOPNOTSUPP when none lists it, and what mailboxes() and exchange() throw
   */
  async find(
    address: string,
    protocol: Protocol,
    options: ExchangeOptions = {},
  ): Promise<DoeMailbox> {
    checkProtocol(protocol);
    const { signal } = checkExchange(options);
    // Without an address mailboxes() would search all functions.
    for (const mailbox of await this.mailboxes(parseAddress(address), { signal })) {
      const offered = await mailbox.discover(options);
      if (offered.some((each) => sameProtocol(each, protocol))) return mailbox;
    }
    const path = this.bus.path(parseAddress(address));
    const hint = 'no mailbox of the function speaks this protocol';
    throw systemError('EOPNOTSUPP', 'doe(discover)', path, hint);
  }

  /** @internal The state, for util.inspect() and console.log(): it looks for no device. */
  [inspect.custom](depth: number, options: InspectOptions): string {
    return shown(this, depth, options, { bus: this.#bus?.kind ?? 'not chosen yet' });
  }

  /**
   * Takes a function from its driver, so that no exchange of the kernel can meet one of this
   * program: cxl_pci, for example, gives up the memory of the device. Needs root.
   * @returns the name of the driver, for bind(); undefined if none was bound
   * @throws CxlError ENOENT (no such function), EACCES, EROFS (a recorded bus), and what the driver
   *   answers; ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE
   */
  async unbind(address: string): Promise<string | undefined> {
    const full = parseAddress(address);
    const driver = await this.bus.driver(full);
    const answer = await this.bus.unbind(full);
    if (answer === -ERRNOS.ENODEV) return undefined;
    unwrap(answer, 'write(unbind)', this.bus.path(full));
    return driver;
  }

  /**
   * Gives a function to a driver, such as the one that unbind() returned. Needs root.
   * @throws CxlError EBUSY (a driver is bound), ENOENT (the kernel has no such driver), ENODEV (the
   *   driver does not take this function), EACCES, EROFS (a recorded bus), and what the driver
   *   answers; ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE
   */
  async bind(address: string, driver: string): Promise<void> {
    const full = parseAddress(address);
    checkString('driver', driver);
    if (!/^[^/\0.][^/\0]*$/.test(driver))
      throw valueError('driver', 'the name of a driver', driver);
    const answer = await this.bus.bind(full, driver);
    unwrap(answer, 'write(bind)', this.bus.path(full));
  }

  /** One state for each capability: all DoeMailbox objects for it share mutex and phase. */
  #state(address: string, offset: number): MailboxState {
    const key = `${address}+${offset}`;
    let state = this.#states.get(key);
    // A device that was gone and is found again has been replaced or reset.
    if (state === undefined || state.dead?.code === 'ENODEV') {
      state = new MailboxState();
      this.#states.set(key, state);
    }
    return state;
  }
}
