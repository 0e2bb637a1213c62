/** Finds DOE capabilities in the list of extended capabilities (PCIe 6.0 §7.6). */
import type { ConfigSpace } from '../binding/configuration-space';
import { ALL_ONES_32 } from '../shared/all-ones';
import { ERRNOS, type ErrnoName } from '../shared/errno';
import { type CxlError, systemError } from '../shared/errors';
import {
  CAPABILITY_BITS,
  DOE_CAPABILITY_ID,
  OFFSETS,
  REGISTERS_LENGTH,
  readHint,
} from './registers';

/** Extended configuration space begins here; offset in bytes. */
const EXTENDED_START = 0x100;
const SPACE_END = 0x1000;
const PCI_EXPRESS_CAPABILITY_ID = 0x10;

/** A DOE capability, as its registers describe it. */
export interface DoeCapability {
  /** Offset of its header in configuration space, in bytes. */
  readonly offset: number;
  /** From 2 on, a device knows version 2 of discovery. */
  readonly version: number;
  /** Whether the device raises an interrupt when an answer is ready, and which one. */
  readonly interrupt: {
    /** Whether it does. */
    readonly supported: boolean;
    /** MSI or MSI-X message number; 0 where not supported. This library polls anyway. */
    readonly messageNumber: number;
  };
  /** The attention mechanism is supported (after PCIe 6.0). */
  readonly attention: boolean;
  /** Asynchronous messages are supported (after PCIe 6.0). */
  readonly asyncMessages: boolean;
}

/** What walkCapabilities() found. */
export interface CapabilityWalk {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly capabilities: DoeCapability[];
  /** Why the walk ended early; the capabilities found before are listed. */
  readonly problem?: CxlError;
}

/**
 * Every DOE capability of a function. A list that has a loop, points outside the space or cannot be
 * read ends the walk, and `problem` says so.
 * @throws CxlError when the function's vendor and device ids cannot be read
 */
export function walkCapabilities(space: ConfigSpace, path: string): CapabilityWalk {
  const identity = read(space, 0, path);
  if (identity === ALL_ONES_32) {
    throw systemError('ENODEV', 'read(config)', path, 'the device is gone, or its link is down');
  }
  const capabilities: DoeCapability[] = [];
  const found = { vendorId: identity & 0xffff, deviceId: identity >>> 16, capabilities };
  try {
    if (space.size <= EXTENDED_START) {
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
  for (let at = EXTENDED_START; at !== 0; ) {
    if (at < EXTENDED_START) {
      throw corrupt('EBADMSG', path, `the capability list points to ${hex(at)}, outside its space`);
    }
    if (seen.has(at)) {
      throw corrupt('EBADMSG', path, `the capability list has a loop at ${hex(at)}`);
    }
    seen.add(at);
    const header = read(space, at, path);
    if (header === ALL_ONES_32) {
      throw corrupt('EBADMSG', path, `the capability list reads all ones at ${hex(at)}`);
    }
    if ((header & 0xffff) === DOE_CAPABILITY_ID) {
      if (at + REGISTERS_LENGTH > SPACE_END) {
        throw corrupt('EBADMSG', path, `the DOE capability at ${hex(at)} leaves the space`);
      }
      const registers = read(space, at + OFFSETS.capabilities, path);
      const supported = (registers & CAPABILITY_BITS.interrupt) !== 0;
      found.push({
        offset: at,
        version: (header >>> 16) & 0xf,
        interrupt: { supported, messageNumber: supported ? (registers >>> 1) & 0x7ff : 0 },
        attention: (registers & CAPABILITY_BITS.attention) !== 0,
        asyncMessages: (registers & CAPABILITY_BITS.asyncMessages) !== 0,
      });
    }
    // 0 ends the list; a function without extended capabilities has a header of zeros.
    at = (header >>> 20) & 0xffc;
  }
}

/** Whether the function is PCI Express, and so has extended space; conventional PCI has none. */
function isExpress(space: ConfigSpace, path: string): boolean {
  const hasList = ((read(space, 0x04, path) >>> 20) & 1) === 1;
  if (!hasList) return false;
  const seen = new Set<number>();
  for (let at = read(space, 0x34, path) & 0xfc; at >= 0x40 && !seen.has(at); ) {
    seen.add(at);
    // The rest of the list was not recorded, or only root may read it: assume PCI Express.
    if (at + 4 > space.size) return true;
    const header = read(space, at, path);
    if ((header & 0xff) === PCI_EXPRESS_CAPABILITY_ID) return true;
    at = (header >>> 8) & 0xfc;
  }
  return false;
}

function read(space: ConfigSpace, offset: number, path: string): number {
  const value = space.readDword(offset);
  if (value >= 0) return value;
  throw systemError(
    value === -ERRNOS.ENODATA ? 'EACCES' : value,
    'read(config)',
    path,
    readHint(value),
  );
}

function corrupt(code: ErrnoName, path: string, hint: string): CxlError {
  return systemError(code, 'doe(find)', path, hint, corrupt);
}

function hex(offset: number): string {
  return `0x${offset.toString(16)}`;
}
