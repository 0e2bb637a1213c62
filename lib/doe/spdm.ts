/**
 * Component measurement and authentication: SPDM messages over a mailbox (DMTF DSP0274 over
 * PCIe 6.0 §6.31). The mailbox carries them as they are; versions() shows that it does.
 */
import { type CxlError, systemError } from '../shared/errors';
import type { Protocol } from './exchange';
import { type DoeMailbox, type ExchangeOptions, requireProtocol } from './mailbox';

export const spdmProtocol: Protocol = { vendorId: 0x0001, type: 1 };
export const securedSpdmProtocol: Protocol = { vendorId: 0x0001, type: 2 };

const getVersion = 0x84;
const versionAnswer = 0x04;
const errorAnswer = 0x7f;

export interface SpdmVersion {
  readonly major: number;
  readonly minor: number;
  readonly update: number;
  readonly alpha: number;
}

/**
 * GET_VERSION: the SPDM versions the device speaks, in its order.
 * @throws CxlError EOPNOTSUPP, EREMOTEIO (the device answered ERROR), EBADMSG, and what
 *   exchange() throws
 */
export async function spdmVersions(
  mailbox: DoeMailbox,
  options: ExchangeOptions = {},
): Promise<SpdmVersion[]> {
  await requireProtocol(mailbox, spdmProtocol, options);
  // GET_VERSION is asked in version 1.0, whatever is spoken afterwards.
  const answer = await mailbox.exchange(spdmProtocol, Buffer.of(0x10, getVersion, 0, 0), options);
  const code = answer.length >= 4 ? answer.readUInt8(1) : undefined;
  if (code === errorAnswer) {
    const hint = `the device answered SPDM ERROR 0x${answer.readUInt8(2).toString(16)}`;
    throw systemError('EREMOTEIO', 'doe(spdm)', mailbox.name, hint);
  }
  if (code !== versionAnswer || answer.length < 6) {
    throw malformed(mailbox, 'the answer to GET_VERSION is no VERSION message');
  }
  const count = answer.readUInt8(5);
  if (answer.length < 6 + count * 2) {
    throw malformed(mailbox, `the VERSION message is too short for its ${count} entries`);
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

function malformed(mailbox: DoeMailbox, hint: string): CxlError {
  return systemError('EBADMSG', 'doe(spdm)', mailbox.name, hint, malformed);
}
