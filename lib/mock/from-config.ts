/** Mocks that a JSON file describes: NODE_CXL_BACKEND=mock:FILE. */
import { checkString } from '../shared/checks';
import { readDoeOptions } from './config/doe-config';
import { readMockOptions } from './config/mock-config';
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
 * @throws ENOENT, EACCES and so on when the file cannot be read; ERR_INVALID_ARG_VALUE when it is
 *   not JSON, or has an unknown option or model; what createMockCxl() throws
 */
export function mockFromConfig(file?: string): MockCxl {
  const options = file === undefined ? { flash: [{}] } : readMockOptions(checkString('file', file));
  return new MockCxl({ seed: DEFAULT_SEED, ...options });
}

/**
 * The DOE devices that a file describes under `doe`: an array of functions as createMockDoe()
 * takes them, with protocols by name (`"table-access"`, `"compliance"`, `"spdm"`). A function has
 * the defaults of memoryDevice(). Without a file, or without `doe` in it: one memory device.
 *
 * @param file path of the file, relative to the working directory
 * @throws as mockFromConfig()
 */
export function mockDoeFromConfig(file?: string): MockDoe {
  return createMockDoe(file === undefined ? {} : readDoeOptions(checkString('file', file)));
}
