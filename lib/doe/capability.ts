/** Finding DOE capabilities: the walk of the extended capability list (PCIe 6.0 §7.6). */

import type { ErrnoName } from '../shared/errno';
import { type CxlError, systemError } from '../shared/errors';
import type { ConfigSpace } from './pci';
import { doeCapabilityId, offsets, readHint, registersLength } from './registers';

const firstExtended = 0x100;
const spaceEnd = 0x1000;
const pciExpressCapabilityId = 0x10;

/** A DOE capability as its registers describe it. */
export interface DoeCapability {
  /** Of the header, in configuration space. */
  readonly offset: number;
  /** Capability version: 2 and later speak discovery version 2. */
  readonly version: number;
  readonly interrupt: {
    readonly supported: boolean;
    /** MSI or MSI-X message number, where supported. User space polls all the same. */
    readonly messageNumber: number;
  };
}

export interface Walk {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly capabilities: DoeCapability[];
  /** Why the walk ended early. What was found before stands. */
  readonly problem?: CxlError;
}

/**
 * Every DOE capability of a function. A list that loops, leaves the space or cannot be read
 * ends the walk and is told in `problem`.
 * @throws CxlError when not even the function's identity can be read
 */
export function walkCapabilities(space: ConfigSpace, path: string): Walk {
  const identity = read(space, 0, path);
  if (identity === 0xffff_ffff) {
    throw systemError('ENODEV', 'read(config)', path, 'the device is gone, or its link is down');
  }
  const capabilities: DoeCapability[] = [];
  const found = { vendorId: identity & 0xffff, deviceId: identity >>> 16, capabilities };
  try {
    if (space.size <= firstExtended) {
      if (isExpress(space, path)) {
        const hint = `the system reaches ${space.size} of the 4096 bytes of a PCI Express function`;
        throw corrupt('ENODATA', path, hint);
      }
      return found;
    }
    walk(space, path, capabilities);
    return found;
  } catch (error) {
    return { ...found, problem: error as CxlError };
  }
}

function walk(space: ConfigSpace, path: string, found: DoeCapability[]): void {
  const seen = new Set<number>();
  for (let at = firstExtended; at !== 0; ) {
    if (at < firstExtended || at + 4 > spaceEnd) {
      throw corrupt('EBADMSG', path, `the capability list points to ${hex(at)}, outside its space`);
    }
    if (seen.has(at)) {
      throw corrupt('EBADMSG', path, `the capability list comes back to ${hex(at)}`);
    }
    seen.add(at);
    const header = read(space, at, path);
    if (header === 0xffff_ffff) {
      throw corrupt('EBADMSG', path, `the capability list reads all ones at ${hex(at)}`);
    }
    if ((header & 0xffff) === doeCapabilityId) {
      if (at + registersLength > spaceEnd) {
        throw corrupt('EBADMSG', path, `the DOE capability at ${hex(at)} leaves the space`);
      }
      const registers = read(space, at + offsets.capabilities, path);
      const supported = (registers & 1) !== 0;
      found.push({
        offset: at,
        version: (header >>> 16) & 0xf,
        interrupt: { supported, messageNumber: supported ? (registers >>> 1) & 0x7ff : 0 },
      });
    }
    // 0 ends the list; an empty one is a header of zeros.
    at = (header >>> 20) & 0xffc;
  }
}

/** Conventional functions have no extended space and lack nothing; these would. */
function isExpress(space: ConfigSpace, path: string): boolean {
  const hasList = ((read(space, 0x04, path) >>> 20) & 1) === 1;
  if (!hasList) return false;
  const seen = new Set<number>();
  for (let at = read(space, 0x34, path) & 0xfc; at >= 0x40 && !seen.has(at); ) {
    seen.add(at);
    // The list lies past the header: beyond what was recorded, or what only root may read.
    if (at + 4 > space.size) return true;
    const header = read(space, at, path);
    if ((header & 0xff) === pciExpressCapabilityId) return true;
    at = (header >>> 8) & 0xfc;
  }
  return false;
}

function read(space: ConfigSpace, offset: number, path: string): number {
  const value = space.readDword(offset);
  if (value >= 0) return value;
  throw systemError(value === -61 ? 'EACCES' : value, 'read(config)', path, readHint(value));
}

function corrupt(code: ErrnoName, path: string, hint: string): CxlError {
  return systemError(code, 'doe(find)', path, hint, corrupt);
}

function hex(offset: number): string {
  return `0x${offset.toString(16)}`;
}
