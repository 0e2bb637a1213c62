/** The options of createMockDoe() as a JSON file has them: protocols are given by name. */
import { parseAddress } from '../../doe/address';
import { valueError } from '../../shared/errors';
import { encodeCdat } from '../doe/cdat';
import {
  FUNCTION_OPTIONS,
  type MockFunctionOptions,
  PLACED_MAILBOX_OPTIONS,
} from '../doe/function';
import { MAILBOX_FAULTS, type MockProtocol } from '../doe/mailbox';
import { memoryDevice, memoryDeviceTable } from '../doe/memory-device';
import type { MockDoeOptions } from '../doe/mock-doe';
import { complianceMode, spdm, tableAccess } from '../doe/protocols';
import { byName, knownObject, list, placeOf, readConfig } from './config-file';

const PROTOCOLS: Readonly<Record<string, () => MockProtocol>> = {
  'table-access': () => tableAccess(encodeCdat(memoryDeviceTable)),
  compliance: complianceMode,
  spdm,
};

/**
 * What the file says under `doe`; every function has the defaults of memoryDevice().
 *
 * @throws as mockFromConfig()
 */
export function readDoeOptions(file: string): MockDoeOptions {
  const { doe } = readConfig(file) as { doe?: unknown };
  if (doe === undefined) return {};
  const where = `${placeOf(file)}.doe`;
  const functions = list(where, doe).map((each, index) => functionOf(`${where}[${index}]`, each));
  const addresses = new Set(functions.map(({ address }) => parseAddress(address)));
  if (addresses.size < functions.length) {
    throw valueError(where, 'functions of different addresses', [...addresses]);
  }
  return { functions };
}

function functionOf(name: string, value: unknown): MockFunctionOptions {
  const { mailboxes, ...rest } = knownObject(name, value, FUNCTION_OPTIONS);
  if (mailboxes === undefined) return memoryDevice(rest);
  return memoryDevice({
    ...rest,
    mailboxes: list(`${name}.mailboxes`, mailboxes).map((mailbox, index) => {
      const place = `${name}.mailboxes[${index}]`;
      const { protocols: named = [], ...options } = knownObject(
        place,
        mailbox,
        PLACED_MAILBOX_OPTIONS,
      );
      knownObject(`${place}.faults`, options['faults'] ?? {}, MAILBOX_FAULTS);
      return {
        ...options,
        protocols: list(`${place}.protocols`, named).map((each, at) =>
          byName(`${place}.protocols[${at}]`, PROTOCOLS, each)(),
        ),
      };
    }),
  });
}
