/**
 * Component measurement and authentication: SPDM messages over a mailbox (DMTF DSP0274, PCIe 6.0
 * §6.31). Only GET_VERSION is here; programs send other messages with exchange().
 */
import { systemError } from '../shared/errors';
import { requireProtocol } from './discovery';
import type { Protocol } from './exchange';
import type { DoeMailbox } from './mailbox';
import { malformed } from './malformed';
import { checkExchange, checkMailbox, type ExchangeOptions } from './options';

/** CMA/SPDM (PCIe 6.0 §6.31): messages of DMTF's SPDM, not encrypted. */
export const spdmProtocol: Protocol = { vendorId: 0x0001, type: 1 };
/** Secured CMA/SPDM (PCIe 6.0 §6.31): encrypted messages of a session. */
export const securedSpdmProtocol: Protocol = { vendorId: 0x0001, type: 2 };

/** Request and response codes. */
const GET_VERSION = 0x84;
const VERSION = 0x04;
const ERROR = 0x7f;

/** A version that a device supports (DSP0274, VERSION response). */
export interface SpdmVersion {
  /** 4 bits. */
  readonly major: number;
  /** 4 bits. */
  readonly minor: number;
  /** 4 bits. */
  readonly update: number;
  /** 4 bits: 0 for a published version. */
  readonly alpha: number;
}

/**
 * GET_VERSION: the SPDM versions that the device supports, in its order.
 * @throws CxlError EOPNOTSUPP, EREMOTEIO (the device answered ERROR), EBADMSG, and what
 *   exchange() throws
 * @example
 * import { doe, spdmProtocol, spdmVersions } from 'node-cxl/doe';
 *
 * const mailbox = await doe.find('0000:0d:00.0', spdmProtocol);
 * for (const { major, minor } of await spdmVersions(mailbox)) console.log(`${major}.${minor}`); // 1.0
 */
export async function spdmVersions(
  mailbox: DoeMailbox,
  options: ExchangeOptions = {},
): Promise<SpdmVersion[]> {
  checkExchange(options);
  await requireProtocol(checkMailbox(mailbox), spdmProtocol, options);
  // GET_VERSION itself always has version 1.0.
  const answer = await mailbox.exchange(spdmProtocol, Buffer.of(0x10, GET_VERSION, 0, 0), options);
  const code = answer.length >= 4 ? answer.readUInt8(1) : undefined;
  if (code === ERROR) {
    const hint = `the device answered SPDM ERROR 0x${answer.readUInt8(2).toString(16)}`;
    throw systemError('EREMOTEIO', 'doe(spdm)', mailbox.name, hint);
  }
  if (code !== VERSION || answer.length < 6) {
    throw malformed('spdm', mailbox.name, 'the answer to GET_VERSION is not a VERSION message');
  }
  const count = answer.readUInt8(5);
  if (answer.length < 6 + count * 2) {
    throw malformed(
      'spdm',
      mailbox.name,
      `the VERSION message is too short for its ${count} entries`,
    );
  }
  const versions: SpdmVersion[] = [];
  for (let at = 6; at < 6 + count * 2; at += 2) {
    const entry = answer.readUInt16LE(at);
    versions.push({
      major: entry >>> 12,
      minor: (entry >>> 8) & 0xf,
      update: (entry >>> 4) & 0xf,
      alpha: entry & 0xf,
    });
  }
  return versions;
}
