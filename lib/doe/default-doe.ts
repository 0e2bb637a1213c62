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
 */
export function doeFromDump(file: string): Doe {
  return new Doe(new DumpPci(readFileSync(checkString('file', file), 'latin1')));
}
