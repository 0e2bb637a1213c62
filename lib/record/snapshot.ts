/** What sysfs says of the cards and AFUs when a recording begins. */
import type { SysFs } from '../binding';
import { CLASS_DIRECTORY } from '../sysfs/layout';
import type { Recorder } from './recorder';
import type { SysfsRecord } from './records';

/** Attributes of cards and AFUs that have more bytes are cut off: the error buffer is the only one. */
const MAX_BYTES = 64 * 1024;
/** More is not recorded: links would lead through all of sysfs otherwise. */
const MAX_DEPTH = 3;
const MAX_PATHS = 2000;

/** Not followed: they lead out of the class, or back into it. */
const LINKS: ReadonlySet<string> = new Set([
  'device',
  'subsystem',
  'driver',
  'firmware_node',
  'of_node',
  'power',
]);

/** Records the attributes below /sys/class/cxl. Never throws. */
export async function recordSnapshot(sysfs: SysFs, recorder: Recorder): Promise<void> {
  let paths = [CLASS_DIRECTORY];
  let count = 0;
  for (let depth = 0; depth <= MAX_DEPTH && paths.length > 0; depth += 1) {
    count += paths.length;
    if (count > MAX_PATHS) {
      const message = `sysfs has more than ${MAX_PATHS} paths of cards and AFUs: the others are not recorded`;
      const time = recorder.now();
      recorder.write({ type: 'note', time, code: 'snapshot-limit', message, object: 0 });
      return;
    }
    const found = await Promise.all(paths.map((path) => readPath(sysfs, path)));
    const time = recorder.now();
    recorder.write(...found.map((record) => ({ type: 'sysfs' as const, time, ...record })));
    paths = found.flatMap(({ path, names = [] }) =>
      names.filter((name) => !LINKS.has(name)).map((name) => `${path}/${name}`),
    );
  }
}

async function readPath(sysfs: SysFs, path: string): Promise<Omit<SysfsRecord, 'type' | 'time'>> {
  const names = await sysfs.readdir(path);
  if (typeof names === 'number') {
    const data = await sysfs.read(path, 0, MAX_BYTES);
    return typeof data === 'number' ? { path, errno: data } : { path, data };
  }
  const target = await sysfs.realpath(path);
  return typeof target === 'number' || target === path ? { path, names } : { path, names, target };
}
