/** The options of createMockCxl() as a JSON file has them: AFU models are given by name. */
import { AFU_OPTIONS, CARD_OPTIONS, type MockCardOptions } from '../device/card-options';
import { FLASH_OPTIONS, LUN_OPTIONS } from '../flash/options';
import type { AfuModel } from '../models/afu-model';
import { echoAfu } from '../models/echo';
import { memcpyAfu } from '../models/memcpy';
import { byName, knownObject, list, placeOf, readConfig } from './config-file';
import type { MockOptions } from './options';

const MODELS: Readonly<Record<string, () => AfuModel>> = { memcpy: memcpyAfu, echo: echoAfu };

/** @throws as mockFromConfig() */
export function readMockOptions(file: string): MockOptions {
  const where = placeOf(file);
  const { cards, doe: _, ...options } = readConfig(file);
  checkFlash(`${where}.flash`, options['flash'] ?? []);
  if (cards === undefined) return options as MockOptions;
  const made = list(`${where}.cards`, cards).map((card, index): MockCardOptions => {
    const name = `${where}.cards[${index}]`;
    const { afus, ...rest } = knownObject(name, card, CARD_OPTIONS);
    if (afus === undefined) return rest;
    return {
      ...rest,
      afus: list(`${name}.afus`, afus).map((afu, slice) => {
        const afuName = `${name}.afus[${slice}]`;
        const { model = 'memcpy', ...settings } = knownObject(afuName, afu, AFU_OPTIONS);
        return { ...settings, model: byName(`${afuName}.model`, MODELS, model)() };
      }),
    };
  });
  return { ...options, cards: made } as MockOptions;
}

function checkFlash(name: string, flash: unknown): void {
  for (const [index, adapter] of list(name, flash).entries()) {
    const { luns } = knownObject(`${name}[${index}]`, adapter, FLASH_OPTIONS);
    if (luns === undefined) continue;
    for (const [lun, options] of list(`${name}[${index}].luns`, luns).entries()) {
      knownObject(`${name}[${index}].luns[${lun}]`, options, LUN_OPTIONS);
    }
  }
}
