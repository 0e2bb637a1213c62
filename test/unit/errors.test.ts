import { constants } from 'node:os';
import { CxlError } from 'node-cxl';
import { createMockCxl } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { ERRNOS, errnoName, NO_THREAD } from '../../dist/shared/errno';
import { systemError, unwrap } from '../../dist/shared/errors';

describe('CxlError', () => {
  it('has the properties of Node’s own system errors', () => {
    const error = systemError('EIO', 'ioctl(START_WORK)', '/dev/cxl/afu0.0s');
    expect(error).toBeInstanceOf(CxlError);
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe('CxlError');
    expect(error.code).toBe('EIO');
    expect(error.errno).toBe(-5);
    expect(error.syscall).toBe('ioctl(START_WORK)');
    expect(error.path).toBe('/dev/cxl/afu0.0s');
    expect(error.message).toMatch(/^EIO: .*ioctl\(START_WORK\) '\/dev\/cxl\/afu0\.0s' \(.+\)$/);
  });

  it('takes an errno of either sign, or its name', () => {
    for (const errno of [28, -28, 'ENOSPC'] as const) {
      expect(systemError(errno, 'open').errno).toBe(-28);
    }
    expect(Object.hasOwn(systemError(28, 'open'), 'path')).toBe(false);
  });

  it('has a hint for common ERRNOS', () => {
    expect(systemError('EACCES', 'open').message).toContain('udev');
    expect(systemError('ENODEV', 'open').message).toContain('Linux 3.18 to 6.14');
    expect(systemError('ENOENT', 'open').message).toContain('Linux 3.18 to 6.14');
    expect(systemError('EPROTO', 'open').message).toContain('update');
    expect(systemError('ENOSPC', 'open').message).toContain('process elements');
    expect(systemError('EIO', 'open').message).toContain('link');
  });

  it('has a hint for the call that failed, not for another with the same errno', async () => {
    const messageOf = async (call: () => unknown): Promise<string> => {
      try {
        await call();
      } catch (error) {
        return (error as Error).message;
      }
      return 'nothing';
    };
    const mock = createMockCxl({ cards: [{}] });
    const [card] = await mock.adapters();
    const [afu] = await mock.afus();
    expect(await messageOf(() => mock.allocate(1, { numaNode: 5 }))).toContain('NUMA node 5');
    expect(await messageOf(() => mock.allocate(1, { hugePages: 'explicit' }))).toContain(
      'nr_hugepages',
    );
    expect(await messageOf(() => mock.adopt(1))).toContain('no such descriptor');
    expect(await messageOf(() => mock.open('afu0.0d'))).toContain('the mode that has this node');
    expect(await messageOf(() => card?.downloadImage(new Uint8Array(1)))).toContain('PowerVM');
    mock.inject({ name: 'sysfs-write', errno: 'EACCES' });
    expect(await messageOf(() => afu?.setIrqsMax(8))).toContain('written by root');
    const guest = createMockCxl({ cards: [{}], flavor: 'guest' });
    const [platform] = await guest.adapters();
    expect(await messageOf(() => platform?.setLoadImageOnPerst('user'))).toContain(
      'no such attribute',
    );
  });

  it('has a name for every errno of Linux', () => {
    // Linux has no 41: it was EWOULDBLOCK, which is EAGAIN.
    const numbers = Array.from({ length: 133 }, (_, index) => index + 1).filter((n) => n !== 41);
    expect(numbers.filter((number) => /^E\d+$/.test(errnoName(-number)))).toEqual([]);
    expect(new Set(Object.values(ERRNOS)).size).toBe(Object.keys(ERRNOS).length);
  });

  it('tells a thread that could not be started from the call that it was for', () => {
    const error = systemError(-NO_THREAD - 11, 'open', '/dev/cxl/afu0.0s', 'a hint of open');
    expect(error).toMatchObject({ code: 'EAGAIN', errno: -11, syscall: 'pthread_create' });
    expect(error.path).toBe(undefined);
    expect(error.message).toContain('ulimit -u');
    expect(errnoName(-NO_THREAD - 11)).toBe('EAGAIN');
  });

  it('names an unknown errno by its number', () => {
    expect(errnoName(-4095)).toBe('E4095');
    expect(systemError(4095, 'read').code).toBe('E4095');
  });

  it('names every errno of errno-base.h, and those up to ELOOP', () => {
    for (let errno = 1; errno <= 40; errno += 1) {
      expect([errno, errnoName(errno)]).not.toEqual([errno, `E${errno}`]);
    }
  });

  it('numbers ERRNOS as Linux does', () => {
    if (process.platform !== 'linux') return;
    const own: Record<string, number> = constants.errno;
    for (const [name, number] of Object.entries(ERRNOS)) {
      if (own[name] !== undefined) expect([name, own[name]]).toEqual([name, number]);
    }
  });
});

describe('unwrap', () => {
  it('returns values and throws negative ERRNOS', () => {
    expect(unwrap(0, 'x')).toBe(0);
    expect(unwrap('text', 'x')).toBe('text');
    expect(() => unwrap(-5, 'read')).toThrow(/^EIO/);
  });
});
