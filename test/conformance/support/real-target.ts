/** The true driver: in the emulated POWER machine, and on hardware. */
import { type Afu, cxl } from 'node-cxl';
import type { Need, Target } from '../target';
import { isCaia2 } from './work-queue';

const MEMCPY_VENDOR = 0x1014;
const MEMCPY_DEVICE = 0x4350;

async function isMemcpyAfu(afu: Afu): Promise<boolean> {
  const [record] = await afu.configurationRecords();
  return (await record?.vendor()) === MEMCPY_VENDOR && (await record?.device()) === MEMCPY_DEVICE;
}

function outOfReach(): never {
  throw new Error('the device side of this target is out of reach');
}

const noDevice = {
  freeze: outOfReach,
  linkDown: outOfReach,
  linkUp: outOfReach,
  injectEventBytes: outOfReach,
  overrideAttribute: outOfReach,
  usage: outOfReach,
};

/** The emulated machine has our hypervisor-and-AFU module, whose AFU has the provoke block. */
export async function rigTarget(): Promise<Target> {
  const afu = process.env['NODE_CXL_AFU'] ?? 'afu0.0';
  return {
    name: 'rig',
    system: cxl,
    afu,
    dedicatedAfu: '',
    processes: Number(process.env['NODE_CXL_PROCESSES'] ?? 0),
    has: new Set<Need>([
      'provoke',
      'master',
      'guest',
      'native',
      'numa',
      'hugetlb',
      ...((await isCaia2(cxl)) ? (['caia-2'] as const) : []),
      ...(process.env['NODE_CXL_PROCESSES'] ? (['few-processes'] as const) : []),
    ]),
    device: noDevice,
  };
}

/** A card flashed with the memcpy AFU; nothing else may be driven by this suite. */
export async function hardwareTarget(): Promise<Target> {
  const name = process.env['NODE_CXL_AFU'];
  if (name === undefined) {
    throw new Error('NODE_CXL_AFU names the AFU to test, such as afu0.0');
  }
  const afu = (await cxl.afus()).find((one) => one.name === name);
  if (afu === undefined) throw new Error(`${name}: no such AFU here`);
  if (!(await isMemcpyAfu(afu))) {
    throw new Error(`${name} is not the memcpy AFU (configuration record 1014:4350): not run`);
  }
  if ((await afu.mode()) !== 'afu_directed') {
    throw new Error(`${name} is not in AFU-directed mode: set it first`);
  }
  const [adapter] = (await cxl.adapters()).filter((one) => one.number === afu.adapterNumber);
  // Only bare metal knows which image is loaded.
  const bareMetal = (await adapter?.imageLoaded()) !== undefined;
  return {
    name: 'hardware',
    system: cxl,
    afu: name,
    dedicatedAfu: '',
    processes: 0,
    has: new Set<Need>([
      'master',
      'numa',
      'hugetlb',
      bareMetal ? 'bare-metal' : 'guest',
      ...((await adapter?.caiaVersion())?.startsWith('2.') ? (['caia-2'] as const) : []),
      // The target itself can be tried out on a mock.
      ...(cxl.backend === 'native' ? (['native'] as const) : []),
    ]),
    device: noDevice,
  };
}
