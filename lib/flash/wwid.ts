/** World-wide ids of LUNs: 16 bytes, NAA 6, as in VPD page 0x83. */
import type { SysFs } from '../binding';
import { systemError, typeError, valueError } from '../shared/errors';

const WWID_BYTES = 16;

/** Parses 32 hexadecimal digits, with or without the `naa.` of sysfs; 16 bytes are returned as is. */
export function parseWwid(name: string, wwid: string | Uint8Array): Uint8Array {
  if (wwid instanceof Uint8Array) {
    if (wwid.length !== WWID_BYTES) throw valueError(name, '16 bytes', wwid);
    return wwid;
  }
  if (typeof wwid !== 'string') throw typeError(name, 'a string or 16 bytes', wwid);
  const digits = /^(?:naa\.)?([0-9a-f]{32})$/i.exec(wwid.trim())?.[1];
  if (digits === undefined) throw valueError(name, '32 hexadecimal digits', wwid);
  return Uint8Array.from(Buffer.from(digits, 'hex'));
}

/** The path in sysfs of an attribute of the SCSI device with a node such as /dev/sdb or /dev/sg1. */
export async function deviceAttribute(sysfs: SysFs, path: string, name: string): Promise<string> {
  const real = await sysfs.realpath(path);
  const node = typeof real === 'string' ? real : path;
  const base = node.slice(node.lastIndexOf('/') + 1);
  const kind = base.startsWith('sg') ? 'scsi_generic' : 'block';
  return `/sys/class/${kind}/${base}/device/${name}`;
}

/** The world-wide id of a node such as /dev/sdb or /dev/sg1, from sysfs. */
export async function readWwid(sysfs: SysFs, path: string): Promise<Uint8Array> {
  const attribute = await deviceAttribute(sysfs, path, 'wwid');
  const bytes = await sysfs.read(attribute);
  if (typeof bytes === 'number') throw systemError(bytes, 'read', attribute);
  const text = Buffer.from(bytes).toString('latin1').trim();
  if (!/^naa\.[0-9a-f]{32}$/i.test(text)) {
    const hint = `'${text}' is not an NAA 6 id: pass the LUN's id as wwid`;
    throw systemError('ENODATA', 'read', attribute, hint);
  }
  return parseWwid('wwid', text);
}
