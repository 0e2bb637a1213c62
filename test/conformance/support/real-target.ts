/** The driver of the Linux kernel: in the emulated POWER machine, and on hardware. */
import { type Afu, cxl } from 'node-cxl';
import type { Need, Target } from '../target';
import { isCaia2 } from './work-queue';

const MEMCPY_VENDOR = 0x1014;
const MEMCPY_DEVICE = 0x4350;

async function isMemcpyAfu(afu: Afu): Promise<boolean> {
  const [record] = await afu.configurationRecords();
  return (await record?.vendor()) === MEMCPY_VENDOR && (await record?.device()) === MEMCPY_DEVICE;
}

function noDeviceSide(): never {
  throw new Error('this target has no control of the device');
}

const NO_DEVICE = {
  freeze: noDeviceSide,
  linkDown: noDeviceSide,
  linkUp: noDeviceSide,
  injectEventBytes: noDeviceSide,
  overrideAttribute: noDeviceSide,
  writeAttribute: noDeviceSide,
  setEnabled: noDeviceSide,
  usage: noDeviceSide,
};

/** In the emulated machine, the kernel module of the rig models the hypervisor and the AFU. */
export async function rigTarget(): Promise<Target> {
  const afu = process.env['NODE_CXL_AFU'] ?? 'afu0.0';
  return {
    name: 'rig',
    system: cxl,
    afu,
    dedicatedAfu: '',
    processes: Number(process.env['NODE_CXL_PROCESSES'] ?? 0),
    has: new Set<Need>([
      'injection',
      'event-injection',
      'master',
      'many-processes',
      'descriptors',
      'guest',
      'native',
      'numa',
      'hugetlb',
      ...((await isCaia2(cxl)) ? (['caia-2'] as const) : []),
      ...(process.env['NODE_CXL_PROCESSES'] ? (['few-processes'] as const) : []),
    ]),
    device: NO_DEVICE,
  };
}

/** A card with the memcpy AFU. Throws for any other AFU, which these tests could disturb. */
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
  // The attribute image_loaded exists on bare metal only.
  const bareMetal = (await adapter?.imageLoaded()) !== undefined;
  return {
    name: 'hardware',
    system: cxl,
    afu: name,
    dedicatedAfu: '',
    processes: 0,
    has: new Set<Need>([
      'master',
      'many-processes',
      'descriptors',
      'numa',
      'hugetlb',
      bareMetal ? 'bare-metal' : 'guest',
      ...((await adapter?.caiaVersion())?.startsWith('2.') ? (['caia-2'] as const) : []),
      // With NODE_CXL_BACKEND=mock, to test this target.
      ...(cxl.backend === 'native' ? (['native'] as const) : []),
    ]),
    device: NO_DEVICE,
  };
}
