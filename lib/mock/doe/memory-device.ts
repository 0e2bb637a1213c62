/** A memory device with three DOE mailboxes: the default device of a mock. */
import type { CdatStructure } from '../../doe/cdat-structures';
import { checkOptions } from '../../shared/checks';
import { encodeCdat } from './cdat';
import { FUNCTION_OPTIONS, type MockFunctionOptions } from './function';
import { complianceMode, spdm, tableAccess } from './protocols';

const MEBIBYTE = 1n << 20n;

/** The CDAT of a volatile memory device of 256 MiB. */
export const memoryDeviceTable: readonly CdatStructure[] = [
  {
    kind: 'DSMAS',
    handle: 0,
    flags: 0,
    nonVolatile: false,
    dpaBase: 0n,
    dpaLength: 256n * MEBIBYTE,
  },
  ...(['read latency', 'write latency', 'read bandwidth', 'write bandwidth'] as const).map(
    (dataType): CdatStructure => ({
      kind: 'DSLBIS',
      handle: 0,
      flags: 0,
      dataType,
      entryBaseUnit: dataType.endsWith('latency') ? 10_000n : 1000n,
      entries: dataType.endsWith('latency') ? [15, 0, 0] : [16, 0, 0],
    }),
  ),
  {
    kind: 'DSEMTS',
    handle: 0,
    efiMemoryType: 'specific purpose',
    dpaOffset: 0n,
    dpaLength: 256n * MEBIBYTE,
  },
];

/**
 * A CXL type 3 device with a mailbox each for table access, compliance mode and SPDM.
 *
 * @example
 * import { createMockDoe, memoryDevice } from 'node-cxl/mock';
 *
 * // As on a machine whose kernel reads the table by itself.
 * const doe = createMockDoe({ functions: [memoryDevice({ kernelFeatures: ['1e98:02'] })] });
 * const [mailbox] = await doe.mailboxes();
 * console.log(await mailbox?.usedBy({ vendorId: 0x1e98, type: 2 }));
 */
export function memoryDevice(options: Partial<MockFunctionOptions> = {}): MockFunctionOptions {
  checkOptions(options, FUNCTION_OPTIONS);
  return {
    address: '0000:0d:00.0',
    mailboxes: [
      { protocols: [tableAccess(encodeCdat(memoryDeviceTable))] },
      { version: 2, messageNumber: 3, protocols: [complianceMode()] },
      { version: 2, protocols: [spdm()] },
    ],
    ...options,
  };
}
