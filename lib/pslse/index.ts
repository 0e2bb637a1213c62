/**
 * node-cxl/pslse: AFUs simulated from their RTL, by the daemon of IBM's PSL simulation engine.
 *
 * @module node-cxl/pslse
 */
import { Cxl } from '../device/cxl';
import { PslseBinding } from './binding';
import type { PslseOptions } from './options';

export type { PslseOptions } from './options';

/**
 * The AFUs of a PSLSE daemon as a system: programs use it as they use `cxl`. Memory that an AFU
 * reaches is what allocate() made, and what addressOf() was asked about. The daemon is first asked when
 * something of it is needed; each call that needs it fails with ECONNREFUSED where there is none.
 *
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE
 * @example
 * import { createPslseCxl } from 'node-cxl/pslse';
 *
 * const system = createPslseCxl({ host: 'localhost', port: 16_384 });
 * const context = await system.open('/dev/cxl/afu0.0d'); // ECONNREFUSED without a daemon
 * await context.attach({ wed: 0n });
 * await context.close();
 */
export function createPslseCxl(options: PslseOptions = {}): Cxl {
  const binding = new PslseBinding(options);
  return new Cxl(() => binding);
}
