/** Mocks that a JSON file describes: NODE_CXL_BACKEND=mock:FILE. */
import { checkString } from '../shared/checks';
import { readConfig } from './config/config-file';
import { createMockDoe, type MockDoe } from './doe/mock-doe';
import { MockCxl } from './mock-cxl';

/**
 * The seed where the file has none: each process is a run of its own, and the LUNs that one command
 * has listed must have the same world-wide ids for the next.
 */
const DEFAULT_SEED = 1;

/**
 * The cxl system that a file describes: the options of createMockCxl(), with AFU models by name
 * (`"model": "memcpy"` or `"echo"`). What the file has under `doe` is for mockDoeFromConfig().
 * Without a file: a card with a memcpy AFU, one with an echo AFU, and a flash adapter. The default
 * of `seed` is 1, so that every run has the same world-wide ids and the same random faults.
 *
 * @param file path of the file; it and the paths of LUN files in it are relative to the working
 *   directory
 * An editor that is given the schema `node-cxl/mock-config.schema.json`, by `$schema` in the file,
 * completes it and shows mistakes.
 *
 * @throws ENOENT, EACCES and so on when the file cannot be read; ERR_INVALID_ARG_VALUE when it is
 *   not JSON, or has an unknown option or model; what createMockCxl() and createMockDoe() throw,
 *   whichever of the two the file is read for
 * @example
 * import { writeFileSync } from 'node:fs';
 * import { mockFromConfig } from 'node-cxl/mock';
 *
 * writeFileSync('cards.json', JSON.stringify({ cards: [{ afus: [{ model: 'echo' }] }] }));
 * const system = mockFromConfig('cards.json'); // as NODE_CXL_BACKEND=mock:cards.json
 * console.log((await system.afus()).length); // 1
 */
export function mockFromConfig(file?: string): MockCxl {
  const options =
    file === undefined ? { flash: [{}] } : readConfig(checkString('file', file)).options;
  return new MockCxl({ seed: DEFAULT_SEED, ...options });
}

/**
 * The DOE devices that a file describes under `doe`: an array of functions as createMockDoe()
 * takes them, with protocols by name (`"table-access"`, `"compliance"`, `"spdm"`). A function has
 * the defaults of memoryDevice(). Without a file, or without `doe` in it: one memory device.
 *
 * @param file path of the file, relative to the working directory
 * @throws as mockFromConfig()
 * @example
 * import { writeFileSync } from 'node:fs';
 * import { mockDoeFromConfig } from 'node-cxl/mock';
 *
 * writeFileSync('machine.json', JSON.stringify({ doe: [{ mailboxes: [{ protocols: ['spdm'] }] }] }));
 * const doe = mockDoeFromConfig('machine.json');
 * console.log((await doe.mailboxes()).length); // 1
 */
export function mockDoeFromConfig(file?: string): MockDoe {
  return file === undefined ? createMockDoe() : readConfig(checkString('file', file)).doe;
}
