import { type FlashHost, openFlashHost } from 'node-cxl/flash';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codeOf, testTarget } from './flash-target';

describe('the host ioctls', () => {
  const target = testTarget();
  let host: FlashHost;

  beforeEach(async () => {
    host = await openFlashHost('/dev/cxlflash/cxlflash0', { system: target.system });
  });

  afterEach(async () => {
    await host.close();
  });

  it('provision, count and delete LUNs', async () => {
    const before = await host.queryPort(1);
    expect(before.luns).toBe(3n);
    const made = await host.createLun(1, 1000);
    expect(made.wwid.length).toBe(16);
    expect(await host.queryPort(1)).toEqual({
      ...before,
      luns: before.luns + 1n,
      blocks: before.blocks + 1000n,
    });
    await host.deleteLun(1, made.lunId);
    expect(await host.queryPort(1)).toEqual(before);
    expect(await codeOf(host.deleteLun(1, made.lunId))).toBe('EIO');
    expect(await codeOf(host.createLun(1, 0))).toBe('EIO');
  });

  it('are EINVAL with an invalid port, subcommand or header', async () => {
    expect(await codeOf(host.queryPort(2))).toBe('EINVAL');
    expect(await codeOf(host.queryPort(4))).toBe('ERR_OUT_OF_RANGE');
    expect(await codeOf(host.call('LUN_PROVISION', { subcmd: 4, port: 0 }))).toBe('EINVAL');
    for (const bad of [{ version: 1 }, { reserved: 1 }, { returnFlags: 1n }]) {
      const call = host.call('LUN_PROVISION', { subcmd: 3, port: 0, ...bad });
      expect(await codeOf(call)).toBe('EINVAL');
      const debug = host.call('AFU_DEBUG', { afuSubcmd: new Uint8Array(12), ...bad });
      expect(await codeOf(debug)).toBe('EINVAL');
    }
  });

  it('pass debug commands through', async () => {
    const sent = Uint8Array.of(1, 2, 3, 4);
    const got = new Uint8Array(4);
    await host.debug(new Uint8Array(12), sent, { write: true });
    await host.debug(new Uint8Array(12), got);
    expect(got).toEqual(sent);
    await host.debug(new Uint8Array(12));
    expect(await codeOf(host.debug(new Uint8Array(11)))).toBe('ERR_INVALID_ARG_VALUE');
    const much = new Uint8Array(262145);
    expect(await codeOf(host.debug(new Uint8Array(12), much))).toBe('ERR_OUT_OF_RANGE');
    const raw = host.call('AFU_DEBUG', { afuSubcmd: new Uint8Array(12), data: much });
    expect(await codeOf(raw)).toBe('EINVAL');
  });
});
