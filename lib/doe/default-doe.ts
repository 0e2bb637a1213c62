import { readFileSync } from 'node:fs';
import { debug } from '../shared/debug';
import { valueError } from '../shared/errors';
import { Doe } from './doe';
import { DumpPci } from './dump';
import type { PciBus } from './pci';
import { SysfsPci } from './sysfs';

/**
 * The mailboxes of this machine, unless NODE_CXL_BACKEND says otherwise: `mock` is a mock of one
 * memory device, `mock:FILE.json` what the file describes under `doe`, else the same.
 */
export const doe = new Doe(() => chooseBus(process.env['NODE_CXL_BACKEND'] ?? ''));

/**
 * The functions of a file that `lspci -xxxx` made: to be looked at, not talked to (EROFS).
 * @throws what fs.readFileSync() throws; ERR_INVALID_ARG_VALUE when it is no such dump
 */
export function doeFromDump(file: string): Doe {
  return new Doe(new DumpPci(readFileSync(file, 'latin1')));
}

function chooseBus(choice: string): PciBus {
  debug('doe backend: %s', choice || 'native');
  if (choice === '' || choice === 'native') return new SysfsPci();
  if (choice === 'mock' || /^mock:./.test(choice)) {
    // Loaded when chosen, as the other mock is.
    const { mockDoeFromConfig } = require('../mock/doe/config') as {
      mockDoeFromConfig(file: string | undefined): Doe;
    };
    return mockDoeFromConfig(choice === 'mock' ? undefined : choice.slice('mock:'.length)).bus;
  }
  throw valueError('NODE_CXL_BACKEND', "'native', 'mock' or 'mock:FILE.json'", choice);
}
