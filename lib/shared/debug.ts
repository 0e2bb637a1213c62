import { debuglog } from 'node:util';

/** NODE_DEBUG=cxl prints one line a system call that the library makes, none on a register access. */
export const debug = debuglog('cxl');
