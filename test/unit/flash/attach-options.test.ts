/** The options of attach(): their defaults and limits. */
import { endianness } from 'node:os';
import { describe, expect, it } from 'vitest';
import { ACCESS_FLAGS, checkAttachOptions } from '../../../lib/flash/attach-options';

const coded = (code: string) => expect.objectContaining({ code });

describe('the options of attach()', () => {
  it('have defaults', () => {
    expect(checkAttachOptions({})).toEqual({
      access: 'read-write',
      interrupts: 4,
      queue: {
        endian: endianness() === 'LE' ? 'little' : 'big',
        depth: 128,
        bounceBytes: 65536,
        completion: 'interrupt',
        onReset: 'retry',
        retries: 5,
        watchInterval: 250,
        commandTimeout: 30_000,
        responseTimeout: 35_000,
      },
    });
    // The AFU's own limit comes first.
    expect(checkAttachOptions({ commandTimeout: 1000 }).queue.responseTimeout).toBe(6000);
  });

  it('are taken as they are given', () => {
    const { signal } = new AbortController();
    const queue = {
      endian: 'big',
      bounceBytes: 4096,
      completion: 'poll',
      onReset: 'fail',
      retries: 0,
      watchInterval: 5,
      commandTimeout: 7,
      responseTimeout: 9,
    } as const;
    const options = { access: 'write', interrupts: 0, queueDepth: 3, signal, ...queue } as const;
    expect(checkAttachOptions(options)).toEqual({
      access: 'write',
      interrupts: 0,
      queue: { ...queue, depth: 3 },
    });
  });

  it('have limits', () => {
    for (const [name, min, max] of [
      ['interrupts', 0, 4],
      ['queueDepth', 1, 4096],
      ['bounceBytes', 4096, 16777216],
      ['retries', 0, 1000],
      ['watchInterval', 1, 60_000],
      ['commandTimeout', 1, 65_535_000],
      ['responseTimeout', 1, 2 ** 31 - 1],
    ] as const) {
      for (const value of [min, max]) checkAttachOptions({ [name]: value, completion: 'poll' });
      for (const value of [min - 1, max + 1]) {
        const check = () => checkAttachOptions({ [name]: value });
        expect(check, `${name}: ${value}`).toThrow(coded('ERR_OUT_OF_RANGE'));
        expect(check).toThrow(name);
      }
    }
    for (const bounceBytes of [4097, 8191]) {
      const check = () => checkAttachOptions({ bounceBytes });
      expect(check).toThrow(coded('ERR_INVALID_ARG_VALUE'));
      expect(check).toThrow('options.bounceBytes must be a multiple of 4096');
    }
    checkAttachOptions({ bounceBytes: 12288 });
  });

  it('have names and values of lists', () => {
    for (const wrong of [
      ...[{ access: 'none' }, { endian: 'middle' }, { completion: 'wait' }, { onReset: 'ignore' }],
      { queueDept: 1 },
    ]) {
      const check = () => checkAttachOptions(wrong as never);
      expect(check).toThrow(coded('ERR_INVALID_ARG_VALUE'));
      expect(check).toThrow(`options.${Object.keys(wrong)[0]}`);
    }
    for (const access of ['read', 'write', 'read-write'] as const) {
      expect(checkAttachOptions({ access }).access).toBe(access);
    }
    // As O_RDONLY, O_WRONLY and O_RDWR.
    expect(ACCESS_FLAGS).toEqual({ read: 0n, write: 1n, 'read-write': 2n });
  });

  it('ask for two interrupts, unless completions are polled for', () => {
    for (const interrupts of [0, 1]) {
      const check = () => checkAttachOptions({ interrupts });
      expect(check).toThrow(coded('ERR_INVALID_ARG_VALUE'));
      expect(check).toThrow("options.interrupts must be at least 2, or completion 'poll'");
      checkAttachOptions({ interrupts, completion: 'poll' });
    }
    checkAttachOptions({ interrupts: 2 });
  });
});
