/** The memcpy AFU in Verilog, simulated by PSLSE: `npm run test:rig:pslse` starts it. */
import { cxl } from 'node-cxl';
import type { Need, Target } from '../target';

function no(): never {
  throw new Error('there is no control of the device');
}

export function pslseTarget(): Target {
  if (cxl.backend !== 'pslse') throw new Error('NODE_CXL_BACKEND=pslse:HOST:PORT is not set');
  return {
    name: 'pslse',
    system: cxl,
    afu: 'afu0.0',
    dedicatedAfu: 'afu1.0',
    processes: 4,
    has: new Set<Need>(['event-injection', 'master']),
    device: {
      freeze: async () => no(),
      linkDown: async () => no(),
      linkUp: async () => no(),
      injectEventBytes: async () => no(),
      overrideAttribute: async () => no(),
      writeAttribute: async () => no(),
      setEnabled: async () => no(),
      usage: async () => no(),
    },
  };
}
