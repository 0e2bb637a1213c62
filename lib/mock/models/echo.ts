/**
 * The echo AFU: a whole accelerator in a few lines, to begin a model of one's own with.
 *
 * | register | meaning |
 * | --- | --- |
 * | 0x00 ECHO | reads as what was written last; at first the work element descriptor |
 * | 0x08 COUNT | how often ECHO was written |
 * | 0x10 ADDRESS | at a store the AFU writes ECHO, big-endian, to that effective address and raises interrupt 1 |
 */
import type { AfuModel } from './afu-model';
import { countsStores, onStore, register } from './behaviors';
import { composeAfu } from './compose';

const ECHO = 0x00;
const COUNT = 0x08;
const ADDRESS = 0x10;

/**
 * A model of the echo AFU: 16 processes, one interrupt.
 *
 * @example
 * import { createMockCxl, echoAfu } from 'node-cxl/mock';
 *
 * const system = createMockCxl({ cards: [{ afus: [{ model: echoAfu() }] }] });
 * const context = await system.open('/dev/cxl/afu0.0s');
 * await context.attach({ wed: 7n });
 * console.log(context.mapProblemState().read64(0x00)); // 7n
 * await context.close();
 */
export function echoAfu(): AfuModel {
  return composeAfu(
    {
      name: 'echo',
      processes: 16,
      modes: ['directed', 'dedicated'],
      configRecords: [{ vendor: 0x1014, device: 0xec40, class: 0x120000 }],
    },
    register(ECHO, (process) => process.wed),
    countsStores(COUNT, ECHO),
    onStore(ADDRESS, (address, process, values) => {
      const target = process.access(address, 8, 'write');
      // Nothing is mapped there; access() has raised a data storage fault.
      if (target === undefined) return;
      new DataView(target.buffer, target.byteOffset, 8).setBigUint64(0, values.get(ECHO));
      process.raiseInterrupt(1);
    }),
  );
}
