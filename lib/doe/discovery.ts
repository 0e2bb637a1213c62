/** DOE discovery (PCIe 6.0 §6.30.1.1): the one protocol every mailbox speaks. */

import { checkInteger } from '../shared/checks';
import { type CxlError, systemError } from '../shared/errors';
import type { Protocol } from './exchange';
import type { DoeMailbox, ExchangeOptions } from './mailbox';

export const discoveryProtocol: Protocol = { vendorId: 0x0001, type: 0 };

export interface DiscoveredProtocol extends Protocol {
  /** Where the device lists it. */
  readonly index: number;
  /** What the specifications call it, where we know it. */
  readonly name?: string;
}

const names: Record<string, string> = {
  '1:0': 'DOE discovery',
  '1:1': 'CMA/SPDM',
  '1:2': 'secured CMA/SPDM',
  '7832:0': 'CXL compliance mode',
  '7832:2': 'CXL table access (CDAT)',
};

/** What a protocol is called, or undefined. */
export function wellKnownName({ vendorId, type }: Protocol): string | undefined {
  return names[`${vendorId}:${type}`];
}

/**
 * One discovery exchange: the protocol at `index` and the next index, 0 at the end. Past the
 * end a device answers vendor 0xffff.
 */
export async function discoverIndex(
  mailbox: DoeMailbox,
  index: number,
  options: ExchangeOptions = {},
): Promise<Protocol & { nextIndex: number }> {
  checkInteger('index', index, 0, 0xff);
  // Version 2 of the capability tells the device which discovery it is asked for.
  const version = mailbox.version >= 2 ? 2 : 0;
  const request = Buffer.alloc(4);
  request.writeUInt32LE(index | (version << 8));
  const answer = await mailbox.exchange(discoveryProtocol, request, { ...options, maxLength: 4 });
  if (answer.length !== 4) {
    throw malformed(mailbox, `an entry has 4 bytes; the device sent ${answer.length}`);
  }
  const dword = answer.readUInt32LE();
  return { vendorId: dword & 0xffff, type: (dword >>> 16) & 0xff, nextIndex: dword >>> 24 };
}

export async function discover(
  mailbox: DoeMailbox,
  options: ExchangeOptions,
): Promise<DiscoveredProtocol[]> {
  const found: DiscoveredProtocol[] = [];
  const seen = new Set<number>();
  for (let index = 0; ; ) {
    seen.add(index);
    const { vendorId, type, nextIndex } = await discoverIndex(mailbox, index, options);
    if (vendorId === 0xffff) return found;
    const name = wellKnownName({ vendorId, type });
    found.push({ index, vendorId, type, ...(name === undefined ? {} : { name }) });
    if (nextIndex === 0) return found;
    if (seen.has(nextIndex)) {
      throw malformed(mailbox, `the list of protocols comes back to index ${nextIndex}`);
    }
    index = nextIndex;
  }
}

function malformed(mailbox: DoeMailbox, hint: string): CxlError {
  return systemError('EBADMSG', 'doe(discover)', mailbox.name, hint, malformed);
}
