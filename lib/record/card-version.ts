/** Of which version of a card a recording is: attributes that sysfs had when it began. */
import { CLASS_DIRECTORY } from '../sysfs/layout';
import type { SysfsRecord } from './records';

/** What tells one version of a card or an AFU from another. */
const NAMES = new Set([
  'caia_version',
  'psl_revision',
  'base_image',
  'image_loaded',
  'api_version',
]);

/** The path of a recorded attribute below /sys/class/cxl, and its text. Undefined: it was not recorded. */
export function attributeText(
  record: SysfsRecord | undefined,
): readonly [path: string, text: string] | undefined {
  if (record?.data === undefined) return undefined;
  const text = Buffer.from(record.data).toString('latin1').trim();
  return [record.path.slice(`${CLASS_DIRECTORY}/`.length), text];
}

/** The version attributes among records, by their path below /sys/class/cxl. */
export function cardVersion(records: Iterable<SysfsRecord>): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const record of records) {
    const attribute = attributeText(record);
    const name = attribute?.[0].split('/')[1] ?? '';
    if (attribute !== undefined && NAMES.has(name)) found.set(...attribute);
  }
  return found;
}

/** One line: `card0/psl_revision 1, afu0.0/api_version 3`. */
export function formatVersion(version: ReadonlyMap<string, string>): string {
  return [...version]
    .sort()
    .map(([path, text]) => `${path} ${text}`)
    .join(', ');
}
