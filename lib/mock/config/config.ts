/** A mock described in a JSON file: NODE_CXL_BACKEND=mock:config.json. */

import type { AfuModel } from '../device/model';
import { echoAfu } from '../device/models/echo';
import { memcpyAfu } from '../device/models/memcpy';
import { MockCxl } from '../mock-cxl';
import { byName, knownObject, list, placeOf, readConfig } from './config-file';
import type { MockCardOptions, MockOptions } from './options';

const models: Readonly<Record<string, () => AfuModel>> = { memcpy: memcpyAfu, echo: echoAfu };

/**
 * The mock that a file describes: the options of createMockCxl(), with the models by name
 * (`"model": "memcpy"` or `"echo"`); what the file says under `doe` is mockDoeFromConfig()'s.
 * Without a file, a card with a memcpy AFU, one with an echo AFU, and a flash adapter.
 *
 * @param file path, from the working directory; so are those of LUNs in it
 * @throws ENOENT, EACCES and so on by their own names when it cannot be read;
 *   ERR_INVALID_ARG_VALUE when it is not JSON, or names an option or model there is none of;
 *   what createMockCxl() throws of its values
 */
export function mockFromConfig(file?: string): MockCxl {
  return new MockCxl(file === undefined ? { flash: [{}] } : optionsOf(file));
}

const cardNames = [
  'afus',
  'caiaVersion',
  'pslRevision',
  'baseImage',
  'imageLoaded',
  'loadImageOnPerst',
  'perstReloadsSameImage',
  'timebaseSynced',
  'tunneledOps',
  'interrupts',
  'pciAddress',
  'vendor',
  'device',
  'resetTime',
];
const afuNames = ['model', 'mode', 'interruptsMaximum', 'apiVersion', 'apiVersionCompatible'];
const flashNames = [
  'luns',
  'ports',
  'contexts',
  'interruptsMinimum',
  'commandMode',
  'commandRoom',
  'unmap',
  'provisioning',
  'debugging',
];
const lunNames = ['blocks', 'blockSize', 'wwid', 'file', 'ports'];

function optionsOf(file: string): MockOptions {
  const where = placeOf(file);
  const { cards, doe: _, ...options } = readConfig(file);
  checkFlash(`${where}.flash`, options['flash'] ?? []);
  if (cards === undefined) return options as MockOptions;
  const made = list(`${where}.cards`, cards).map((card, index): MockCardOptions => {
    const name = `${where}.cards[${index}]`;
    const { afus, ...rest } = knownObject(name, card, cardNames);
    if (afus === undefined) return rest;
    return {
      ...rest,
      afus: list(`${name}.afus`, afus).map((afu, slice) => {
        const afuName = `${name}.afus[${slice}]`;
        const { model = 'memcpy', ...settings } = knownObject(afuName, afu, afuNames);
        return { ...settings, model: byName(`${afuName}.model`, models, model)() };
      }),
    };
  });
  return { ...options, cards: made } as MockOptions;
}

function checkFlash(name: string, flash: unknown): void {
  for (const [index, adapter] of list(name, flash).entries()) {
    const { luns } = knownObject(`${name}[${index}]`, adapter, flashNames);
    if (luns === undefined) continue;
    for (const [lun, options] of list(`${name}[${index}].luns`, luns).entries()) {
      knownObject(`${name}[${index}].luns[${lun}]`, options, lunNames);
    }
  }
}
