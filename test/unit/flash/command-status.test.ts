/** The status of a command alone: how it is read, judged by the table, and told as an error. */
import { describe, expect, it } from 'vitest';
import { canceled, commandError, judge, readStatus } from '../../../lib/flash/command-status';
import type { CommandStatus } from '../../../lib/flash/sislite';
import {
  CHECK,
  type Codes,
  FAILED,
  RETRIED,
  sense,
} from '../../conformance/support/flash-statuses';

/** What the AFU writes for the arguments of inject('status'). */
function statusOf(codes: Codes, argument: number): CommandStatus {
  const bytes = new Uint8Array(20);
  bytes.set([0x72, argument >>> 16, argument >>> 8, argument]);
  return {
    flags: codes.flags ?? 0,
    afuCode: codes.afu ?? 0,
    scsiCode: codes.scsi ?? 0,
    fcCode: codes.fc ?? 0,
    residual: 0,
    port: 0,
    afuExtra: argument >>> 24,
    scsiExtra: 0,
    fcExtra: 0,
    sense: bytes,
  };
}

const decided = (codes: Codes, argument = 0) => {
  const rule = judge(statusOf(codes, argument))?.rule;
  return rule && [rule.action, rule.errno];
};

describe('a status', () => {
  it('is judged by the first rule of the table that applies', () => {
    for (const [name, codes, argument, errno, action] of RETRIED) {
      expect([name, ...(decided(codes, argument) ?? [])]).toEqual([name, action, errno]);
    }
    for (const [name, codes, argument, errno] of FAILED) {
      expect([name, ...(decided(codes, argument) ?? [])]).toEqual([name, 'fail', errno]);
    }
  });

  it('reports success without a code, and with sense data that tells of none', () => {
    expect(decided({})).toBe(undefined);
    for (const key of [0, 1]) expect(decided(CHECK, sense(key, 0x17))).toBe(undefined);
    // Sense data of a target that has reported nothing.
    expect(decided({ flags: 0x80 }, sense(3, 0x11))).toBe(undefined);
  });

  it('has sense data only where the AFU says so', () => {
    expect(decided({ scsi: 0x02 }, sense(3, 0x11))).toEqual(['again', 'EIO']);
    expect(judge(statusOf(CHECK, sense(3, 0x11)))?.sense).toMatchObject({ key: 'medium-error' });
    expect(judge(statusOf({ scsi: 0x02 }, sense(3, 0x11)))?.sense).toBe(undefined);
    // With sense data, the target's status alone decides nothing.
    expect(decided({ flags: 0x80, scsi: 0x30 }, sense(1, 0))).toBe(undefined);
    expect(decided({ flags: 0x80, scsi: 0x30 }, sense(5, 0x24))).toEqual(['fail', 'EIO']);
  });

  it('retries for want of a channel only where a port that is up may be used', () => {
    // Bits 3:2 are the ports that are up, bits 1:0 those that the command may use.
    const tried = Array.from({ length: 16 }, (_, ports) => {
      const [action] = decided({ afu: 0x20 }, ports * 0x1000000) ?? [];
      return action === 'later';
    });
    const [none, low, high] = [
      [false, false, false, false],
      [false, true, false, true],
      [false, false, true, true],
    ] as const;
    expect(tried).toEqual([...none, ...low, ...high, false, true, true, true]);
    expect(decided({ afu: 0x20 }, 0xf0000000)).toEqual(['fail', 'ENETDOWN']);
  });
});

describe('the status in memory', () => {
  it('has each field at its place, in the byte order of the context', () => {
    const memory = Uint8Array.from({ length: 64 }, (_, index) => index);
    for (const [little, residual] of [
      [true, 0x1716_1514],
      [false, 0x1415_1617],
    ] as const) {
      const view = new DataView(memory.buffer, 8);
      const status = readStatus(view, 8, little);
      expect(status).toEqual({
        flags: 16,
        afuCode: 17,
        scsiCode: 18,
        fcCode: 19,
        residual,
        port: 24,
        afuExtra: 25,
        scsiExtra: 26,
        fcExtra: 27,
        sense: Uint8Array.from({ length: 20 }, (_, index) => 28 + index),
      });
      // The AFU writes there again.
      memory[28] = 0xff;
      expect(status.sense[0]).toBe(28);
      memory[28] = 28;
    }
  });
});

describe('the error of a command', () => {
  const errorOf = (codes: Codes, argument = 0, attempts = 1, address?: bigint) => {
    const status = statusOf(codes, argument);
    const command = { attempts, name: 'read', resource: { lun: { path: '/dev/sg1' } } };
    return commandError(judge(status)!, status, command as never, address);
  };

  it('has the errno of the rule, the status, the sense data and the address', () => {
    const codes = { ...CHECK, afu: 0x31 };
    const error = errorOf(codes, sense(3, 0x11), 3, 0xabcn);
    expect(error).toMatchObject({
      ...{ code: 'EFAULT', syscall: 'read', path: '/dev/sg1', attempts: 3, address: 0xabcn },
      ...{ status: statusOf(codes, sense(3, 0x11)), sense: { key: 'medium-error', code: 0x11 } },
    });
    expect(error.message).toContain('data buffer at 0xabc, after 3 attempts');
  });

  it('names the code that decided', () => {
    for (const [codes, argument, text] of [
      [{ afu: 0x02, fc: 0x55 }, 0, 'AFU code 0x02'],
      [CHECK, sense(3, 0x11, 0), 'medium-error 11/00, unrecovered read error'],
      [CHECK, sense(4, 0x09, 0xa1), 'hardware-error 09/a1'],
      [{ scsi: 0x30, fc: 0x55 }, 0, 'SCSI status 0x30'],
      [{ fc: 0x05 }, 0, 'link code 0x05'],
    ] as const) {
      const { message, address } = errorOf(codes, argument);
      expect(message.endsWith(text) || message.includes(`${text})`), message).toBe(true);
      expect(message).not.toMatch(/attempts| at 0x/);
      expect(address).toBe(undefined);
    }
  });

  it('of one that is given up is ECANCELED', () => {
    expect(canceled('its LUN was detached', '/dev/sg1')).toMatchObject({
      ...{ code: 'ECANCELED', syscall: 'sislite', path: '/dev/sg1' },
    });
  });
});
