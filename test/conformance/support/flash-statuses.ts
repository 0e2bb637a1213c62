/** What each status of a command means: of the adapter that a test makes report it, and of the table alone. */
import type { statusWord } from '../flash-target';

/** Arguments of inject('status'): afu_extra, sense key, sense code and its qualifier. */
const extra = (afuExtra: number) => afuExtra * 0x1000000;
export const sense = (key: number, code: number, qualifier = 0) =>
  (key << 16) | (code << 8) | qualifier;
/** afu_extra of a page that is not in memory; of ports that are up, and of those to be used. */
const PAGE_IN = extra(0x0a);
const PORT_UP = extra(0x0f);
/** flags: sense data valid, overrun, underrun. */
const SENSE = 0x80;
const OVERRUN = 0x20;
const UNDERRUN = 0x10;
export const CHECK = { flags: SENSE, scsi: 0x02 };

export type Codes = Parameters<typeof statusWord>[0];
type Row = readonly [name: string, codes: Codes, argument: number, errno: string];

/** Issued again, and successful if the next attempt is. The error is that after all attempts. */
export const RETRIED: readonly (readonly [...Row, action: 'again' | 'later' | 'verify'])[] = [
  ['handle table page-in', { afu: 0x04 }, PAGE_IN, 'EIO', 'again'],
  ['chunk table page-in', { afu: 0x14 }, PAGE_IN, 'EIO', 'again'],
  ['no translation of the host', { afu: 0x1a }, 0, 'EPERM', 'later'],
  ['no channel, a wanted port up', { afu: 0x20 }, PORT_UP, 'ENETDOWN', 'later'],
  ['capability violation', { afu: 0x21 }, 0, 'EPERM', 'later'],
  ['out of data buffers', { afu: 0x30 }, 0, 'EIO', 'again'],
  ['data page-in', { afu: 0x31 }, PAGE_IN, 'EFAULT', 'again'],
  ['time-out before the link', { afu: 0x50 }, 0, 'ETIMEDOUT', 'again'],
  ['time-out', { afu: 0x51 }, 0, 'ETIMEDOUT', 'again'],
  ['an AFU code that is not known', { afu: 0x77 }, 0, 'EIO', 'again'],
  ['not ready', CHECK, sense(2, 0x04, 1), 'EIO', 'later'],
  ['unit attention: power on or reset', CHECK, sense(6, 0x29), 'EIO', 'verify'],
  ['unit attention: capacity changed', CHECK, sense(6, 0x2a, 9), 'EIO', 'verify'],
  ['unit attention: LUNs changed', CHECK, sense(6, 0x3f, 0x0e), 'EIO', 'verify'],
  ['check condition without sense data', { scsi: 0x02 }, 0, 'EIO', 'again'],
  ['busy', { scsi: 0x08 }, 0, 'EBUSY', 'later'],
  ['task set full', { scsi: 0x28 }, 0, 'EBUSY', 'later'],
  ['abort pending', { fc: 0x52 }, 0, 'ETIMEDOUT', 'again'],
  ['write abort pending', { fc: 0x53 }, 0, 'EIO', 'again'],
  ['no login', { fc: 0x54 }, 0, 'ENETDOWN', 'again'],
  ['link down', { fc: 0x57 }, 0, 'ENETDOWN', 'again'],
  ['abort successful', { fc: 0x58 }, 0, 'EIO', 'again'],
  ['abort failed', { fc: 0x59 }, 0, 'EIO', 'again'],
  ['underrun', { fc: 0x5a, flags: UNDERRUN }, 0, 'EIO', 'again'],
  ['another length than the LUN said', { fc: 0x5b }, 0, 'EIO', 'again'],
  ['aborted by the target', { fc: 0x5c }, 0, 'EIO', 'again'],
  ['aborted at shutdown', { fc: 0x5e }, 0, 'EIO', 'again'],
];

/** Reported at once. */
export const FAILED: readonly Row[] = [
  ['handle invalid', { afu: 0x01 }, 0, 'EINVAL'],
  ['handle table unaligned', { afu: 0x02 }, 0, 'EIO'],
  ['handle out of bounds', { afu: 0x03 }, 0, 'EINVAL'],
  ['handle table not accessible', { afu: 0x04 }, extra(0x0b), 'EIO'],
  ['no permission of the handle', { afu: 0x05 }, 0, 'EACCES'],
  ['chunk table unaligned', { afu: 0x12 }, 0, 'EIO'],
  ['chunk out of bounds', { afu: 0x13 }, 0, 'EINVAL'],
  ['chunk table not accessible', { afu: 0x14 }, extra(0x0b), 'EIO'],
  ['no permission of the chunk', { afu: 0x15 }, 0, 'EACCES'],
  ['no channel, no port up', { afu: 0x20 }, 0, 'ENETDOWN'],
  ['data not accessible', { afu: 0x31 }, extra(0x0b), 'EFAULT'],
  ['medium error', CHECK, sense(3, 0x11), 'EIO'],
  ['hardware error', CHECK, sense(4, 0x44), 'EIO'],
  ['illegal request', CHECK, sense(5, 0x24), 'EIO'],
  ['unit attention of another kind', CHECK, sense(6, 0x3f, 0x03), 'EIO'],
  ['data protect', CHECK, sense(7, 0x27), 'EIO'],
  ['aborted command', CHECK, sense(0xb, 0), 'EIO'],
  ['reservation conflict', { scsi: 0x18 }, 0, 'EBUSY'],
  ['another SCSI status', { scsi: 0x30 }, 0, 'EIO'],
  ['FC protocol error', { fc: 0x55 }, 0, 'EIO'],
  ['tag in use', { fc: 0x56 }, 0, 'EIO'],
  ['overrun', { fc: 0x5a, flags: OVERRUN }, 0, 'EIO'],
  ['a link code that is not known', { fc: 0x77 }, 0, 'EIO'],
  ['a length alone', { flags: UNDERRUN }, 0, 'EIO'],
  ['recovered error with underrun', { ...CHECK, flags: SENSE | UNDERRUN }, sense(1, 0), 'EIO'],
  ['recovered error with overrun', { ...CHECK, flags: SENSE | OVERRUN }, sense(1, 0), 'EIO'],
  ['recovered error with a link code', { ...CHECK, fc: 0x55 }, sense(1, 0), 'EIO'],
];
