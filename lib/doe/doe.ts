/** The DOE mailboxes of a machine. */
import { CxlError, systemError, unwrap } from '../shared/errors';
import { walkCapabilities } from './capability';
import type { Protocol } from './exchange';
import { DoeMailbox, type ExchangeOptions, MailboxState } from './mailbox';
import { type Owner, type PciBus, parseAddress } from './pci';

/** One PCI function as a scan found it. */
export interface FunctionScan {
  readonly address: string;
  /** PCI ids, 16 bits each; absent where nothing could be read. */
  readonly vendorId?: number;
  readonly deviceId?: number;
  readonly owner: Owner;
  readonly mailboxes: readonly DoeMailbox[];
  /** Why the function could not be looked through to the end. */
  readonly problem?: CxlError;
}

/** The PCI functions of a machine, a mock or a dump, and the DOE mailboxes that they have. */
export class Doe {
  readonly #makeBus: () => PciBus;
  #bus: PciBus | undefined;
  readonly #states = new Map<string, MailboxState>();

  /** `bus` may be given as a function, called at the first use. */
  constructor(bus: PciBus | (() => PciBus)) {
    this.#makeBus = typeof bus === 'function' ? bus : () => bus;
  }

  /** Where the functions are. */
  get bus(): PciBus {
    this.#bus ??= this.#makeBus();
    return this.#bus;
  }

  /** Addresses of every PCI function, in full, ascending. @throws ENOENT without a PCI bus */
  async functions(): Promise<string[]> {
    return unwrap(await this.bus.functions(), 'readdir', this.bus.path(''));
  }

  /** Every PCI function with its mailboxes; what cannot be read is told, not thrown. */
  async scan(): Promise<FunctionScan[]> {
    const scans: FunctionScan[] = [];
    for (const address of await this.functions()) scans.push(await this.scanFunction(address));
    return scans;
  }

  /**
   * One PCI function with its mailboxes; what cannot be read is told as its `problem`.
   * @param address `0000:0d:00.0`, or without the domain
   * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE
   */
  async scanFunction(address: string): Promise<FunctionScan> {
    const full = parseAddress(address);
    const path = this.bus.path(full);
    const owner = await this.bus.owner(full);
    const nothing = { address: full, owner, mailboxes: [] };
    const space = this.bus.open(full, 'read');
    if (typeof space === 'number') {
      const hint = space === -2 ? 'no such PCI function' : undefined;
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
   * @throws CxlError when the function cannot be looked through to the end: ENOENT, EACCES,
   *   ENODATA (no extended configuration space), EBADMSG (a corrupt capability list), ENODEV.
   *   Without an address only when nothing was found for that reason; scan() tells all.
   */
  async mailboxes(address?: string): Promise<DoeMailbox[]> {
    if (address !== undefined) {
      const { mailboxes, problem } = await this.scanFunction(address);
      if (problem !== undefined) throw problem;
      return [...mailboxes];
    }
    const scans = await this.scan();
    const found = scans.flatMap(({ mailboxes }) => mailboxes);
    const problem = scans.find((scan) => scan.problem !== undefined)?.problem;
    if (found.length === 0 && problem !== undefined) throw problem;
    return found;
  }

  /**
   * The mailbox of a function that speaks a protocol: each is asked, none is guessed.
   * @throws CxlError EOPNOTSUPP when none does, and what exchange() throws
   */
  async find(
    address: string,
    protocol: Protocol,
    options: ExchangeOptions = {},
  ): Promise<DoeMailbox> {
    for (const mailbox of await this.mailboxes(address)) {
      const offered = await mailbox.discover(options);
      const speaks = offered.some(
        ({ vendorId, type }) => vendorId === protocol.vendorId && type === protocol.type,
      );
      if (speaks) return mailbox;
    }
    const path = this.bus.path(parseAddress(address));
    const hint = 'no mailbox of the function speaks this protocol';
    throw systemError('EOPNOTSUPP', 'doe(discover)', path, hint);
  }

  /** Shared by all objects for one capability, so that they queue and know it dead together. */
  #state(address: string, offset: number): MailboxState {
    const key = `${address}+${offset}`;
    let state = this.#states.get(key);
    // A device that was gone and is found again is a new one, or newly reset.
    if (state === undefined || state.dead?.code === 'ENODEV') {
      state = new MailboxState();
      this.#states.set(key, state);
    }
    return state;
  }
}
