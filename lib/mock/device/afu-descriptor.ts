/** What the descriptor of an AFU may be: one that a card can have, and that the driver accepts. */
import {
  checkArray,
  checkBytes,
  checkInteger,
  checkOneOf,
  checkOptions,
  type OptionNames,
} from '../../shared/checks';
import { rangeError } from '../../shared/errors';
import { type AfuDescriptor, type ConfigRecord, DESCRIPTOR_FIELDS } from '../models/afu-model';

/** The descriptor counts areas in pages of so many bytes. */
const PAGE = 4096;
const PER_PROCESS: OptionNames<NonNullable<AfuDescriptor['perProcess']>> = {
  offset: true,
  size: true,
};
const CONFIG_RECORD: OptionNames<ConfigRecord> = {
  vendor: true,
  device: true,
  class: true,
  config: true,
};

/**
 * @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE, whose messages begin with
 *   `name` and the field. Areas that do not fit the driver refuses too
 *   (drivers/misc/cxl/pci.c, cxl_afu_descriptor_looks_ok).
 */
export function checkDescriptor(descriptor: AfuDescriptor, name: string): AfuDescriptor {
  checkOptions(descriptor, DESCRIPTOR_FIELDS, name);
  const { modes, processes, interruptsMinimum, problemStateSize, perProcess } = descriptor;
  const known = ['dedicated', 'directed'] as const;
  for (const mode of checkArray(`${name}.modes`, modes)) checkOneOf(`${name}.modes`, mode, known);
  if (modes.length === 0) throw rangeError(`${name}.modes`, 'at least one mode', modes);
  checkInteger(`${name}.processes`, processes, 1, 0xffff);
  checkInteger(`${name}.interruptsMinimum`, interruptsMinimum, 0, 2037);
  const area = checkPages(`${name}.problemStateSize`, problemStateSize, 0);
  if (perProcess !== undefined) {
    checkOptions(perProcess, PER_PROCESS, `${name}.perProcess`);
    const offset = checkPages(`${name}.perProcess.offset`, perProcess.offset, 0);
    const size = checkPages(`${name}.perProcess.size`, perProcess.size, PAGE);
    if (offset + size * processes > area) {
      const limit = `areas that end within the ${area} bytes of problemStateSize`;
      throw rangeError(`${name}.perProcess`, limit, `${processes} of ${size} bytes at ${offset}`);
    }
  }
  if (descriptor.endian !== undefined) {
    checkOneOf(`${name}.endian`, descriptor.endian, ['big', 'little']);
  }
  const records = checkArray(`${name}.configRecords`, descriptor.configRecords ?? []);
  for (const [index, record] of records.entries()) {
    checkRecord(record, `${name}.configRecords[${index}]`);
  }
  if (descriptor.errorBuffer !== undefined) {
    checkBytes(`${name}.errorBuffer`, descriptor.errorBuffer);
  }
  return descriptor;
}

function checkRecord(record: ConfigRecord, name: string): void {
  checkOptions(record, CONFIG_RECORD, name);
  checkInteger(`${name}.vendor`, record.vendor, 0, 0xffff);
  checkInteger(`${name}.device`, record.device, 0, 0xffff);
  checkInteger(`${name}.class`, record.class, 0, 0xff_ffff);
  if (record.config !== undefined) checkBytes(`${name}.config`, record.config);
}

function checkPages(name: string, value: number, minimum: number): number {
  checkInteger(name, value, minimum, Number.MAX_SAFE_INTEGER);
  if (value % PAGE !== 0) throw rangeError(name, `a multiple of ${PAGE} bytes`, value);
  return value;
}
