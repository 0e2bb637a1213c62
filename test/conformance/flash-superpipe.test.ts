import { flashFlags } from 'node-cxl/flash';
import { INJECTION_REGISTERS } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { ALL_ONES_64 } from '../../lib/shared/all-ones';
import { CHUNK, COMMAND_MODES, codeOf, inject, LUN_BLOCKS, testTarget } from './flash-target';

describe('the superpipe ioctls', () => {
  const target = testTarget();

  describe('MANAGE_LUN', () => {
    it('can be repeated, and is EBUSY to disable only while a resource is open', async () => {
      const lun = await target.lun();
      await lun.enableSuperpipe();
      const context = await target.attach(lun);
      const resource = await context.openDirect();
      expect(await codeOf(lun.disableSuperpipe())).toBe('EBUSY');
      await resource.release();
      await context.close();
      await lun.disableSuperpipe();
      expect(await codeOf(lun.attach())).toBe('EINVAL');
    });
  });

  describe('ATTACH', () => {
    it('returns a started context and the geometry of the LUN', async () => {
      const lun = await target.lun();
      const answer = await lun.call('ATTACH', { numInterrupts: 4n, flags: 2n });
      expect(answer.mmioSize).toBe(65536n);
      expect(answer.blockSize).toBe(4096n);
      expect(answer.lastLba).toBe(LUN_BLOCKS[0] - 1n);
      expect(answer.maxXfer).toBe(4096n);
      expect(answer.returnFlags).toBe(flashFlags.appCloseAdapFd);
      const context = target.system.adopt(Number(answer.adapFd), { owned: true, mmioSize: 65536 });
      expect(answer.contextId & 0xffffffffn).toBe(BigInt(context.processElement ?? -1));
      expect(context.linkState()).toBe('up');
      await lun.call('DETACH', { contextId: answer.contextId });
      await context.close();
    });

    it('is EINVAL with over four interrupts, or fewer than irqs_min', async () => {
      const lun = await target.lun();
      expect(await codeOf(lun.call('ATTACH', { numInterrupts: 5n }))).toBe('EINVAL');
      expect(await codeOf(lun.call('ATTACH', { numInterrupts: 1n }))).toBe('EINVAL');
    });

    it('attaches another LUN to a context, without a new descriptor', async () => {
      const [lun, other] = [await target.lun(0), await target.lun(1)];
      const context = await target.attach(lun);
      const answer = await other.call('ATTACH', {
        numInterrupts: 0n,
        flags: flashFlags.reuseContext | 2n,
        contextId: context.id,
      });
      expect(answer.contextId).toBe(context.id);
      expect(BigInt.asIntN(32, answer.adapFd)).toBe(-1n);
      expect(answer.lastLba).toBe(LUN_BLOCKS[1] - 1n);
      expect(answer.returnFlags & flashFlags.appCloseAdapFd).toBe(0n);
      await other.call('DETACH', { contextId: context.id });
    });

    it('is EINVAL to reuse a context for the same LUN, or an unknown context', async () => {
      const [lun, other] = [await target.lun(0), await target.lun(1)];
      const context = await target.attach(lun);
      expect(await codeOf(context.join(lun))).toBe('EINVAL');
      const flags = flashFlags.reuseContext | 2n;
      const reuse = other.call('ATTACH', { numInterrupts: 0n, flags, contextId: context.id ^ 1n });
      expect(await codeOf(reuse)).toBe('EINVAL');
    });
  });

  describe('USER_DIRECT', () => {
    it('opens the whole LUN once for each handle, then is EMFILE', async () => {
      const lun = await target.lun();
      const context = await target.attach(lun);
      const first = await context.openDirect();
      expect(first.handle).toBe(0);
      expect(first.blocks).toBe(LUN_BLOCKS[0]);
      const entries = target.system.pageSize / 16;
      for (let i = 1; i < entries; i += 1) {
        await lun.call('USER_DIRECT', { contextId: context.id });
      }
      expect(await codeOf(context.openDirect())).toBe('EMFILE');
      await first.release();
      const again = await context.openDirect();
      expect(again.handle).toBe(0);
    });

    it('is EINVAL while the LUN is in use as virtual, and vice versa', async () => {
      const context = await target.attach(await target.lun());
      const virtual = await context.openVirtual();
      expect(await codeOf(context.openDirect())).toBe('EINVAL');
      await virtual.release();
      const direct = await context.openDirect();
      expect(await codeOf(context.openVirtual())).toBe('EINVAL');
      await direct.release();
      expect(await codeOf(context.openVirtual())).toBe('resolved');
    });

    it('is EINVAL with a context that the LUN is not attached to', async () => {
      const [lun, other] = [await target.lun(0), await target.lun(1)];
      const context = await target.attach(lun);
      expect(await codeOf(other.call('USER_DIRECT', { contextId: context.id }))).toBe('EINVAL');
      expect(await codeOf(lun.call('USER_DIRECT', { contextId: context.id + 1n }))).toBe('EINVAL');
      // A failed open has no effect.
      await other.disableSuperpipe();
      await other.enableSuperpipe();
    });
  });

  describe('USER_VIRTUAL', () => {
    it('makes an empty LUN, whose last LBA is all ones, or one of whole chunks', async () => {
      const lun = await target.lun();
      const context = await target.attach(lun);
      const raw = await lun.call('USER_VIRTUAL', { contextId: context.id, lunSize: 0n });
      expect(raw.lastLba).toBe(ALL_ONES_64);
      const resource = await context.openVirtual({ blocks: 1 });
      expect(resource.blocks).toBe(CHUNK);
    });

    it('reports that a LUN is connected to several ports', async () => {
      const lun = await target.lun(0, 0);
      const context = await target.attach(lun);
      const one = await context.openVirtual();
      expect(one.allPortsActive).toBe(false);
      await target.lun(0, 1);
      const two = await context.openVirtual();
      expect(two.allPortsActive).toBe(true);
    });

    it('truncates to the free chunks, and is ENOSPC when none is free', async () => {
      const context = await target.attach(await target.lun(1));
      const first = await context.openVirtual({ blocks: CHUNK });
      const second = await context.openVirtual({ blocks: 5n * CHUNK });
      expect(second.blocks).toBe(CHUNK);
      expect(await codeOf(context.openVirtual({ blocks: 1 }))).toBe('ENOSPC');
      // An empty one can still be opened.
      const empty = await context.openVirtual();
      expect(empty.blocks).toBe(0n);
      expect(first.blocks).toBe(CHUNK);
    });

    it('is ENOMEM on a LUN smaller than a chunk', async () => {
      const context = await target.attach(await target.lun(2));
      expect(await codeOf(context.openVirtual())).toBe('ENOMEM');
      expect(await codeOf(context.openDirect())).toBe('resolved');
    });
  });

  describe('VLUN_RESIZE', () => {
    it('grows, shrinks and reports a truncated grow', async () => {
      const context = await target.attach(await target.lun());
      const resource = await context.openVirtual({ blocks: CHUNK });
      expect(await resource.resize(2n * CHUNK)).toEqual({
        blocks: 2n * CHUNK,
        truncated: false,
        retries: 0,
      });
      const grown = await resource.resize(9n * CHUNK);
      expect(grown.truncated).toBe(true);
      expect(grown.blocks).toBe(4n * CHUNK);
      expect(await codeOf(resource.resize(9n * CHUNK))).toBe('ENOSPC');
      expect((await resource.resize(0)).blocks).toBe(0n);
      expect((await resource.resize(3n * CHUNK)).blocks).toBe(3n * CHUNK);
    });

    it('is EINVAL for a direct LUN or with an invalid handle', async () => {
      const lun = await target.lun();
      const context = await target.attach(lun);
      const direct = await context.openDirect();
      expect(await codeOf(direct.resize(CHUNK))).toBe('EINVAL');
      await direct.release();
      await context.openVirtual();
      const contextId = context.id;
      const reqSize = 0n;
      for (const rsrcHandle of [1n, 4096n, 0xffff_ffffn]) {
        const call = lun.call('VLUN_RESIZE', { contextId, rsrcHandle, reqSize });
        expect(await codeOf(call)).toBe('EINVAL');
      }
    });
  });

  describe('RELEASE and DETACH', () => {
    it('free the chunks', async () => {
      const context = await target.attach(await target.lun(1));
      const first = await context.openVirtual({ blocks: 2n * CHUNK });
      await first.release();
      const second = await context.openVirtual({ blocks: 2n * CHUNK });
      expect(second.blocks).toBe(2n * CHUNK);
      await context.close();
      const other = await target.attach(await target.lun(1));
      expect((await other.openVirtual({ blocks: 2n * CHUNK })).blocks).toBe(2n * CHUNK);
    });

    it('are EINVAL with a stale handle or context', async () => {
      const lun = await target.lun();
      const context = await target.attach(lun);
      const resource = await context.openVirtual({ blocks: 1 });
      const contextId = context.id;
      const rsrcHandle = BigInt(resource.handle);
      await resource.release();
      expect(await codeOf(lun.call('RELEASE', { contextId, rsrcHandle }))).toBe('EINVAL');
      await context.close();
      expect(await codeOf(lun.call('DETACH', { contextId }))).toBe('EINVAL');
    });

    it('detach one LUN of several, with its resources', async () => {
      const [lun, other] = [await target.lun(0), await target.lun(1)];
      const context = await target.attach(lun);
      await context.join(other);
      const kept = await context.openDirect(lun);
      const gone = await context.openDirect(other);
      await context.detach(other);
      expect(gone.released).toBe(true);
      expect(kept.released).toBe(false);
      expect(await codeOf(other.disableSuperpipe())).toBe('resolved');
      expect(await codeOf(lun.disableSuperpipe())).toBe('EBUSY');
    });

    it('happen once when close() is called during detach()', async () => {
      const [lun, other] = [await target.lun(0), await target.lun(1)];
      for (let turns = 0; turns < 8; turns += 1) {
        const context = await target.attach(lun);
        await context.join(other);
        await context.openVirtual({ lun: other, blocks: 1 });
        const detached = context.detach(other);
        for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
        expect(await Promise.all([codeOf(detached), codeOf(context.close())])).toEqual([
          ...['resolved', 'resolved'],
        ]);
        expect(await codeOf(other.disableSuperpipe())).toBe('resolved');
        await other.enableSuperpipe();
      }
    });

    it('close the context when all LUNs are detached together', async () => {
      const [lun, other] = [await target.lun(0), await target.lun(1)];
      const context = await target.attach(lun);
      await context.join(other);
      await Promise.all([context.detach(lun), context.detach(other)]);
      expect([context.closed, context.context.closed]).toEqual([true, true]);
    });

    it('happen when the descriptor is closed', async () => {
      const lun = await target.lun();
      const answer = await lun.call('ATTACH', { numInterrupts: 4n, flags: 2n });
      await lun.call('USER_DIRECT', { contextId: answer.contextId });
      expect(await codeOf(lun.disableSuperpipe())).toBe('EBUSY');
      const context = target.system.adopt(Number(answer.adapFd), { owned: true, mmioSize: 65536 });
      await context.close();
      const stale = lun.call('USER_DIRECT', { contextId: answer.contextId });
      expect(await codeOf(stale)).toBe('EINVAL');
      expect(await codeOf(lun.disableSuperpipe())).toBe('resolved');
    });
  });

  describe('VERIFY', () => {
    it('returns the current size', async () => {
      const context = await target.attach(await target.lun());
      const resource = await context.openVirtual({ blocks: CHUNK });
      expect(await resource.verify()).toBe(false);
      expect(resource.blocks).toBe(CHUNK);
    });

    it('reads the capacity again only after a unit attention', async () => {
      const context = await target.attach(await target.lun(2));
      const resource = await context.openDirect();
      inject(context, 'capacity', 2, 2000n);
      expect(await resource.verify()).toBe(false);
      for (const key of [0x0, 0x1, 0x2]) await resource.verify(sense(key, 0x2a));
      await resource.verify(unitAttention(0x3f));
      expect(resource.blocks).toBe(1000n);
      expect(await resource.verify(unitAttention(0x2a))).toBe(true);
      expect(resource.blocks).toBe(2000n);
      inject(context, 'capacity', 2, 1000n);
      expect(await resource.verify(unitAttention(0x29))).toBe(true);
      expect(resource.blocks).toBe(1000n);
    });

    it('is EIO for errors, EINVAL for anything but sense data', async () => {
      const context = await target.attach(await target.lun());
      const resource = await context.openDirect();
      expect(await codeOf(resource.verify(sense(0x3, 0x11)))).toBe('EIO');
      expect(await codeOf(resource.verify(unitAttention(0x28)))).toBe('EIO');
      expect(await codeOf(resource.verify(new Uint8Array(18)))).toBe('EINVAL');
      // Descriptor format is valid as well.
      const descriptor = new Uint8Array(18);
      descriptor.set([0x72, 0x6, 0x2a]);
      expect(await codeOf(resource.verify(descriptor))).toBe('resolved');
    });

    it('is ENODEV while the capacity cannot be read', async () => {
      const context = await target.attach(await target.lun(0));
      const resource = await context.openDirect();
      inject(context, 'unreadable', 0, 1n);
      expect(await codeOf(resource.verify(unitAttention(0x2a)))).toBe('ENODEV');
      expect(await codeOf(resource.verify())).toBe('resolved');
      inject(context, 'unreadable', 0, 0n);
      expect(await codeOf(resource.verify(unitAttention(0x2a)))).toBe('resolved');
    });

    it('is EINVAL with an invalid handle', async () => {
      const lun = await target.lun();
      const context = await target.attach(lun);
      const call = lun.call('VERIFY', { contextId: context.id, rsrcHandle: 0n });
      expect(await codeOf(call)).toBe('EINVAL');
    });
  });

  describe('VLUN_CLONE', () => {
    it('is EINVAL from itself, and from a context that is not the parent’s', async () => {
      const lun = await target.lun();
      const [context, other] = [await target.attach(lun), await target.attach(lun)];
      await context.openVirtual({ blocks: 1 });
      const clone = (contextIdSrc: bigint, contextIdDst: bigint) =>
        codeOf(lun.call('VLUN_CLONE', { contextIdSrc, contextIdDst }));
      expect(await clone(context.id, context.id)).toBe('EINVAL');
      expect(await clone(context.id, other.id)).toBe('EINVAL');
    });
  });

  describe('RECOVER_AFU', () => {
    it('returns no flag when the adapter was not reset', async () => {
      const lun = await target.lun();
      const context = await target.attach(lun);
      const answer = await lun.call('RECOVER_AFU', { contextId: context.id });
      expect(answer.returnFlags).toBe(0n);
      expect(await context.recover()).toMatchObject({ reset: false, id: context.id });
    });

    it('is EINVAL with an unknown context', async () => {
      const lun = await target.lun();
      expect(await codeOf(lun.call('RECOVER_AFU', { contextId: 3n }))).toBe('EINVAL');
    });
  });
});

