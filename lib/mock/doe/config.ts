/** DOE devices described in the JSON file of NODE_CXL_BACKEND=mock:FILE, under `doe`. */
import { valueError } from '../../shared/errors';
import { byName, knownObject, list, placeOf, readConfig } from '../config/config-file';
import { encodeCdat } from './cdat';
import type { MockFunctionOptions } from './function';
import { createMockDoe, type MockDoe, memoryDevice, memoryDeviceTable } from './index';
import type { MockProtocol } from './mailbox';
import { complianceMode, spdm, tableAccess } from './protocols';

const protocols: Readonly<Record<string, () => MockProtocol>> = {
  'table-access': () => tableAccess(encodeCdat(memoryDeviceTable)),
  compliance: complianceMode,
  spdm,
};

const functionNames = [
  'address',
  'vendorId',
  'deviceId',
  'mailboxes',
  'size',
  'readable',
  'driver',
  'kernelFeatures',
  'kernelTables',
  'conventional',
];
const mailboxNames = ['at', 'version', 'messageNumber', 'protocols', 'faults'];
const faultNames = [
  'busy',
  'errorAt',
  'delayMs',
  'silent',
  'answerAs',
  'announce',
  'ignoresAbort',
  'goneAfter',
];

/**
 * The devices that a file describes under `doe`: options of createMockDoe()'s functions, with
 * the protocols by name (`"table-access"`, `"compliance"`, `"spdm"`). What a function does not
 * say is as memoryDevice() has it. Without a file, or where it has no `doe`, one memory device.
 *
 * @param file path, from the working directory
 * @throws as mockFromConfig()
 */
export function mockDoeFromConfig(file?: string): MockDoe {
  const doe = file === undefined ? undefined : readConfig(file)['doe'];
  if (file === undefined || doe === undefined) return createMockDoe();
  const where = `${placeOf(file)}.doe`;
  const functions = list(where, doe).map((each, index) => functionOf(`${where}[${index}]`, each));
  const made = createMockDoe({ functions });
  // Two at one address would be one device, and the other nowhere.
  if (made.addresses.length < functions.length) {
    throw valueError(where, 'functions of different addresses', made.addresses);
  }
  return made;
}

function functionOf(name: string, value: unknown): MockFunctionOptions {
  const { mailboxes, ...rest } = knownObject(name, value, functionNames);
  if (mailboxes === undefined) return memoryDevice(rest);
  return memoryDevice({
    ...rest,
    mailboxes: list(`${name}.mailboxes`, mailboxes).map((mailbox, index) => {
      const place = `${name}.mailboxes[${index}]`;
      const { protocols: named = [], ...options } = knownObject(place, mailbox, mailboxNames);
      knownObject(`${place}.faults`, options['faults'] ?? {}, faultNames);
      return {
        ...options,
        protocols: list(`${place}.protocols`, named).map((each, at) =>
          byName(`${place}.protocols[${at}]`, protocols, each)(),
        ),
      };
    }),
  });
}
