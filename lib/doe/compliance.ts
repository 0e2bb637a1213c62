/** Compliance mode (CXL 2.0 §14.16.4): starts test modes of a device over its mailbox. */

import { ERRNOS, type ErrnoName } from '../shared/errno';
import { CxlError } from '../shared/errors';
import { Uncloneable } from '../shared/uncloneable';
import {
  COMPLIANCE_REQUESTS,
  type ComplianceRequest,
  type ComplianceRequestName,
  encodeComplianceRequest,
} from './compliance-requests';
import { requireProtocol } from './discovery';
import type { Protocol } from './exchange';
import type { DoeMailbox } from './mailbox';
import { malformed } from './malformed';
import { checkExchange, checkMailbox, type ExchangeOptions } from './options';

/** Compliance mode (CXL 2.0 §14.16.4): the protocol that starts a device's test modes. */
export const complianceProtocol: Protocol = { vendorId: 0x1e98, type: 0 };

/** The status of an answer by its name: 1 to 6, or a reserved one. */
export type ComplianceStatusName =
  | 'not authorized'
  | 'unknown failure'
  | 'unsupported injection function'
  | 'internal error'
  | 'target busy'
  | 'target not initialized'
  | 'reserved status';

const STATUSES: readonly (readonly [ComplianceStatusName, ErrnoName])[] = [
  ['not authorized', 'EPERM'],
  ['unknown failure', 'EIO'],
  ['unsupported injection function', 'EOPNOTSUPP'],
  ['internal error', 'EREMOTEIO'],
  ['target busy', 'EBUSY'],
  ['target not initialized', 'ENXIO'],
];

/**
 * The device answered a request with an error status.
 *
 * @example
 * import { Compliance, ComplianceError, complianceProtocol } from 'node-cxl/doe';
 * import { complianceMode, createMockDoe } from 'node-cxl/mock';
 *
 * const protocols = [complianceMode({ enabled: ['capabilities', 'status'] })];
 * const mock = createMockDoe({ functions: [{ address: '0d:00.0', mailboxes: [{ protocols }] }] });
 * const compliance = new Compliance(await mock.find('0d:00.0', complianceProtocol));
 * const error = await compliance.request({ request: 'halt-all' }).catch((reason) => reason);
 * if (error instanceof ComplianceError) {
 *   console.log(error.code, error.statusName); // EOPNOTSUPP unsupported injection function
 * }
 */
export class ComplianceError extends CxlError {
  /** The name of the class. */
  override readonly name = 'ComplianceError';
  /** The request that the device refused. */
  readonly request: ComplianceRequestName;
  /** The answer's status, 1 to 255. */
  readonly status: number;
  /** What `status` means. */
  readonly statusName: ComplianceStatusName;

  /** @internal Compliance throws it. */
  constructor(request: ComplianceRequestName, status: number, path: string) {
    const [statusName, errno] = STATUSES[status - 1] ?? (['reserved status', 'EIO'] as const);
    super(ERRNOS[errno], `doe(compliance ${request})`, path, `status ${status}: ${statusName}`);
    this.request = request;
    this.status = status;
    this.statusName = statusName;
  }
}

/** Result of Compliance.capabilities(). */
export interface ComplianceCapabilities {
  /** Bit n: the device knows request code n. */
  readonly availableMask: bigint;
  /** Bit n: request code n is enabled. */
  readonly enabledMask: bigint;
  /** The names of the requests of `availableMask`. */
  readonly available: readonly ComplianceRequestName[];
  /** The names of the requests of `enabledMask`. */
  readonly enabled: readonly ComplianceRequestName[];
}

/** Result of Compliance.status(). */
export interface ComplianceStatus {
  /** Capability bits, as the specification's table 280 numbers them. */
  readonly capabilities: number;
  /** In units of `cacheSizeUnit`. */
  readonly cacheSize: number;
  /** 8 bits, as the specification's table 280 numbers them. */
  readonly cacheSizeUnit: number;
}

