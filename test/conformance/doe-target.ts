/**
 * Which memory device the DOE conformance suite talks to: QEMU's in the emulated machine, else
 * the mock's. Both have a driver bound, a mailbox with discovery and table access at 0x190, and
 * nothing else.
 */
import { type Doe, doe } from 'node-cxl/doe';
import { createMockDoe, encodeCdat, memoryDeviceTable, tableAccess } from 'node-cxl/mock';

export const ADDRESS = '0000:0d:00.0';

export function openDoe(): Doe {
  if (process.env['CXL_DOE_TARGET'] === 'sysfs') return doe;
  return createMockDoe({
    functions: [
      {
        address: ADDRESS,
        driver: 'cxl_pci',
        kernelTables: ['/sys/bus/cxl/devices/endpoint2/CDAT'],
        mailboxes: [{ protocols: [tableAccess(encodeCdat(memoryDeviceTable))] }],
      },
    ],
  });
}
