/** `reset`, `set`, `errors` and the rule for durations. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runHere } from './in-process';
import { Folder, json, run, TIMEOUT } from './run';

const folder = new Folder();

describe('set', { timeout: TIMEOUT }, () => {
  it('writes each attribute, and tells what it was and is', async () => {
    const cases: [string, string, unknown, unknown][] = [
      ['afu0.0', 'mode=none', 'afu_directed', 'none'],
      ['/dev/cxl/afu0.0s', 'irqs_max=8', 2037, 8],
      ['afu0.0', 'prefault_mode=all', 'none', 'all'],
      ['card0', 'load_image_on_perst=user', 'none', 'user'],
      ['card0', 'perst_reloads_same_image=1', 0, 1],
    ];
    for (const [name, assignment, before, after] of cases) {
      const [attribute] = assignment.split('=');
      const told = await json(['set', name, assignment, '--mock']);
      expect(told).toMatchObject({ attribute, before, after });
    }
    const { stdout } = await run(['set', 'afu0.0', 'mode=none', '--mock']);
    expect(stdout).toBe('afu0.0: mode none (was afu_directed)\n');
  });

  it('names what can be set, and passes on what the driver refuses', async () => {
    const cases: [string, string, number, RegExp][] = [
      ['afu0.0', 'mood=none', 2, /mode, irqs_max, prefault_mode/],
      ['afu0.0', 'mode', 2, /ATTRIBUTE=VALUE/],
      ['afu0.0', 'mode=shared', 2, /dedicated_process, afu_directed, none/],
      ['card0', 'mode=none', 2, /load_image_on_perst, perst_reloads_same_image/],
      ['card0', 'perst_reloads_same_image=yes', 2, /0, 1/],
      ['afu0.0', 'irqs_max=many', 2, /a number/],
      ['afu0.0', 'irqs_max=1', 1, /EINVAL.*below irqs_min/],
      ['afu7.0', 'mode=none', 3, /there are card0/],
      ['sda', 'mode=none', 2, /card0 or afu0\.0/],
    ];
    for (const [name, assignment, expected, line] of cases) {
      const { exitCode, stdout, error } = await runHere(['set', name, assignment]);
      expect([assignment, exitCode, stdout]).toEqual([assignment, expected, '']);
      expect(error?.message).toMatch(line);
    }
    const env = folder.mock('denied.json', { faults: [{ name: 'sysfs-write', errno: 'EACCES' }] });
    const { code, stderr } = await run(['set', 'afu0.0', 'mode=none'], { env });
    expect([code, stderr.includes('by root only')]).toEqual([4, true]);
  });
});

describe('reset', { timeout: TIMEOUT }, () => {
  it('resets a card, also by force, and an AFU', async () => {
    for (const args of [['afu0.0'], ['card0'], ['card0', '--force']]) {
      const { code, stderr } = await run(['reset', ...args, '--mock'], {
        env: { NODE_DEBUG: 'cxl' },
      });
      const text = args[1] === '--force' ? '-1' : '1';
      expect([args, code]).toEqual([args, 0]);
      expect(stderr).toMatch(new RegExp(`write /sys/class/cxl/${args[0]}/reset.*${text}`));
    }
  });

  it('refuses force for an AFU, and says why the driver refuses', async () => {
    expect((await run(['reset', 'afu0.0', '--force', '--mock'])).code).toBe(2);
    const env = folder.mock('busy.json', { faults: [{ name: 'sysfs-write', errno: 'EBUSY' }] });
    const { code, stderr } = await run(['reset', 'card0'], { env });
    expect([code, stderr.includes('a context exists')]).toEqual([5, true]);
  });
});

describe('errors', { timeout: TIMEOUT }, () => {
  it('prints the error buffer: a dump, JSON and a file have the same bytes', async () => {
    const told = await json(['errors', 'afu0.0', '--mock']);
    expect(told).toMatchObject({ name: 'afu0.0', bytes: told.data.length / 2 });
    expect(told.bytes).toBeGreaterThan(0);
    const { stdout } = await run(['errors', 'afu0.0', '--mock']);
    const first = (told.data.slice(0, 32).match(/../g) ?? []).join(' ');
    expect(stdout.startsWith(`0000  ${first}`)).toBe(true);
    const out = folder.file('buffer');
    expect((await run(['errors', 'afu0.0', '--mock', '--out', out])).code).toBe(0);
    expect(readFileSync(out, 'hex')).toBe(told.data);
  });

  it('says that there is none', async () => {
    const env = folder.mock('none.json', {
      faults: [{ name: 'sysfs-read', errno: 'ENOENT', times: 9 }],
    });
    const { code, stderr } = await run(['errors', 'afu0.0'], { env });
    expect([code, stderr.includes('no error buffer')]).toEqual([1, true]);
  });
});

describe('a duration', { timeout: TIMEOUT }, () => {
  it('has a unit, in each option that takes one', async () => {
    const commands = [
      ['memcpy', '--in', 'x', '--out', 'y', '--timeout'],
      ['watch', 'afu0.0', '--for'],
      ['flash', 'bench', '/dev/sg1', '--for'],
      ['doe', 'discover', '0d:00.0', '--timeout'],
    ];
    for (const command of commands) {
      for (const value of ['5', '0s', '5 s', '-1s', '5d', '1e3ms', '600h']) {
        const { exitCode, error } = await runHere([...command, value]);
        expect([command, value, exitCode]).toEqual([command, value, 2]);
        expect(error?.message).toMatch(/'--(timeout|for) <duration>' argument '.*' is invalid.*5s/);
      }
    }
    for (const [value, milliseconds] of [
      ['100ms', 100],
      ['0.2s', 200],
      ['0.005m', 300],
    ] as const) {
      const start = performance.now();
      expect((await run(['watch', 'afu0.0', '--mock', '--for', value])).code).toBe(0);
      expect(performance.now() - start).toBeGreaterThan(milliseconds);
    }
  });
});
