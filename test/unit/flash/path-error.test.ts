/** Which errors are a path's, so that a transfer is begun again over another. */
import { describe, expect, it } from 'vitest';
import { isClosedContext, isPathError } from '../../../lib/flash/path-error';
import { CxlError, stateError, systemError } from '../../../lib/shared/errors';

const withStatus = (status: { afuCode?: number; fcCode?: number }) =>
  Object.assign(systemError('EIO', 'read'), { status: { afuCode: 0, fcCode: 0, ...status } });

describe('an error of a transfer', () => {
  it('without a status is the path’s, unless it is of the call', () => {
    for (const code of ['EIO', 'ENODEV', 'ETIMEDOUT', 'EPERM'] as const) {
      expect([code, isPathError(systemError(code, 'sislite'))]).toEqual([code, true]);
    }
    for (const code of ['ECANCELED', 'EOPNOTSUPP', 'EACCES', 'EFAULT', 'EINVAL'] as const) {
      expect([code, isPathError(systemError(code, 'sislite'))]).toEqual([code, false]);
    }
    // The time limit of the call.
    expect(isPathError(systemError('ETIMEDOUT', 'transfer'))).toBe(false);
  });

  it('with a status is the path’s where no port reaches the LUN, or the context is lost', () => {
    const paths = [0x1a, 0x20, 0x21];
    for (let afuCode = 1; afuCode < 256; afuCode += 1) {
      expect([afuCode, isPathError(withStatus({ afuCode }))]).toEqual([
        afuCode,
        paths.includes(afuCode),
      ]);
    }
    // The AFU's code decides.
    expect(isPathError(withStatus({ afuCode: 0x13, fcCode: 0x57 }))).toBe(false);
  });

  it('with a code of the link is the path’s, unless that is of a length', () => {
    for (let fcCode = 0; fcCode < 256; fcCode += 1) {
      const expected = ![0, 0x5a, 0x5b].includes(fcCode);
      expect([fcCode, isPathError(withStatus({ fcCode }))]).toEqual([fcCode, expected]);
    }
  });

  it('of anything but a system call is not', () => {
    const status = { afuCode: 0x20, fcCode: 0 };
    for (const error of [undefined, null, new Error('EIO'), { code: 'EIO', status }]) {
      expect(isPathError(error)).toBe(false);
    }
    expect(isPathError(new CxlError(5, 'read'))).toBe(true);
  });
});

describe('a transfer over a context that is closed', () => {
  it('was ended, or is refused', () => {
    expect(isClosedContext(systemError('ECANCELED', 'sislite'))).toBe(true);
    expect(isClosedContext(stateError('closed'))).toBe(true);
    for (const error of [systemError('EIO', 'read'), new Error('closed'), undefined, null]) {
      expect(isClosedContext(error)).toBe(false);
    }
  });
});
