/** The attributes of /sys/class/cxl through the file system. */
import { promises as files } from 'node:fs';
import type { NegativeErrno, SysFs } from '../binding';
import { errnos } from '../shared/errors';
import type { Addon } from './addon';

/** Node's own errors carry the negative errno already, and this is Linux. */
function errnoOf(error: unknown): NegativeErrno {
  const { errno } = error as NodeJS.ErrnoException;
  if (typeof errno === 'number' && errno < 0) return errno;
  throw error;
}

async function part(path: string, offset: number, length: number): Promise<Uint8Array> {
  const file = await files.open(path, 'r');
  try {
    const bytes = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  } finally {
    await file.close();
  }
}

export function nativeSysFs(addon: Addon): SysFs {
  // A path with a zero byte would end there.
  const whole = (path: string) =>
    path.includes('\0') ? -errnos.EINVAL : addon.readAttribute(path);
  return {
    readdir: (path) => files.readdir(path).catch(errnoOf),
    async read(path, offset, length) {
      try {
        if (offset === undefined && length === undefined) return whole(path);
        if (length !== undefined) return await part(path, offset ?? 0, length);
        return (await files.readFile(path)).subarray(offset);
      } catch (error) {
        return errnoOf(error);
      }
    },
    readSync: whole,
    write: (path, data) =>
      path.includes('\0')
        ? Promise.resolve(-errnos.EINVAL)
        : new Promise((settle) => addon.writeAttribute(path, data, settle)),
    realpath: (path) => files.realpath(path).catch(errnoOf),
  };
}
