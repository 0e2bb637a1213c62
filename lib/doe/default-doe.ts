import { readFileSync } from 'node:fs';
import { choosePciBus } from '../backend';
import { checkString } from '../shared/checks';
import { Doe } from './doe';
import { DumpPci } from './dump';

/**
 * The mailboxes of this machine, or of a mock where NODE_CXL_BACKEND is `mock` (one memory device)
 * or `mock:FILE.json` (what the file describes under `doe`, else the same device).
 */
export const doe = new Doe(choosePciBus);

/**
 * The functions of a file that `lspci -xxxx` made. Their mailboxes are found, and every exchange
 * is refused (EROFS).
 * @throws what fs.readFileSync() throws; ERR_INVALID_ARG_VALUE when it is no such dump
 * @example
 * import { writeFileSync } from 'node:fs';
 * import { doeFromDump, formatLspciDump } from 'node-cxl/doe';
 *
 * // As `lspci -xxxx > machine.txt` on the machine in question.
 * writeFileSync('machine.txt', formatLspciDump('0d:00.0', Buffer.alloc(4096), 'Memory device'));
 * const [scan] = await doeFromDump('machine.txt').scan();
 * console.log(scan?.address, scan?.owner.driver); // 0000:0d:00.0 undefined
 */
export function doeFromDump(file: string): Doe {
  return new Doe(new DumpPci(readFileSync(checkString('file', file), 'latin1')));
}
