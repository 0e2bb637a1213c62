/** DOE discovery (PCIe 6.0 §6.30.1.1): the protocol that every mailbox has. */
import { checkInteger } from '../shared/checks';
import { systemError } from '../shared/errors';
import { checkProtocol, MAX_OBJECT_DWORDS, type Protocol, protocolName } from './exchange';
import type { DoeMailbox } from './mailbox';
import { malformed } from './malformed';
import { checkExchange, checkMailbox, type ExchangeOptions } from './options';

/** Discovery (PCIe 6.0 §6.30.1.1): the protocol by which a mailbox lists its protocols. */
export const discoveryProtocol: Protocol = { vendorId: 0x0001, type: 0 };

export interface DiscoveredProtocol extends Protocol {
  /** Position in the device's list, 0 to 255. */
  readonly index: number;
  /** The specification's name, for the protocols that this library knows. */
  readonly name?: string;
  /** What devices of revisions after PCIe 6.0 add for some protocols. */
  readonly limits?: ProtocolLimits;
}

/** Limits of a protocol that its discovery entry has. */
export interface ProtocolLimits {
  /** Bytes of the longest data object that the device takes, its header of 8 bytes included. */
  readonly maxObjectLength: number;
  /** 14 bits, with a meaning of the protocol's own: the greatest connection id, for example. */
  readonly additionalInfo: number;
}

/** One entry of a mailbox's list of protocols. */
export interface DiscoveryEntry extends Protocol {
  /** Index of the next entry, 1 to 255; 0: this is the last. */
  readonly nextIndex: number;
  /** What devices of revisions after PCIe 6.0 add for some protocols. */
  readonly limits?: ProtocolLimits;
}

const PROTOCOL_NAMES: Record<string, string> = {
  '1:0': 'DOE discovery',
  '1:1': 'CMA/SPDM',
  '1:2': 'secured CMA/SPDM',
  '1:3': 'CMA/SPDM with connection id',
  '1:4': 'secured CMA/SPDM with connection id',
  '1:5': 'DOE async message',
  '7832:0': 'CXL compliance mode',
  '7832:2': 'CXL table access (CDAT)',
};

/**
 * The specification's name of a protocol, or undefined.
 *
 * @example
 * import { wellKnownName } from 'node-cxl/doe';
 *
 * console.log(wellKnownName({ vendorId: 0x1e98, type: 2 })); // CXL table access (CDAT)
 */
export function wellKnownName(protocol: Protocol): string | undefined {
  const { vendorId, type } = checkProtocol(protocol);
  return PROTOCOL_NAMES[`${vendorId}:${type}`];
}

/**
 * One discovery exchange: the protocol at `index` (0 to 255), and the next index or 0 at the end.
 * Past the end a device answers vendor 0xffff.
 * @throws ERR_OUT_OF_RANGE; CxlError EBADMSG (the answer has neither 4 nor 8 bytes), and what exchange()
 *   throws
 * @example
 * import { discoverIndex, discoveryProtocol, doe } from 'node-cxl/doe';
 *
 * const mailbox = await doe.find('0000:0d:00.0', discoveryProtocol);
 * const { vendorId, type, nextIndex } = await discoverIndex(mailbox, 1);
 * console.log(vendorId.toString(16), type, nextIndex); // 1e98 2 0
 */
export async function discoverIndex(
  mailbox: DoeMailbox,
  index: number,
  options: ExchangeOptions = {},
): Promise<DiscoveryEntry> {
  checkMailbox(mailbox);
  checkInteger('index', index, 0, 0xff);
  checkExchange(options);
  // From version 2 of the capability on, the request names the version of discovery.
  const version = mailbox.version >= 2 ? 2 : 0;
  const request = Buffer.alloc(4);
  request.writeUInt32LE(index | (version << 8));
  const answer = await mailbox.exchange(discoveryProtocol, request, { ...options, maxLength: 8 });
  if (answer.length !== 4 && answer.length !== 8) {
    throw malformed(
      'discover',
      mailbox.name,
      `an entry has 4 or 8 bytes; the device sent ${answer.length}`,
    );
  }
  const dword = answer.readUInt32LE();
  const entry = { vendorId: dword & 0xffff, type: (dword >>> 16) & 0xff, nextIndex: dword >>> 24 };
  return answer.length === 4 ? entry : { ...entry, limits: limitsOf(answer.readUInt32LE(4)) };
}

function limitsOf(dword: number): ProtocolLimits {
  // As in the header of a data object, 0 is the greatest length.
  const dwords = dword & (MAX_OBJECT_DWORDS - 1) || MAX_OBJECT_DWORDS;
  return { maxObjectLength: dwords * 4, additionalInfo: dword >>> 18 };
}

/** Every protocol of a mailbox: DoeMailbox.discover(). */
export async function discover(
  mailbox: DoeMailbox,
  options: ExchangeOptions,
): Promise<DiscoveredProtocol[]> {
  const found: DiscoveredProtocol[] = [];
  const seen = new Set<number>();
  for (let index = 0; ; ) {
    seen.add(index);
    const { vendorId, type, nextIndex, limits } = await discoverIndex(mailbox, index, options);
    if (vendorId === 0xffff) return found;
    const name = wellKnownName({ vendorId, type });
    found.push({
      index,
      vendorId,
      type,
      ...(name === undefined ? {} : { name }),
      ...(limits === undefined ? {} : { limits }),
    });
    if (nextIndex === 0) return found;
    if (seen.has(nextIndex)) {
      throw malformed(
        'discover',
        mailbox.name,
        `the list of protocols comes back to index ${nextIndex}`,
      );
    }
    index = nextIndex;
  }
}

export function sameProtocol(one: Protocol, other: Protocol): boolean {
  return one.vendorId === other.vendorId && one.type === other.type;
}

/** @throws CxlError EOPNOTSUPP when discovery does not list the protocol */
export async function requireProtocol(
  mailbox: DoeMailbox,
  protocol: Protocol,
  options: ExchangeOptions,
): Promise<void> {
  const offered = await mailbox.discover(options);
  if (offered.some((each) => sameProtocol(each, protocol))) return;
  const list = offered.map(protocolName).join(', ');
  const hint = `${mailbox.name} does not speak ${protocolName(protocol)}; it offers ${list || 'nothing'}`;
  throw systemError('EOPNOTSUPP', 'doe(discover)', mailbox.name, hint);
}
