import { debuglog } from 'node:util';

/** NODE_DEBUG=cxl prints a line for each system call of the library. Register accesses print none. */
export const debug = debuglog('cxl');