function sense(key: number, code: number): Uint8Array {
  const bytes = new Uint8Array(18);
  bytes[0] = 0x70;
  bytes[2] = key;
  bytes[7] = 10;
  bytes[12] = code;
  return bytes;
}

function unitAttention(code: number): Uint8Array {
  return sense(0x6, code);
}

for (const mode of COMMAND_MODES) {
  describe('the superpipe ioctls', () => {
    const target = testTarget(mode);

    it(`report ${mode} mode in the return flags of ATTACH and RECOVER_AFU`, async () => {
      const lun = await target.lun();
      const flag = mode === 'sq' ? flashFlags.contextSqCmdMode : 0n;
      const attached = await lun.call('ATTACH', { numInterrupts: 4n, flags: 2n });
      expect(attached.returnFlags & flashFlags.contextSqCmdMode).toBe(flag);
      const adopt = (fd: bigint) =>
        target.system.adopt(Number(fd), { owned: true, mmioSize: 65536 });
      const old = adopt(attached.adapFd);
      old.mapProblemState().write64(INJECTION_REGISTERS.command, (0x04n << 56n) | 5n);
      // The device reads the registers later; the call waits for the reset, not for its beginning.
      while (old.linkState() === 'up') await new Promise((resolve) => setTimeout(resolve, 1));
      const recovered = await lun.call('RECOVER_AFU', { contextId: attached.contextId });
      expect(recovered.returnFlags).toBe(
        flashFlags.appCloseAdapFd | flashFlags.contextReset | flag,
      );
      await old.close();
      await adopt(recovered.adapFd).close();
    });
  });
}
