import { type CxlError, systemError } from '../shared/errors';

/** EBADMSG: what a device sent in `step` does not have the specified form. */
export function malformed(step: string, mailbox: string, hint: string): CxlError {
  return systemError('EBADMSG', `doe(${step})`, mailbox, hint, malformed);
}
