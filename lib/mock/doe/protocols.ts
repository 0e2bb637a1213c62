/** Protocols of the modeled mailboxes: table access, compliance mode, SPDM. */
import { COMPLIANCE_REQUESTS, type ComplianceRequestName } from '../../doe/compliance-requests';
import {
  checkArray,
  checkBytes,
  checkFunction,
  checkInteger,
  checkOptions,
  type OptionNames,
} from '../../shared/checks';
import type { MockProtocol } from './mailbox';

/**
 * Table access with one table. A function is called for each entry that is read.
 *
 * @example
 * import { readCdat, tableAccessProtocol } from 'node-cxl/doe';
 * import { createMockDoe, encodeCdat, tableAccess } from 'node-cxl/mock';
 *
 * let sequence = 0;
 * const protocols = [tableAccess(() => encodeCdat([], { sequence }))];
 * const doe = createMockDoe({ functions: [{ address: '0d:00.0', mailboxes: [{ protocols }] }] });
 * const mailbox = await doe.find('0d:00.0', tableAccessProtocol);
 * sequence = 3; // the device changes its table
 * console.log((await readCdat(mailbox)).header.sequence); // 3
 */
export function tableAccess(table: Buffer | (() => Buffer)): MockProtocol {
  if (typeof table !== 'function') checkBytes('table', table);
  return {
    vendorId: 0x1e98,
    type: 2,
    answer(request) {
      if (request.length !== 4 || request.readUInt16LE(0) !== 0) return undefined;
      const entries = split(typeof table === 'function' ? table() : table);
      const handle = request.readUInt16LE(2);
      // As QEMU's devices do: past the end an empty entry, marked as the last.
      const entry = entries[handle] ?? Buffer.alloc(0);
      const head = Buffer.alloc(4);
      head.writeUInt16LE(handle >= entries.length - 1 ? 0xffff : handle + 1, 2);
      return Buffer.concat([head, entry]);
    },
  };
}

/** Splits a table into its header and its structures. An incomplete structure is the last entry. */
function split(table: Buffer): Buffer[] {
  const entries = [table.subarray(0, 16)];
  for (let at = 16; at < table.length; ) {
    const length = at + 4 <= table.length ? table.readUInt16LE(at + 2) : 0;
    const end = length < 4 ? table.length : Math.min(at + length, table.length);
    entries.push(table.subarray(at, end));
    at = end;
  }
  return entries;
}

/** Options of complianceMode(). */
export interface MockComplianceOptions {
  /** Requests that the device supports. Default: all. */
  readonly available?: readonly ComplianceRequestName[] | undefined;
  /** Requests that are enabled. Default: all of `available`. */
  readonly enabled?: readonly ComplianceRequestName[] | undefined;
  /** The status of the answer to a request. Default: 3 for requests not enabled, else 0. */
  readonly status?: ((request: ComplianceRequestName, payload: Buffer) => number) | undefined;
  /** What the answer to `status` says, 0 to 65535. Default 0. */
  readonly cacheSize?: number | undefined;
  /** What the answer to `status` says, 0 to 255. Default 0. */
  readonly cacheSizeUnit?: number | undefined;
}
const COMPLIANCE_OPTIONS: OptionNames<MockComplianceOptions> = {
  available: true,
  enabled: true,
  status: true,
  cacheSize: true,
  cacheSizeUnit: true,
};

/**
 * Compliance mode: answers every request and carries none out.
 *
 * @example
 * import { Compliance, complianceProtocol } from 'node-cxl/doe';
 * import { complianceMode, createMockDoe } from 'node-cxl/mock';
 *
 * const protocols = [complianceMode({ cacheSize: 16, cacheSizeUnit: 1 })];
 * const doe = createMockDoe({ functions: [{ address: '0d:00.0', mailboxes: [{ protocols }] }] });
 * const compliance = new Compliance(await doe.find('0d:00.0', complianceProtocol));
 * console.log((await compliance.status()).cacheSize); // 16
 */
export function complianceMode(options: MockComplianceOptions = {}): MockProtocol {
  const { available = COMPLIANCE_REQUESTS, enabled = available } = checkOptions(
    options,
    COMPLIANCE_OPTIONS,
  );
  checkArray('options.available', available);
  checkArray('options.enabled', enabled);
  if (options.status !== undefined) checkFunction('options.status', options.status);
  const cacheSize = checkInteger('options.cacheSize', options.cacheSize ?? 0, 0, 0xffff);
  const cacheSizeUnit = checkInteger('options.cacheSizeUnit', options.cacheSizeUnit ?? 0, 0, 0xff);
  const status = (request: ComplianceRequestName, payload: Buffer) =>
    options.status?.(request, payload) ?? (enabled.includes(request) ? 0 : 3);
  return {
    vendorId: 0x1e98,
    type: 0,
    answer(payload) {
      const request = COMPLIANCE_REQUESTS[payload.length >= 4 ? payload.readUInt8(0) : 0xff];
      if (request === undefined) return undefined;
      const code = payload.readUInt8(0);
      const failure = status(request, payload);
      if (request === 'status' && failure === 0) {
        const answer = Buffer.alloc(12);
        answer.set([code, 1, 10]);
        answer.writeUInt32LE(mask(enabled), 3);
        answer.writeUInt16LE(cacheSize, 7);
        answer.writeUInt8(cacheSizeUnit, 9);
        return answer;
      }
      const answer = Buffer.alloc(request === 'capabilities' && failure === 0 ? 20 : 4);
      answer.set([code, 1, answer.length, failure]);
      if (answer.length === 20) {
        answer.writeBigUInt64LE(BigInt(mask(available)), 4);
        answer.writeBigUInt64LE(BigInt(mask(enabled)), 12);
      }
      return answer;
    },
  };
}

function mask(names: readonly ComplianceRequestName[]): number {
  return COMPLIANCE_REQUESTS.reduce(
    (bits, name, code) => (names.includes(name) ? bits | (1 << code) : bits),
    0,
  );
}

/**
 * SPDM with GET_VERSION alone; other requests are answered with ERROR, unsupported request.
 *
 * @example
 * import { spdmProtocol, spdmVersions } from 'node-cxl/doe';
 * import { createMockDoe, spdm } from 'node-cxl/mock';
 *
 * const mailboxes = [{ protocols: [spdm([0x1300])] }];
 * const doe = createMockDoe({ functions: [{ address: '0d:00.0', mailboxes }] });
 * const [version] = await spdmVersions(await doe.find('0d:00.0', spdmProtocol));
 * console.log(version?.major, version?.minor); // 1 3
 */
export function spdm(versions: readonly number[] = [0x1000, 0x1100, 0x1200]): MockProtocol {
  for (const version of checkArray('versions', versions)) {
    checkInteger('versions', version, 0, 0xffff);
  }
  return {
    vendorId: 0x0001,
    type: 1,
    answer(request) {
      if (request.length < 4) return undefined;
      if (request.readUInt8(1) !== 0x84) {
        return Buffer.of(0x10, 0x7f, 0x07, request.readUInt8(1));
      }
      const length = 6 + versions.length * 2;
      const answer = Buffer.alloc(Math.ceil(length / 4) * 4);
      answer.set([0x10, 0x04, 0, 0, 0, versions.length]);
      versions.forEach((version, index) => {
        answer.writeUInt16LE(version, 6 + index * 2);
      });
      return answer;
    },
  };
}
