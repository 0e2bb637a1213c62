import { type CallHeader, flashFlags, type Lun, openLun } from 'node-cxl/flash';
import { describe, expect, it } from 'vitest';
import { codeOf, testTarget } from './flash-target';

// What makes every call EINVAL: an invalid LUN, header, context or handle.
describe('every superpipe ioctl', () => {
  const target = testTarget();
  let lun: Lun;

  function withContext(contextId: bigint, rsrcHandle = 0n, header: CallHeader = {}) {
    const own = { contextId, ...header };
    return [
      lun.call('USER_DIRECT', own),
      lun.call('USER_VIRTUAL', { ...own, lunSize: 0n }),
      lun.call('RELEASE', { ...own, rsrcHandle }),
      lun.call('DETACH', own),
      lun.call('VERIFY', { ...own, rsrcHandle }),
      lun.call('RECOVER_AFU', own),
      lun.call('VLUN_RESIZE', { ...own, rsrcHandle, reqSize: 0n }),
    ];
  }

  function withoutContext(header: CallHeader = {}) {
    return [
      lun.call('ATTACH', { flags: 2n, numInterrupts: 4n, ...header }),
      lun.call('VLUN_CLONE', { contextIdSrc: 1n, contextIdDst: 2n, ...header }),
    ];
  }

  async function areEinval(calls: Promise<unknown>[]): Promise<void> {
    expect(await Promise.all(calls.map(codeOf))).toEqual(calls.map(() => 'EINVAL'));
  }

  it('except MANAGE_LUN is EINVAL on a LUN without superpipe', async () => {
    lun = await openLun(target.nodes[0]?.[0] ?? '', { system: target.system });
    await areEinval([...withContext(1n), ...withoutContext()]);
    await lun.close();
  });

  it('is EINVAL with another version, a reserved field or return flags set', async () => {
    lun = await target.lun();
    const wwid = await lun.wwid();
    const context = await target.attach(lun);
    const { handle } = await context.openVirtual();
    const flags = flashFlags.disableSuperpipe;
    for (const wrong of [{ version: 1 }, { reserved: 1 }, { returnFlags: 1n }]) {
      await areEinval([
        ...withContext(context.id, BigInt(handle), wrong),
        ...withoutContext(wrong),
        lun.call('MANAGE_LUN', { flags, wwid, ...wrong }),
      ]);
    }
    // None of them had an effect.
    expect((await context.openVirtual()).handle).toBe(handle + 1);
  });

  it('with a context is EINVAL when the id is unknown, or the LUN is not attached to it', async () => {
    lun = await target.lun(0);
    const other = await target.lun(1);
    const context = await target.attach(lun);
    const { handle } = await context.openVirtual();
    const { id } = context;
    await areEinval(withContext(id ^ 1n));
    // The whole id is compared; its low half is the process element.
    await areEinval(withContext(id & 0xffff_ffffn));
    const elsewhere = await target.attach(other);
    await areEinval(withContext(elsewhere.id));
    await areEinval([
      lun.call('VLUN_CLONE', { contextIdSrc: id, contextIdDst: elsewhere.id }),
      lun.call('VLUN_CLONE', { contextIdSrc: elsewhere.id, contextIdDst: id }),
    ]);
    await context.close();
    await areEinval(withContext(id, BigInt(handle)));
  });

  it('with a handle is EINVAL when it is not open, of another LUN, or past the table', async () => {
    lun = await target.lun(0);
    const other = await target.lun(1);
    const context = await target.attach(lun);
    await context.join(other);
    const contextId = context.id;
    const own = await context.openVirtual({ lun });
    const elsewhere = await context.openVirtual({ lun: other });
    const gone = await context.openVirtual({ lun });
    await gone.release();
    for (const handle of [elsewhere.handle, gone.handle, 4096, 0xffff_ffff]) {
      const rsrcHandle = BigInt(handle);
      await areEinval([
        lun.call('RELEASE', { contextId, rsrcHandle }),
        lun.call('VERIFY', { contextId, rsrcHandle }),
        lun.call('VLUN_RESIZE', { contextId, rsrcHandle, reqSize: 0n }),
      ]);
    }
    expect(await own.verify()).toBe(false);
  });
});