/**
 * The compliance mode of one mailbox. Each call is one exchange; the first runs discovery before.
 *
 * @example
 * import { Compliance, complianceProtocol, doe } from 'node-cxl/doe';
 *
 * const compliance = new Compliance(await doe.find('0000:0d:00.0', complianceProtocol));
 * const { enabled } = await compliance.capabilities();
 * if (enabled.includes('poison')) await compliance.request({ request: 'poison', protocol: 1 });
 */
export class Compliance extends Uncloneable {
  /** The mailbox that the requests go to. */
  readonly mailbox: DoeMailbox;
  readonly #options: ExchangeOptions;
  #offered: Promise<void> | undefined;

  /**
   * Sends nothing yet.
   *
   * @param options of every exchange; an abort of its signal ends the call in progress and later ones
   */
  constructor(mailbox: DoeMailbox, options: ExchangeOptions = {}) {
    super();
    checkExchange(options);
    this.mailbox = checkMailbox(mailbox);
    this.#options = { ...options };
  }

  /**
   * Which requests the device knows, and which are enabled (CXL 2.0 §14.16.4).
   *
   * @throws ComplianceError, CxlError EOPNOTSUPP, EBADMSG, and what exchange() throws
   */
  async capabilities(): Promise<ComplianceCapabilities> {
    const answer = await this.#send({ request: 'capabilities' }, 20);
    const availableMask = answer.readBigUInt64LE(4);
    const enabledMask = answer.readBigUInt64LE(12);
    return {
      availableMask,
      enabledMask,
      available: named(availableMask),
      enabled: named(enabledMask),
    };
  }

  /**
   * What the device says of its link and cache (table 280).
   *
   * @throws as capabilities()
   */
  async status(): Promise<ComplianceStatus> {
    // Its fields follow the length immediately: no status, no padding.
    const answer = await this.#send({ request: 'status' }, 10);
    return {
      capabilities: answer.readUInt32LE(3),
      cacheSize: answer.readUInt16LE(7),
      cacheSizeUnit: answer.readUInt8(9),
    };
  }

  /**
   * Sends a request that starts or stops a test or injects an error. Resolves when the device has
   * accepted it.
   * @throws as capabilities(), and TypeError, RangeError for a parameter that does not fit
   */
  async request(request: ComplianceRequest): Promise<void> {
    await this.#send(request, 4);
  }

  async #send(request: ComplianceRequest, minLength: number): Promise<Buffer> {
    const payload = encodeComplianceRequest(request);
    this.#offered ??= requireProtocol(this.mailbox, complianceProtocol, this.#options);
    try {
      await this.#offered;
    } catch (error) {
      this.#offered = undefined;
      throw error;
    }
    const answer = await this.mailbox.exchange(complianceProtocol, payload, this.#options);
    const code = COMPLIANCE_REQUESTS.indexOf(request.request);
    if (answer.length < 4) {
      throw malformed(
        'compliance',
        this.mailbox.name,
        `an answer has at least 4 bytes; got ${answer.length}`,
      );
    }
    if (answer.readUInt8(0) !== code) {
      const hint = `the request has code ${code}, the answer code ${answer.readUInt8(0)}`;
      throw malformed('compliance', this.mailbox.name, hint);
    }
    const status = request.request === 'status' ? 0 : answer.readUInt8(3);
    if (status !== 0) {
      throw new ComplianceError(request.request, status, this.mailbox.name);
    }
    if (answer.length < minLength) {
      const hint = `an answer to ${request.request} has at least ${minLength} bytes; got ${answer.length}`;
      throw malformed('compliance', this.mailbox.name, hint);
    }
    return answer;
  }
}

function named(mask: bigint): ComplianceRequestName[] {
  return COMPLIANCE_REQUESTS.filter((_, code) => ((mask >> BigInt(code)) & 1n) === 1n);
}
