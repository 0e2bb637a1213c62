/** Which part of a problem state area mapProblemState() maps. */
import type { SysFs } from '../binding';
import { checkInteger, checkOptions, type OptionNames } from '../shared/checks';
import { type Endian, resolveEndian } from '../shared/endian';
import { systemError, valueError } from '../shared/errors';
import { Attributes } from '../sysfs/attributes';
import type { ContextOrigin } from './context';

/** Options of Context.mapProblemState(). */
export interface MapOptions {
  /** Byte order of the AFU's registers. Default `big`, as most AFUs are. */
  endian?: Endian | undefined;
  /** Bytes from the start of the area; a multiple of the page size. Default 0. */
  offset?: number | undefined;
  /** Bytes. Default: to the end of the area, whose size is read from sysfs. */
  length?: number | undefined;
}

const MAP_OPTIONS: OptionNames<MapOptions> = { endian: true, offset: true, length: true };

/** @internal The options with their defaults, but for that of `length`: see areaSize(). */
export function checkMapOptions(options: MapOptions, pageSize: number) {
  checkOptions(options, MAP_OPTIONS);
  const endian = resolveEndian('options.endian', options.endian ?? 'big');
  const offset = checkInteger('options.offset', options.offset ?? 0, 0, Number.MAX_SAFE_INTEGER);
  if (offset % pageSize !== 0) {
    throw valueError('options.offset', `a multiple of ${pageSize}`, offset);
  }
  if (options.length !== undefined) {
    checkInteger('options.length', options.length, 1, Number.MAX_SAFE_INTEGER);
  }
  return { endian, offset, length: options.length };
}

/** @internal Bytes of a context's problem state area. */
export function areaSize(sysfs: SysFs, origin: ContextOrigin): number {
  const { mmioSize, sysfsPath } = origin;
  if (mmioSize !== undefined) return mmioSize;
  if (sysfsPath === undefined) {
    throw valueError(
      'options.length',
      'given: for this adopted file, the size of its area cannot be read from sysfs',
      undefined,
    );
  }
  // Read at every call: in a guest the size can change at the first attach.
  const size =
    new Attributes(sysfs, sysfsPath, 1).numberSync('mmio_size') ??
    new Attributes(sysfs, `${sysfsPath}/device`, 1).numberSync('mmio_size');
  if (size === undefined) throw systemError('ENOENT', 'read', `${sysfsPath}/mmio_size`);
  return size;
}
